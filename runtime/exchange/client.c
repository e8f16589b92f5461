// SPDX-License-Identifier: Apache-2.0
#include "exchange/client.h"

void cc_client_write(struct cc_exchange *exchange, const char *data, size_t size) {
  struct cc_slice part = cc_slice(data, size);
  if (!size || !exchange->inbound || exchange->inbound->headless) return;
  exchange->report.response_bytes += (double)size;
  cc_inbound_write(exchange->inbound, &part, 1);
}

static size_t line_size(const char *text, size_t size) {
  size_t at = 0;
  while (at < size && text[at] != '\n' && text[at] != '\r')
    at++;
  return at;
}

void cc_client_write_error(struct cc_exchange *exchange, const char *json, size_t size) {
  struct cc_buffer event = {0};
  cc_buffer_add_text(&event, "event: error\n");
  for (size_t at = 0; at < size;) {
    size_t line = line_size(json + at, size - at);
    cc_buffer_add_text(&event, "data: ");
    cc_buffer_add(&event, json + at, line);
    cc_buffer_add_text(&event, "\n");
    at += line + 1;
  }
  cc_buffer_add_text(&event, "\n");
  cc_client_write(exchange, event.data, event.size);
  cc_buffer_free(&event);
}

void cc_client_ping(struct cc_exchange *exchange) {
  static const char ping[] = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
  uint32_t ping_ms = exchange->relay->bounds.ping_ms;
  exchange->ping_due = ping_ms ? cc_relay_now(exchange->relay) + ping_ms : 0;
  if (!exchange->inbound || cc_inbound_queued(exchange->inbound)) return;
  exchange->report.pings++;
  cc_client_write(exchange, ping, sizeof ping - 1);
}

void cc_client_detach(struct cc_exchange *exchange) {
  if (exchange->inbound) exchange->inbound->user = NULL;
  exchange->inbound = NULL;
  exchange->request.head = NULL;
}

void cc_client_end(struct cc_exchange *exchange) {
  struct cc_inbound *in = exchange->inbound;
  cc_client_detach(exchange);
  if (in) cc_inbound_end(in);
}

void cc_client_break(struct cc_exchange *exchange, bool reset) {
  struct cc_inbound *in = exchange->inbound;
  cc_client_detach(exchange);
  if (in) cc_inbound_break(in, reset);
}
