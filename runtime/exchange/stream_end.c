// SPDX-License-Identifier: Apache-2.0
// Ends the answer that a client is getting. A stream is dead unless its last event came, message_stop or
// error; a dead one never gets a clean end, so that no client takes half a message for a whole one.
#include "exchange/stream_end.h"
#include "api/error.h"
#include "codec/api_error.h"
#include "exchange/client.h"

bool cc_stream_is_complete(const struct cc_attempt *attempt) {
  return attempt->kind == CC_BODY_SSE && (attempt->stop_seen || attempt->error_seen);
}

static void drop_connection(struct cc_attempt *attempt) {
  if (attempt->out) cc_outbound_drop(attempt->out);
  attempt->out = NULL;
  cc_timer_stop(&attempt->timer);
}

static void write_error_event(struct cc_attempt *attempt, int error) {
  struct cc_buffer json = {0};
  cc_api_error(&json, "api_error", cc_slice_text(cc_error_text(error)), NULL);
  cc_client_write_error(attempt->exchange, json.data, json.size);
  cc_buffer_free(&json);
}

void cc_stream_end_broken(struct cc_attempt *attempt, int error) {
  struct cc_exchange *exchange = attempt->exchange;
  drop_connection(attempt);
  if (exchange->break_with_event && attempt->kind == CC_BODY_SSE) {
    write_error_event(attempt, error);
    cc_client_end(exchange);
  } else {
    cc_client_break(exchange, false);
  }
  cc_exchange_finish(exchange, error);
}

void cc_stream_end_whole(struct cc_attempt *attempt) {
  drop_connection(attempt);
  cc_client_end(attempt->exchange);
  cc_exchange_finish(attempt->exchange, CC_OK);
}
