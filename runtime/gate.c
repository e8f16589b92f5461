// SPDX-License-Identifier: Apache-2.0
#include "gate.h"
#include "codec/messages.h"
#include "codec/usage.h"
#include "engine.h"
#include <string.h>

enum {
  ERROR_BODY = 64 * 1024, // of an error answer, as much as is held
  AT_ONCE = 16 * 1024     // of an announced length, as much as is made room for before it comes
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
  struct cc_exchange *exchange = attempt->exchange;
  cc_relay_post(exchange->relay, CC_EVENT_OUTCOME, attempt->index, exchange->id);
}

static struct cc_slice held(const struct cc_attempt *attempt) {
  return cc_slice(attempt->held.data, attempt->held.size);
}

static bool begins_with(struct cc_slice value, const char *prefix) {
  size_t size = strlen(prefix);
  return value.size >= size &&
         cc_slice_same_nocase(cc_slice(value.data, size), cc_slice_text(prefix));
}

// ---- Head --------------------------------------------------------------------------------------

static void keep_headers(struct cc_attempt *attempt, const struct cc_http1_head *head) {
  const struct cc_header *connection = cc_http1_find(head, cc_slice_text("connection"));
  for (uint32_t i = 0; i < head->headers; i++) {
    struct cc_slice name = head->header[i].name;
    if (cc_fields_is_hop(name)) continue;
    if (connection && cc_fields_listed(connection->value, name)) continue;
    if (attempt->frames && cc_slice_is_nocase(name, "content-type"))
      cc_fields_add(&attempt->headers, name, cc_slice_text("text/event-stream"));
    else
      cc_fields_add(&attempt->headers, name, head->header[i].value);
  }
}

static bool is_encoded(const struct cc_http1_head *head) {
  const struct cc_header *encoding = cc_http1_find(head, cc_slice_text("content-encoding"));
  return encoding && encoding->value.size && !cc_slice_is_nocase(encoding->value, "identity");
}

static bool has_type(const struct cc_http1_head *head, const char *prefix) {
  const struct cc_header *type = cc_http1_find(head, cc_slice_text("content-type"));
  return type && begins_with(type->value, prefix);
}

static bool comes_in_frames(const struct cc_attempt *attempt, const struct cc_http1_head *head) {
  return attempt->spec.framing == CC_FRAMING_EVENTSTREAM && head->status >= 200 &&
         head->status < 300 && has_type(head, "application/vnd.amazon.eventstream") &&
         !is_encoded(head);
}

static uint8_t kind_of(const struct cc_attempt *attempt, const struct cc_http1_head *head) {
  if (attempt->spec.framing == CC_FRAMING_OPAQUE || is_encoded(head)) return CC_BODY_OPAQUE;
  if (head->status < 200 || head->status > 299) return CC_BODY_FAULT;
  bool sse = attempt->frames || has_type(head, "text/event-stream");
  if (sse != attempt->spec.stream) return CC_BODY_FAULT;
  return sse ? CC_BODY_SSE : CC_BODY_JSON;
}

void cc_gate_head(struct cc_attempt *attempt, const struct cc_http1_head *head) {
  attempt->status = head->status;
  attempt->content_length = head->chunked ? -1 : head->content_length;
  if (comes_in_frames(attempt, head)) attempt->frames = cc_alloc(sizeof *attempt->frames);
  attempt->kind = kind_of(attempt, head);
  keep_headers(attempt, head);
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
  if (attempt->spec.gate_ms) cc_timer_set(&attempt->timer, attempt->spec.gate_ms);
}

// ---- Events of a stream ------------------------------------------------------------------------

static int observe_one(struct cc_attempt *attempt, const char *event, size_t size) {
  struct cc_buffer joined = {0};
  struct cc_sse_fields fields;
  cc_sse_fields(event, size, &joined, &fields);
  int kind = CC_MESSAGES_PING;
  if (!fields.comment_only) {
    kind = (int)cc_messages_event(fields.event, fields.data);
    attempt->events++;
    if (kind == CC_MESSAGES_START || kind == CC_MESSAGES_DELTA) {
      bool known = cc_usage_read(fields.data, &attempt->usage);
      attempt->usage_known |= known;
      attempt->usage_final |= known && kind == CC_MESSAGES_DELTA;
    }
    if (kind == CC_MESSAGES_STOP) attempt->stop_seen = true;
    if (kind == CC_MESSAGES_ERROR) {
      attempt->error_seen = true;
      cc_attempt_note_error(attempt, fields.data);
    }
  }
  cc_buffer_free(&joined);
  return kind;
}

