// SPDX-License-Identifier: Apache-2.0
// The pump passes the chosen answer on to the client: bytes as they come, event streams by whole
// events. How an answer ends is in stream_end.c.
#include "exchange/pump.h"
#include "api/error.h"
#include "api/histogram.h"
#include "api/util.h"
#include "attempt/reply.h"
#include "codec/usage.h"
#include "exchange/client.h"
#include "exchange/stream_end.h"
#include <string.h>

enum { LARGE = 256 * 1024 }; // bytes for incomplete events; above it, unused memory is given back

static void stay_alive(struct cc_attempt *attempt) {
  struct cc_exchange *exchange = attempt->exchange;
  const struct cc_relay *relay = attempt->relay;
  cc_timer_set(&attempt->timer,
               cc_stream_is_complete(attempt) ? relay->bounds.last_ms : relay->settings.idle_ms);
  uint32_t ping_ms = relay->bounds.ping_ms;
  bool pings = attempt->kind == CC_BODY_SSE && !attempt->stop_seen && ping_ms;
  exchange->ping_due = pings ? cc_relay_now(exchange->relay) + ping_ms : 0;
}

static void pass_on(struct cc_attempt *attempt, const char *data, size_t size) {
  struct cc_exchange *exchange = attempt->exchange;
  if (!size || !exchange->inbound) return;
  if (attempt->kind != CC_BODY_SSE || attempt->content_seen) exchange->content_due = 0;
  cc_client_write(exchange, data, size);
  if (attempt->phase != CC_PUMPING || !exchange->inbound || !attempt->out) return;
  if (cc_inbound_queued(exchange->inbound) <= CC_QUEUE_BYTES) return;
  cc_outbound_pause(attempt->out);
  cc_timer_stop(&attempt->timer);
}

// ---- Event streams -----------------------------------------------------------------------------

// What to send of data: the bytes themselves, or a copy once an event has been given a name.
struct outgoing {
  const char *data;
  size_t copied; // of data, into named
  struct cc_buffer named;
};

static void put_name(struct outgoing *out, const struct cc_reply_event *event) {
  cc_buffer_add(&out->named, out->data + out->copied, event->name_at - out->copied);
  cc_buffer_add_text(&out->named, "event: ");
  cc_buffer_add(&out->named, event->name.data, event->name.size);
  cc_buffer_add_text(&out->named, "\n");
  out->copied = event->name_at;
}

// Events that arrive together count as one.
static void time_events(struct cc_attempt *attempt) {
  if (attempt->spec.gaps < 0) return;
  double now = cc_now();
  if (attempt->passed_at > 0) cc_histogram_add(attempt->spec.gaps, now - attempt->passed_at);
  attempt->passed_at = now;
}

// Sends the whole events at the start of data, and returns how many bytes they have. data begins at the
// start of an event. Clients tell events apart by name, so an event without one gets that of its type.
static size_t forward_events(struct cc_attempt *attempt, const char *data, size_t size) {
  struct outgoing out = {.data = data};
  struct cc_reply_event event;
  while (cc_reply_next(attempt, data, size, &event))
    if (event.name.size) put_name(&out, &event);
  if (cc_stream_is_complete(attempt)) stay_alive(attempt);
  size_t whole = attempt->seen;
  attempt->seen = 0;
  if (whole) time_events(attempt);
  if (out.named.size) {
    cc_buffer_add(&out.named, data + out.copied, whole - out.copied);
    pass_on(attempt, out.named.data, out.named.size);
    cc_buffer_free(&out.named);
  } else {
    pass_on(attempt, data, whole);
  }
  return whole;
}

// Frees memory that one large event has needed: a stream may last long.
static void give_back(struct cc_buffer *held) {
  if (!held->size) {
    cc_buffer_free(held);
  } else if (held->capacity > LARGE && held->size < LARGE / 2) {
    held->data = cc_realloc(held->data, held->size);
    held->capacity = held->size;
  }
}

static void forward_held(struct cc_attempt *attempt) {
  cc_buffer_drop(&attempt->held, forward_events(attempt, attempt->held.data, attempt->held.size));
  give_back(&attempt->held);
}

