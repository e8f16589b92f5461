// SPDX-License-Identifier: Apache-2.0
// Sends the request of an attempt and hands the answer to the sink. If a pooled connection turns out to
// be dead before any byte of the answer came, the request is sent once more on another, unseen.
#include "api/error.h"
#include "api/util.h"
#include "attempt/gate.h"
#include "attempt/reply.h"
#include "shared/reservations.h"
#include <stdlib.h>
#include <string.h>

enum { WRITE_PIECE = 256 * 1024, PARTS = 64 };

static uint64_t now_of(const struct cc_attempt *attempt) {
  return cc_relay_now(attempt->relay);
}

static void hash_more(struct cc_attempt *attempt);

// ---- Deadlines ---------------------------------------------------------------------------------

// Sets the timer to the head deadline, which is absolute, or to the write deadline if that comes first.
static void arm(struct cc_attempt *attempt) {
  uint64_t now = now_of(attempt), due = attempt->head_due;
  uint32_t write_ms = attempt->relay->bounds.write_ms;
  bool connected = attempt->connected_at > 0;
  if (attempt->phase == CC_SENDING && connected && write_ms && (!due || now + write_ms < due))
    due = now + write_ms;
  if (due)
    cc_timer_set(&attempt->timer, due > now ? due - now : 1);
  else
    cc_timer_stop(&attempt->timer);
}

static void on_timer(struct cc_timer *timer) {
  struct cc_attempt *attempt = timer->data;
  uint64_t now = now_of(attempt);
  bool head_late = attempt->head_due && now >= attempt->head_due;
  switch (attempt->phase) {
  case CC_HASHING:
    hash_more(attempt);
    break;
  case CC_SENDING:
    attempt->sink->fail(attempt, head_late ? CC_EHEAD_TIMEOUT : CC_EWRITE_TIMEOUT);
    break;
  case CC_EXPECTING:
    attempt->sink->fail(attempt, CC_EHEAD_TIMEOUT);
    break;
  case CC_HOLDING:
  case CC_PUMPING:
    attempt->sink->timeout(attempt);
    break;
  default:
    break;
  }
}

// ---- Sending -----------------------------------------------------------------------------------

static struct cc_slice body_piece(struct cc_attempt *attempt, size_t offset, size_t most) {
  const struct cc_buffer *body = attempt->has_body ? &attempt->body : &attempt->request->body;
  struct cc_slice piece = attempt->has_body
                              ? cc_slice(body->data + offset, body->size - offset)
                              : cc_edits_piece(&attempt->edits, body->data, body->size, offset);
  if (piece.size > most) piece.size = (uint32_t)most;
  return piece;
}

// Collects what to write next: the head, unless it was written, and pieces of the body. Edits may cut a
// body into a million pieces, so one write takes many. Returns the number of parts.
static size_t next_parts(struct cc_attempt *attempt, struct cc_slice parts[PARTS]) {
  size_t count = 0, left = WRITE_PIECE;
  if (attempt->wire_sent < attempt->wire.size)
    parts[count++] =
        cc_slice(attempt->wire.data + attempt->wire_sent, attempt->wire.size - attempt->wire_sent);
  attempt->wire_sent = attempt->wire.size;
  while (count < PARTS && left && attempt->body_sent < attempt->body_size) {
    struct cc_slice piece = body_piece(attempt, attempt->body_sent, left);
    parts[count++] = piece;
    attempt->body_sent += piece.size;
    left -= piece.size;
  }
  return count;
}

static bool all_sent(const struct cc_attempt *attempt) {
  return attempt->wire_sent == attempt->wire.size && attempt->body_sent == attempt->body_size;
}

static void note_sent(struct cc_attempt *attempt) {
  if (attempt->sent) return;
  attempt->sent = true;
  for (size_t i = 0; i < sizeof attempt->spec.entries / sizeof *attempt->spec.entries; i++)
    cc_reservations_sent(attempt->spec.entries[i]);
}

// Writes until the system takes no more; the stream keeps what it refused. If the head of the answer is
// here already, sending goes on without a change of phase.
static void send_more(struct cc_attempt *attempt) {
  while (attempt->out && !all_sent(attempt) && !attempt->out->stream->queued && !attempt->dirty) {
    struct cc_slice parts[PARTS];
    size_t count = next_parts(attempt, parts);
    note_sent(attempt);
    if (cc_outbound_write(attempt->out, parts, (unsigned)count) != CC_OK) return;
  }
  if (attempt->phase != CC_SENDING) return;
  if (all_sent(attempt) && !attempt->out->stream->queued) attempt->phase = CC_EXPECTING;
  arm(attempt);
}

