// SPDX-License-Identifier: Apache-2.0
#include "attempt/gate.h"
#include "api/error.h"
#include "api/util.h"
#include "attempt/reply.h"

enum {
  ERROR_BODY = 64 * 1024, // bytes of an error's body that are held at most
  // How long an error's body may take after its head:
  BUSY_MS = 250,        // 429 or 5xx with another upstream to try: the status suffices
  ERROR_MS = 1000,      // other errors then: the message may tell whether to try it
  LAST_ERROR_MS = 3000, // no other upstream to try
  AT_ONCE = 16 * 1024   // bytes reserved at most for an announced length
};

static void settle(struct cc_attempt *attempt, int error) {
  if (attempt->phase == CC_SETTLED || attempt->phase == CC_CLOSED) return;
  attempt->phase = CC_SETTLED;
  attempt->error = error;
  attempt->settled_at = cc_now();
  cc_timer_stop(&attempt->timer);
  if (attempt->out && error != CC_OK) {
    cc_outbound_drop(attempt->out);
    attempt->out = NULL;
  }
  if (attempt->out) cc_outbound_pause(attempt->out);
  if (error == CC_OK) cc_reply_label(attempt);
  cc_events_post(&attempt->relay->events, CC_EVENT_OUTCOME, attempt->index, attempt->exchange_id);
}

// ---- Head --------------------------------------------------------------------------------------

// Returns how long to wait for the rest of the answer. An error's status decides, so its body gets little
// time.
static uint32_t patience(const struct cc_attempt *attempt) {
  uint32_t gate = attempt->spec.gate_ms;
  if (attempt->status < 400) return gate;
  bool busy = attempt->status == 429 || attempt->status >= 500;
  uint32_t error = attempt->spec.gate_opens ? LAST_ERROR_MS : busy ? BUSY_MS : ERROR_MS;
  return gate && gate < error ? gate : error;
}

static void head(struct cc_attempt *attempt, const struct cc_http1_head *head) {
  cc_reply_head(attempt, head);
  if (head->status >= 300 && head->status < 400 && head->status != 304) {
    settle(attempt, CC_EREDIRECT);
    return;
  }
  if (attempt->kind == CC_BODY_OPAQUE && attempt->spec.framing == CC_FRAMING_OPAQUE) {
    settle(attempt, CC_OK);
    return;
  }
  if (attempt->content_length > 0 && attempt->content_length <= AT_ONCE)
    cc_buffer_reserve(&attempt->held, (size_t)attempt->content_length);
  if (patience(attempt)) cc_timer_set(&attempt->timer, patience(attempt));
}

// ---- Bodies ------------------------------------------------------------------------------------

static void hold_event_stream(struct cc_attempt *attempt) {
  struct cc_reply_event event;
  while (cc_reply_next(attempt, attempt->held.data, attempt->held.size, &event)) {
    if (!attempt->content_seen) continue;
    settle(attempt, event.kind == CC_MESSAGES_ERROR ? CC_ESTREAM_ERROR : CC_OK);
    return;
  }
  if (attempt->held.size > attempt->spec.gate_bytes) settle(attempt, CC_OK);
}

static void body(struct cc_attempt *attempt, struct cc_slice piece) {
  if (attempt->phase == CC_SETTLED) { // came after the gate had decided
    cc_buffer_add(&attempt->held, piece.data, piece.size);
    return;
  }
  if (attempt->phase != CC_HOLDING) return;
  cc_buffer_add(&attempt->held, piece.data, piece.size);
  if (attempt->kind == CC_BODY_SSE)
    hold_event_stream(attempt);
  else if (attempt->kind == CC_BODY_OPAQUE)
    settle(attempt, CC_OK);
  else if (attempt->kind == CC_BODY_JSON && attempt->held.size > attempt->spec.gate_bytes)
    settle(attempt, cc_reply_judge(attempt));
  else if (attempt->kind == CC_BODY_FAULT && attempt->held.size > ERROR_BODY)
    settle(attempt, attempt->status < 300 ? CC_ENOTJSON : CC_OK);
}

// Judges JSON that came in place of a stream: even a whole message is a failure.
static int judge_no_stream(struct cc_attempt *attempt) {
  int error = cc_reply_judge(attempt);
  return error == CC_OK ? CC_ENOTJSON : error;
}

static int judge_no_content(const struct cc_attempt *attempt) {
  if (attempt->events) return CC_ETRUNCATED;
  bool text = attempt->begun && attempt->held.size && !attempt->seen;
  return text ? CC_ENOTJSON : CC_EEMPTY;
}

static int judge_end(struct cc_attempt *attempt) {
  switch (attempt->kind) {
  case CC_BODY_SSE:
    return judge_no_content(attempt);
  case CC_BODY_JSON:
    return cc_reply_judge(attempt);
  case CC_BODY_OPAQUE:
    return attempt->held.size || attempt->spec.framing == CC_FRAMING_OPAQUE ? CC_OK : CC_EEMPTY;
  default:
    return attempt->status < 300 ? judge_no_stream(attempt) : CC_OK;
  }
}

static void end(struct cc_attempt *attempt) {
  if (attempt->phase != CC_HOLDING) return;
  cc_reply_end(attempt);
  if (attempt->kind == CC_BODY_SSE) hold_event_stream(attempt);
  if (attempt->phase == CC_HOLDING) settle(attempt, judge_end(attempt));
}

static void fail(struct cc_attempt *attempt, int error) {
  if (attempt->phase == CC_SETTLED) { // lost after the gate opened, before the policy answered
    attempt->error = attempt->stop_seen ? CC_OK : error;
    return;
  }
  settle(attempt, error);
}

static void timeout(struct cc_attempt *attempt) {
  bool opens = attempt->spec.gate_opens && attempt->kind != CC_BODY_FAULT;
  settle(attempt, opens ? CC_OK : CC_EGATE_TIMEOUT);
}

const struct cc_sink cc_gate = {head, body, end, fail, timeout};