static void forward_stream(struct cc_attempt *attempt, struct cc_slice piece) {
  if (attempt->held.size) {
    cc_buffer_add(&attempt->held, piece.data, piece.size);
    forward_held(attempt);
  } else {
    size_t whole = forward_events(attempt, piece.data, piece.size);
    cc_buffer_add(&attempt->held, piece.data + whole, piece.size - whole);
  }
  if (attempt->phase == CC_PUMPING && attempt->held.size > attempt->relay->bounds.event_bytes)
    cc_pump_fail(attempt, CC_EEVENT_SIZE);
}

// Forwards what is held when no more bytes come: the last event may lack its blank line.
static void forward_last(struct cc_attempt *attempt) {
  if (attempt->kind != CC_BODY_SSE || !attempt->held.size) return;
  cc_reply_end(attempt);
  forward_held(attempt);
}

// ---- Other bodies ------------------------------------------------------------------------------

// Forwards a piece of a body that is no stream. JSON is kept too, up to the size of an event, so that
// usage can be read at its end.
static void forward_body(struct cc_attempt *attempt, struct cc_slice piece) {
  bool keep = attempt->kind == CC_BODY_JSON;
  if (keep && attempt->held.size + piece.size <= attempt->relay->bounds.event_bytes)
    cc_buffer_add(&attempt->held, piece.data, piece.size);
  attempt->seen += piece.size;
  pass_on(attempt, piece.data, piece.size);
}

// Reads the usage of a JSON answer. Returns false if the JSON is incomplete.
static bool read_json(struct cc_attempt *attempt) {
  if (attempt->kind != CC_BODY_JSON || attempt->usage_known) return true;
  struct cc_slice body = cc_slice(attempt->held.data, attempt->held.size);
  int judged = cc_usage_judge(body, CC_SUCCESS_OBJECT, &attempt->usage, &attempt->usage_known);
  attempt->usage_final = attempt->usage_known;
  bool all = attempt->held.size == attempt->seen;
  return judged != CC_ENOTJSON || !all;
}

// ---- Events of the attempt and the client ------------------------------------------------------

static void body(struct cc_attempt *attempt, struct cc_slice piece) {
  if (attempt->phase != CC_PUMPING) return;
  stay_alive(attempt);
  if (attempt->kind == CC_BODY_SSE)
    forward_stream(attempt, piece);
  else
    forward_body(attempt, piece);
}

static void end(struct cc_attempt *attempt) {
  if (attempt->phase != CC_PUMPING) return;
  forward_last(attempt);
  bool whole = attempt->kind == CC_BODY_SSE ? cc_stream_is_complete(attempt) : read_json(attempt);
  if (attempt->phase != CC_PUMPING) return;
  if (whole)
    cc_stream_end_whole(attempt);
  else
    cc_stream_end_broken(attempt, CC_ETRUNCATED);
}

void cc_pump_fail(struct cc_attempt *attempt, int error) {
  if (attempt->phase != CC_PUMPING) return;
  forward_last(attempt);
  if (attempt->phase != CC_PUMPING) return;
  if (cc_stream_is_complete(attempt))
    cc_stream_end_whole(attempt);
  else
    cc_stream_end_broken(attempt, error == CC_EEOF ? CC_ETRUNCATED : error);
}

static void timeout(struct cc_attempt *attempt) {
  cc_pump_fail(attempt, CC_EIDLE_TIMEOUT);
}

// Without .head: the gate has taken the head.
static const struct cc_sink pump = {
    .body = body, .end = end, .fail = cc_pump_fail, .timeout = timeout};

void cc_pump_drained(struct cc_attempt *attempt) {
  if (attempt->phase != CC_PUMPING || !attempt->out) return;
  stay_alive(attempt);
  cc_outbound_resume(attempt->out);
}

void cc_pump_start(struct cc_attempt *attempt) {
  attempt->phase = CC_PUMPING;
  attempt->sink = &pump;
  stay_alive(attempt);
  if (attempt->kind == CC_BODY_SSE) {
    cc_reply_again(attempt);
    forward_held(attempt);
  } else {
    attempt->seen = attempt->held.size;
    pass_on(attempt, attempt->held.data, attempt->held.size);
  }
  if (attempt->phase != CC_PUMPING) return;
  if (attempt->complete)
    end(attempt);
  else if (attempt->error != CC_OK)
    cc_pump_fail(attempt, attempt->error);
  else if (cc_inbound_queued(attempt->exchange->inbound) <= CC_QUEUE_BYTES)
    cc_outbound_resume(attempt->out);
}
