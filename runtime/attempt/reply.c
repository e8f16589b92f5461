// SPDX-License-Identifier: Apache-2.0
#include "attempt/reply.h"
#include "api/error.h"
#include "api/json.h"
#include "codec/usage.h"
#include <string.h>

// With NUL; one byte more shows that a type is too long.
enum { ERROR_TYPE = CC_API_ERROR_TYPE + 2 };

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
    if (cc_headers_is_hop(name)) continue;
    if (connection && cc_headers_listed(connection->value, name)) continue;
    if (cc_redactor_finds(&attempt->own, name)) continue;
    cc_headers_add(&attempt->headers, name, head->header[i].value);
    struct cc_buffer *text = &attempt->headers.text;
    uint32_t size = head->header[i].value.size;
    cc_redactor_clean(&attempt->own, text->data + text->size - size, size);
  }
}

static bool is_encoded(const struct cc_http1_head *head) {
  const struct cc_header *encoding = cc_http1_find(head, cc_slice_text("content-encoding"));
  return encoding && encoding->value.size && !cc_slice_is_nocase(encoding->value, "identity");
}

static bool is_labelled_frames(const struct cc_http1_head *head) {
  const struct cc_header *type = cc_http1_find(head, cc_slice_text("content-type"));
  return type && begins_with(type->value, "application/vnd.amazon.eventstream");
}

static uint8_t kind_of(const struct cc_attempt *attempt, const struct cc_http1_head *head) {
  if (attempt->spec.framing == CC_FRAMING_OPAQUE) return CC_BODY_OPAQUE;
  if (head->status < 200 || head->status > 299) return CC_BODY_FAULT;
  if (is_encoded(head)) return CC_BODY_OPAQUE;
  return attempt->spec.stream ? CC_BODY_SSE : CC_BODY_JSON;
}

static void begin_frames(struct cc_attempt *attempt) {
  attempt->begun = true;
  attempt->frames = cc_alloc(sizeof *attempt->frames);
}

void cc_reply_head(struct cc_attempt *attempt, const struct cc_http1_head *head) {
  attempt->status = head->status;
  attempt->content_length = head->chunked ? -1 : head->content_length;
  attempt->kind = kind_of(attempt, head);
  attempt->begun = attempt->kind != CC_BODY_SSE;
  bool frames = attempt->spec.framing == CC_FRAMING_EVENTSTREAM && is_labelled_frames(head);
  if (frames && !attempt->begun) begin_frames(attempt);
  keep_headers(attempt, head);
}

// ---- Kind of the body --------------------------------------------------------------------------

// White space, or a byte of a BOM.
static bool is_blank(char byte) {
  return byte && strchr(" \t\r\n\xef\xbb\xbf", byte);
}

// The first byte of a frame is that of its size, 0 or 1. No event stream begins like JSON or HTML.
void cc_reply_begin(struct cc_attempt *attempt, struct cc_slice piece) {
  uint32_t at = 0;
  while (at < piece.size && is_blank(piece.data[at]))
    at++;
  if (at == piece.size) return;
  char first = piece.data[at];
  attempt->begun = true;
  if (attempt->spec.framing == CC_FRAMING_EVENTSTREAM && (first == 0 || first == 1))
    begin_frames(attempt);
  else if (attempt->phase == CC_HOLDING && first && strchr("{[<", first))
    attempt->kind = CC_BODY_FAULT;
}

void cc_reply_label(struct cc_attempt *attempt) {
  const char *type = attempt->kind == CC_BODY_SSE ? "text/event-stream" : "application/json";
  if (attempt->kind != CC_BODY_SSE && attempt->kind != CC_BODY_JSON) return;
  struct cc_slice name = cc_slice_text("content-type");
  int index = cc_headers_find(&attempt->headers, name);
  if (index >= 0 && begins_with(cc_headers_value(&attempt->headers, (uint32_t)index), type)) return;
  cc_headers_set(&attempt->headers, name, cc_slice_text(type));
}

