// SPDX-License-Identifier: Apache-2.0
// What the relay says by itself in an event stream to a client: pings and errors.
#include "exchange/exchange.h"

void cc_exchange_put(struct cc_exchange *exchange, const char *data, size_t size) {
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

void cc_exchange_put_error(struct cc_exchange *exchange, const char *json, size_t size) {
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
  cc_exchange_put(exchange, event.data, event.size);
  cc_buffer_free(&event);
}

void cc_exchange_ping(struct cc_exchange *exchange) {
  static const char ping[] = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
  uint32_t ping_ms = exchange->relay->settings.ping_ms;
  exchange->ping_due = ping_ms ? cc_relay_now(exchange->relay) + ping_ms : 0;
  if (!exchange->inbound || cc_inbound_queued(exchange->inbound)) return;
  exchange->report.pings++;
  cc_exchange_put(exchange, ping, sizeof ping - 1);
}
