// SPDX-License-Identifier: Apache-2.0
// From the moment an answer is chosen: bytes go to the client as they come, event streams by whole
// events, and a stream that dies is made to look dead (DESIGN 8).
#include "codec/messages.h"
#include "codec/usage.h"
#include "engine.h"
#include <string.h>

static struct cc_settings *settings_of(const struct cc_attempt *attempt) {
  return &attempt->exchange->relay->settings;
}

enum { LAST_MS = 2000 }; // from the last event to the end of the answer

static bool last_seen(const struct cc_attempt *attempt) {
  return attempt->kind == CC_BODY_SSE && (attempt->stop_seen || attempt->error_seen);
}

static void stay_alive(struct cc_attempt *attempt) {
  struct cc_exchange *exchange = attempt->exchange;
  cc_timer_set(&attempt->timer, last_seen(attempt) ? LAST_MS : settings_of(attempt)->idle_ms);
  uint32_t ping_ms = settings_of(attempt)->ping_ms;
  bool pings = attempt->kind == CC_BODY_SSE && !attempt->stop_seen && ping_ms;
  exchange->ping_due = pings ? uv_now(&exchange->relay->loop) + ping_ms : 0;
}

static void pass_on(struct cc_attempt *attempt, const char *data, size_t size) {
  struct cc_exchange *exchange = attempt->exchange;
  if (!size || !exchange->inbound) return;
  if (attempt->kind != CC_BODY_SSE || attempt->content_seen) exchange->content_due = 0;
  cc_exchange_put(exchange, data, size);
  if (attempt->phase != CC_PUMPING || !exchange->inbound || !attempt->out) return;
  if (cc_inbound_queued(exchange->inbound) <= settings_of(attempt)->buffer_bytes) return;
  cc_outbound_pause(attempt->out);
  cc_timer_stop(&attempt->timer);
}

static void let_go(struct cc_attempt *attempt) {
  if (attempt->out) cc_outbound_drop(attempt->out);
  attempt->out = NULL;
  cc_timer_stop(&attempt->timer);
}

static void write_error_event(struct cc_attempt *attempt, int error) {
  struct cc_buffer json = {0};
  const char *text = cc_error_text(error);
  cc_buffer_add_text(&json, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":");
  cc_json_quote(&json, text, strlen(text));
  cc_buffer_add_text(&json, "}}");
  cc_exchange_put_error(attempt->exchange, json.data, json.size);
  cc_buffer_free(&json);
}

static void finish_broken(struct cc_attempt *attempt, int error) {
  struct cc_exchange *exchange = attempt->exchange;
  let_go(attempt);
  if (exchange->break_with_event && attempt->kind == CC_BODY_SSE) {
    write_error_event(attempt, error);
    cc_exchange_end_answer(exchange);
  } else {
    cc_exchange_break_answer(exchange, false);
  }
  cc_exchange_finish(exchange, error);
}

static void finish_whole(struct cc_attempt *attempt) {
  let_go(attempt);
  cc_exchange_end_answer(attempt->exchange);
  cc_exchange_finish(attempt->exchange, CC_OK);
}

// ---- Event streams -----------------------------------------------------------------------------

// Sends the whole events at the start of data, which begins where an event begins, and returns
// how many bytes that was.
static size_t forward_events(struct cc_attempt *attempt, const char *data, size_t size) {
  while (cc_attempt_observe(attempt, data, size) != CC_MESSAGES_PING) // it stops at first content
    continue;
  if (last_seen(attempt)) stay_alive(attempt);
  size_t whole = attempt->seen;
  attempt->seen = 0;
  pass_on(attempt, data, whole);
  return whole;
}

static void forward_held(struct cc_attempt *attempt) {
  cc_buffer_drop(&attempt->held, forward_events(attempt, attempt->held.data, attempt->held.size));
  if (!attempt->held.size) cc_buffer_free(&attempt->held);
}

static void forward_stream(struct cc_attempt *attempt, struct cc_slice piece) {
  if (attempt->held.size) {
    cc_buffer_add(&attempt->held, piece.data, piece.size);
    forward_held(attempt);
  } else {
    size_t whole = forward_events(attempt, piece.data, piece.size);
    cc_buffer_add(&attempt->held, piece.data + whole, piece.size - whole);
  }
  if (attempt->phase == CC_PUMPING && attempt->held.size > settings_of(attempt)->event_bytes)
    cc_pump_fail(attempt, CC_EEVENT_SIZE);
}

// ---- Other bodies ------------------------------------------------------------------------------

// A JSON answer is kept beside, within the bound of an event, for its usage at the end.
static void forward_body(struct cc_attempt *attempt, struct cc_slice piece) {
  bool keep = attempt->kind == CC_BODY_JSON;
  if (keep && attempt->held.size + piece.size <= settings_of(attempt)->event_bytes)
    cc_buffer_add(&attempt->held, piece.data, piece.size);
  pass_on(attempt, piece.data, piece.size);
}

static void read_usage(struct cc_attempt *attempt) {
  if (attempt->kind != CC_BODY_JSON || attempt->usage_known) return;
  struct cc_slice body = cc_slice(attempt->held.data, attempt->held.size);
  attempt->usage_known = attempt->usage_final = cc_usage_read(body, &attempt->usage);
}

// ---- What the attempt and the client say -------------------------------------------------------

void cc_pump_body(struct cc_attempt *attempt, struct cc_slice piece) {
  stay_alive(attempt);
  if (attempt->kind == CC_BODY_SSE)
    forward_stream(attempt, piece);
  else
    forward_body(attempt, piece);
}

void cc_pump_end(struct cc_attempt *attempt) {
  if (attempt->kind == CC_BODY_SSE && !last_seen(attempt)) {
    finish_broken(attempt, CC_ETRUNCATED);
    return;
  }
  read_usage(attempt);
  finish_whole(attempt);
}

void cc_pump_fail(struct cc_attempt *attempt, int error) {
  if (last_seen(attempt))
    finish_whole(attempt);
  else
    finish_broken(attempt, error == CC_EEOF ? CC_ETRUNCATED : error);
}

void cc_pump_drained(struct cc_attempt *attempt) {
  if (attempt->phase != CC_PUMPING || !attempt->out) return;
  stay_alive(attempt);
  cc_outbound_resume(attempt->out);
}

void cc_pump_start(struct cc_attempt *attempt) {
  attempt->phase = CC_PUMPING;
  stay_alive(attempt);
  if (attempt->kind == CC_BODY_SSE) {
    forward_held(attempt);
  } else {
    pass_on(attempt, attempt->held.data, attempt->held.size);
  }
  if (attempt->phase != CC_PUMPING) return;
  if (attempt->complete)
    cc_pump_end(attempt);
  else if (attempt->error != CC_OK)
    cc_pump_fail(attempt, attempt->error);
  else if (cc_inbound_queued(attempt->exchange->inbound) <= settings_of(attempt)->buffer_bytes)
    cc_outbound_resume(attempt->out);
}