static void ready(struct cc_outbound *out) {
  struct cc_attempt *attempt = out->user;
  attempt->reused = out->reused;
  attempt->connected_at = cc_now();
  if (!attempt->spec.stream && attempt->spec.framing != CC_FRAMING_OPAQUE) attempt->head_due = 0;
  bool head_only = attempt->method.size == 4 && memcmp(attempt->method.data, "HEAD", 4) == 0;
  cc_outbound_begin(out, head_only);
  int error = cc_attempt_head(attempt);
  if (error != CC_OK) {
    attempt->sink->fail(attempt, error);
    return;
  }
  attempt->wire_sent = attempt->body_sent = 0;
  send_more(attempt);
}

static void drain(struct cc_outbound *out) {
  send_more(out->user);
}

static bool worth_retry(const struct cc_attempt *attempt, int error) {
  bool died = error == CC_ERESET || error == CC_EEOF;
  bool before_answer = attempt->phase == CC_SENDING || attempt->phase == CC_EXPECTING;
  return died && before_answer && attempt->reused && !attempt->retried &&
         !cc_http1_busy(attempt->out->parser);
}

static const struct cc_outbound_events events;

static void connect_upstream(struct cc_attempt *attempt, bool fresh) {
  attempt->phase = CC_SENDING;
  attempt->connected_at = 0;
  attempt->out = cc_pool_take(attempt->relay->pool, attempt->origin, fresh, &events, attempt);
  arm(attempt);
}

// Passes a piece of the body to the sink, without the relay's credentials.
static void pass_body(struct cc_attempt *attempt, struct cc_slice piece) {
  struct cc_buffer copy = {0};
  struct cc_slice clean = cc_redactor_next(&attempt->own, piece, &copy);
  if (clean.size) attempt->sink->body(attempt, clean);
  cc_buffer_wipe(&copy);
}

// Passes on what the redactor held back: no more bytes come.
static void pass_rest(struct cc_attempt *attempt) {
  struct cc_buffer rest = attempt->own.held;
  attempt->own.held = (struct cc_buffer){0};
  if (rest.size) attempt->sink->body(attempt, cc_slice(rest.data, rest.size));
  cc_buffer_wipe(&rest);
}

static void fail(struct cc_outbound *out, int error) {
  struct cc_attempt *attempt = out->user;
  free(attempt->detail);
  attempt->detail = cc_copy_text(out->detail, strlen(out->detail));
  if (worth_retry(attempt, error)) {
    attempt->out = NULL;
    attempt->retried = true;
    connect_upstream(attempt, true);
    return;
  }
  attempt->out = NULL;
  pass_rest(attempt);
  attempt->sink->fail(attempt, error);
}

// Passes frames to the sink as server-sent events.
static void pass_frames(struct cc_attempt *attempt, struct cc_slice piece) {
  struct cc_buffer sse = {0};
  bool decided = attempt->content_seen || attempt->phase == CC_PUMPING;
  int error = cc_bedrock_stream_read(attempt->frames, piece, decided, &sse);
  if (sse.size) pass_body(attempt, cc_slice(sse.data, sse.size));
  cc_buffer_free(&sse);
  if (error != CC_OK) attempt->sink->fail(attempt, error);
}

static void got_body(struct cc_outbound *out, struct cc_slice piece) {
  struct cc_attempt *attempt = out->user;
  if (!attempt->begun) cc_reply_begin(attempt, piece);
  if (attempt->frames)
    pass_frames(attempt, piece);
  else
    pass_body(attempt, piece);
}

static void got_end(struct cc_outbound *out) {
  struct cc_attempt *attempt = out->user;
  int error = attempt->frames ? cc_bedrock_stream_end(attempt->frames) : CC_OK;
  attempt->out = NULL;
  pass_rest(attempt);
  if (error != CC_OK) {
    cc_outbound_drop(out);
    attempt->sink->fail(attempt, error);
    return;
  }
  attempt->complete = true;
  if (attempt->dirty || !all_sent(attempt))
    cc_outbound_drop(out);
  else
    cc_outbound_release(out);
  attempt->sink->end(attempt);
}

static void got_head(struct cc_outbound *out, const struct cc_http1_head *head) {
  struct cc_attempt *attempt = out->user;
  if (head->status >= 400 && !all_sent(attempt)) attempt->dirty = true;
  attempt->head_at = cc_now();
  attempt->head_due = 0;
  cc_timer_stop(&attempt->timer);
  attempt->phase = CC_HOLDING;
  attempt->sink->head(attempt, head);
}

static const struct cc_outbound_events events = {ready, drain, got_head, got_body, got_end, fail};

// ---- Life --------------------------------------------------------------------------------------

struct cc_attempt *cc_attempt_new(struct cc_relay *relay, const struct cc_client_request *request,
                                  int origin, const struct cc_attempt_spec *spec) {
  struct cc_attempt *attempt = cc_alloc(sizeof *attempt);
  attempt->relay = relay;
  attempt->request = request;
  attempt->sink = &cc_gate;
  attempt->origin = origin;
  attempt->spec = *spec;
  attempt->content_length = -1;
  cc_timer_init(&attempt->timer, &relay->loop, on_timer);
  attempt->timer.data = attempt;
  return attempt;
}