static bool looks_like_object(struct cc_slice body) {
  for (uint32_t i = 0; i < body.size; i++)
    if (!is_blank(body.data[i])) return body.data[i] == '{';
  return false;
}

int cc_reply_judge(struct cc_attempt *attempt) {
  struct cc_slice body = held(attempt);
  if (!body.size) return CC_EEMPTY;
  if (!looks_like_object(body)) return CC_ENOTJSON;
  enum cc_success success = attempt->spec.success;
  if (!attempt->complete) return cc_usage_judge_start(body, success);
  int judged = cc_usage_judge(body, success, &attempt->usage, &attempt->usage_known);
  attempt->usage_final = attempt->usage_known;
  return judged;
}

// ---- Events of a stream ------------------------------------------------------------------------

static void note_error(struct cc_attempt *attempt, struct cc_slice data) {
  char *type = attempt->error_type ? attempt->error_type : cc_alloc(ERROR_TYPE);
  attempt->error_seen = true;
  attempt->error_type = type;
  cc_messages_error_type(data, type, ERROR_TYPE);
  if (!cc_api_error_is_type(type, (uint32_t)strlen(type))) strcpy(type, cc_api_error_type(500));
}

static void note_event(struct cc_attempt *attempt, enum cc_messages_event kind,
                       struct cc_slice data) {
  attempt->events++;
  attempt->content_seen |= kind != CC_MESSAGES_START && kind != CC_MESSAGES_PING;
  if (kind == CC_MESSAGES_START || kind == CC_MESSAGES_DELTA) {
    bool known = cc_usage_read(data, &attempt->usage);
    attempt->usage_known |= known;
    attempt->usage_final |= known && kind == CC_MESSAGES_DELTA;
  }
  attempt->stop_seen |= kind == CC_MESSAGES_STOP;
  if (kind == CC_MESSAGES_ERROR) note_error(attempt, data);
}

static void observe(struct cc_attempt *attempt, const char *data, struct cc_reply_event *event) {
  struct cc_buffer joined = {0};
  struct cc_sse_fields fields;
  cc_sse_fields(data + event->start, event->size, &joined, &fields);
  event->kind = cc_messages_kind(&fields, event->text, &event->name);
  event->name_at = event->start + fields.name_at;
  if (!fields.comment_only) note_event(attempt, event->kind, fields.data);
  cc_buffer_free(&joined);
}

bool cc_reply_next(struct cc_attempt *attempt, const char *data, size_t size,
                   struct cc_reply_event *event) {
  event->start = attempt->seen;
  event->size = cc_sse_event(&attempt->sse, data + event->start, size - event->start);
  if (!event->size) return false;
  observe(attempt, data, event);
  attempt->seen += event->size;
  return true;
}

void cc_reply_again(struct cc_attempt *attempt) {
  attempt->sse = (struct cc_sse){0};
  attempt->seen = 0;
  attempt->events = 0;
}

struct cc_slice cc_reply_error_type(const struct cc_attempt *attempt) {
  return cc_slice_text(attempt->error_type ? attempt->error_type : "");
}

static bool lacks_only_its_end(struct cc_slice event) {
  struct cc_buffer joined = {0};
  struct cc_sse_fields fields;
  cc_sse_fields(event.data, event.size, &joined, &fields);
  struct cc_slice data = fields.data;
  bool whole = looks_like_object(data) && cc_json_valid(data.data, data.size);
  cc_buffer_free(&joined);
  return whole;
}

void cc_reply_end(struct cc_attempt *attempt) {
  struct cc_buffer *held = &attempt->held;
  if (attempt->kind != CC_BODY_SSE || held->size <= attempt->seen) return;
  if (!lacks_only_its_end(cc_slice(held->data + attempt->seen, held->size - attempt->seen))) return;
  cc_buffer_add_text(held, held->data[held->size - 1] == '\n' ? "\n" : "\n\n");
}