int cc_attempt_observe(struct cc_attempt *attempt, const char *data, size_t size) {
  for (;;) {
    size_t event = cc_sse_event(&attempt->sse, data + attempt->seen, size - attempt->seen);
    if (!event) return CC_MESSAGES_PING;
    int kind = observe_one(attempt, data + attempt->seen, event);
    attempt->seen += event;
    bool decides = kind != CC_MESSAGES_START && kind != CC_MESSAGES_PING;
    if (decides && !attempt->content_seen) {
      attempt->content_seen = true;
      return kind;
    }
  }
}

static void hold_event_stream(struct cc_attempt *attempt) {
  int kind = cc_attempt_observe(attempt, attempt->held.data, attempt->held.size);
  if (attempt->content_seen)
    settle(attempt, kind == CC_MESSAGES_ERROR ? CC_ESTREAM_ERROR : CC_OK);
  else if (attempt->held.size > attempt->spec.gate_bytes)
    settle(attempt, CC_OK);
}

// ---- Bodies ------------------------------------------------------------------------------------

static bool looks_like_object(struct cc_slice body) {
  for (uint32_t i = 0; i < body.size; i++)
    if (!strchr(" \t\r\n", body.data[i])) return body.data[i] == '{';
  return false;
}

static int judge_json(struct cc_attempt *attempt, struct cc_slice body) {
  if (!body.size) return CC_EEMPTY;
  if (!looks_like_object(body)) return CC_ENOTJSON;
  if (!attempt->complete) return CC_OK;
  int judged = cc_usage_judge(body, &attempt->usage, &attempt->usage_known);
  attempt->usage_final = attempt->usage_known;
  return judged;
}

static void note_error(struct cc_attempt *attempt) {
  cc_attempt_note_error(attempt, held(attempt));
}

void cc_gate_body(struct cc_attempt *attempt, struct cc_slice piece) {
  if (attempt->phase == CC_SETTLED) { // a piece that was under way when the gate was decided
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
    settle(attempt, judge_json(attempt, held(attempt)));
  else if (attempt->kind == CC_BODY_FAULT && attempt->held.size > ERROR_BODY)
    settle(attempt, attempt->status < 300 ? CC_ENOTJSON : CC_OK);
}

static int judge_end(struct cc_attempt *attempt) {
  switch (attempt->kind) {
  case CC_BODY_SSE:
    return attempt->events ? CC_ETRUNCATED : CC_EEMPTY;
  case CC_BODY_JSON: {
    int error = judge_json(attempt, held(attempt));
    if (error == CC_ESTREAM_ERROR) note_error(attempt);
    return error;
  }
  case CC_BODY_OPAQUE:
    return attempt->held.size || attempt->spec.framing == CC_FRAMING_OPAQUE ? CC_OK : CC_EEMPTY;
  default:
    note_error(attempt);
    if (attempt->status >= 300) return CC_OK;
    return attempt->held.size ? CC_ENOTJSON : CC_EEMPTY;
  }
}

void cc_gate_end(struct cc_attempt *attempt) {
  if (attempt->phase != CC_HOLDING) return;
  settle(attempt, judge_end(attempt));
}

void cc_gate_fail(struct cc_attempt *attempt, int error) {
  if (attempt->phase == CC_SETTLED) { // good so far, and lost before the policy answered
    attempt->error = attempt->stop_seen ? CC_OK : error;
    return;
  }
  settle(attempt, error);
}

void cc_gate_timeout(struct cc_attempt *attempt) {
  bool opens = attempt->spec.gate_opens && attempt->kind != CC_BODY_FAULT;
  settle(attempt, opens ? CC_OK : CC_EGATE_TIMEOUT);
}