// ---- The hash of the body ----------------------------------------------------------------------

// Hashes one piece per turn of the event loop, so that a large body does not delay other exchanges.
static void hash_more(struct cc_attempt *attempt) {
  struct cc_signing *signing = attempt->signing;
  size_t end = signing->hashed + CC_SIGNING_PIECE;
  while (signing->hashed < attempt->body_size && signing->hashed < end)
    cc_signing_add(signing, body_piece(attempt, signing->hashed, end - signing->hashed));
  if (signing->hashed < attempt->body_size) {
    cc_timer_set(&attempt->timer, 1);
    return;
  }
  cc_signing_done(signing);
  connect_upstream(attempt, false);
}

// Returns the credential in the value of a header, without the name of its scheme ("Bearer").
static struct cc_slice credential_of(struct cc_slice value) {
  const char *space = value.size ? memchr(value.data, ' ', value.size) : NULL;
  if (!space) return value;
  return cc_slice(space + 1, value.size - (size_t)(space + 1 - value.data));
}

static bool is_the_clients(const struct cc_attempt *attempt, struct cc_slice name,
                           struct cc_slice value) {
  const struct cc_http1_head *head = attempt->request->head;
  const struct cc_header *found = head ? cc_http1_find(head, name) : NULL;
  return found && found->value.size == value.size &&
         memcmp(found->value.data, value.data, value.size) == 0;
}

// Registers the relay's credentials, which the redactor removes when an upstream repeats them.
static void note_own_credentials(struct cc_attempt *attempt) {
  for (uint32_t i = 0; i < attempt->request_headers.count; i++) {
    struct cc_slice name = cc_headers_name(&attempt->request_headers, i);
    struct cc_slice value = cc_headers_value(&attempt->request_headers, i);
    if (cc_headers_is_credential(name) && !is_the_clients(attempt, name, value))
      cc_redactor_add(&attempt->own, credential_of(value));
  }
  if (!attempt->signing) return;
  cc_redactor_add(&attempt->own, attempt->signing->signer.secret_key);
  cc_redactor_add(&attempt->own, attempt->signing->signer.session_token);
}

void cc_attempt_start(struct cc_attempt *attempt) {
  note_own_credentials(attempt);
  size_t size = attempt->has_body ? attempt->body.size : attempt->request->body.size;
  attempt->body_size = attempt->has_body ? size : cc_edits_size(&attempt->edits, size);
  attempt->changed = (uint32_t)(attempt->has_body ? size : cc_edits_changed(&attempt->edits));
  attempt->sent_at = cc_now();
  if (attempt->spec.head_ms) attempt->head_due = now_of(attempt) + attempt->spec.head_ms;
  if (attempt->signing) {
    attempt->phase = CC_HASHING;
    hash_more(attempt);
    return;
  }
  connect_upstream(attempt, false);
}

static bool sends_on(const struct cc_attempt *attempt) {
  if (attempt->phase == CC_HASHING) return true;
  return attempt->out && !all_sent(attempt) && !attempt->dirty;
}

bool cc_attempt_needs_body(const struct cc_attempt *attempt) {
  return !attempt->has_body && sends_on(attempt);
}

// Frees what was drafted and written, and the headers of the answer.
static void free_drafted(struct cc_attempt *attempt) {
  cc_buffer_free(&attempt->method);
  cc_buffer_free(&attempt->target);
  cc_buffer_wipe(&attempt->wire);
  attempt->wire_sent = 0;
  cc_buffer_wipe(&attempt->body);
  cc_headers_free(&attempt->request_headers);
  cc_buffer_free(&attempt->allowed);
  cc_edits_free(&attempt->edits);
  cc_headers_free(&attempt->headers);
  cc_signing_free(attempt->signing);
  attempt->signing = NULL;
}

void cc_attempt_free_request(struct cc_attempt *attempt) {
  if (sends_on(attempt)) return;
  free_drafted(attempt);
  if (attempt->out) cc_http1_forget(attempt->out->parser);
}

void cc_attempt_close(struct cc_attempt *attempt) {
  attempt->phase = CC_CLOSED;
  cc_timer_stop(&attempt->timer);
  if (attempt->out) cc_outbound_drop(attempt->out);
  attempt->out = NULL;
}

static void timer_closed(uv_handle_t *handle) {
  struct cc_timer *timer = (struct cc_timer *)handle;
  free(timer->data);
}

void cc_attempt_free(struct cc_attempt *attempt) {
  cc_attempt_close(attempt);
  free_drafted(attempt);
  cc_buffer_free(&attempt->held);
  if (attempt->frames) cc_bedrock_stream_free(attempt->frames);
  free(attempt->frames);
  free(attempt->detail);
  free(attempt->error_type);
  cc_redactor_free(&attempt->own);
  cc_timer_close(&attempt->timer, timer_closed);
}
