// SPDX-License-Identifier: Apache-2.0
// The functions of api/attempt.h and api/outcome.h: Lua drafts, sends and reads attempts.
#include "api/error.h"
#include "attempt/hops.h"
#include "attempt/reply.h"
#include "exchange/exchange_internal.h"
#include <stdlib.h>
#include <string.h>

static struct cc_attempt *find(struct cc_relay *relay, cc_id id, int number, int *error) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  *error = exchange ? CC_OK : CC_ESTALE;
  if (!exchange) return NULL;
  struct cc_attempt *attempt = number == 0 || number == 1 ? exchange->attempts[number] : NULL;
  if (!attempt) *error = CC_ENOTFOUND;
  return attempt;
}

static struct cc_attempt *draft(struct cc_relay *relay, cc_id id, int number, int *error) {
  struct cc_attempt *attempt = find(relay, id, number, error);
  if (!attempt || attempt->phase == CC_DRAFT) return attempt;
  *error = CC_ESTATE;
  return NULL;
}

// Ranks an attempt by how much it is needed: the one of lower rank makes room for the next.
static int rank_of(const struct cc_attempt *attempt) {
  if (!attempt) return 0;
  if (attempt->phase == CC_CLOSED) return 1;
  return attempt->phase == CC_SETTLED ? 2 : 3;
}

// Returns the place for a new attempt. The attempt that has it is freed: one that is over rather than one
// under way, the older one otherwise.
static int free_place(struct cc_exchange *exchange) {
  struct cc_attempt **attempts = exchange->attempts;
  int a = rank_of(attempts[0]), b = rank_of(attempts[1]), place = a < b ? 0 : 1;
  if (a == b) place = a && attempts[0]->serial > attempts[1]->serial ? 1 : 0;
  if (attempts[place]) cc_attempt_free(attempts[place]);
  attempts[place] = NULL;
  return place;
}

int cc_attempt_begin(struct cc_relay *relay, cc_id id, int origin,
                     const struct cc_attempt_spec *spec) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->complete || exchange->phase != CC_WAITING || !exchange->inbound) return CC_ESTATE;
  if (origin < 0 || spec->framing > CC_FRAMING_EVENTSTREAM) return CC_EINVAL;
  int number = free_place(exchange);
  struct cc_attempt *attempt = cc_attempt_new(relay, &exchange->request, origin, spec);
  attempt->exchange = exchange;
  attempt->exchange_id = id;
  attempt->index = number;
  cc_buffer_add(&attempt->method, exchange->line.data + exchange->peer_size, exchange->method_size);
  exchange->attempts[number] = attempt;
  attempt->serial = exchange->report.attempts++;
  return number;
}

int cc_attempt_method(struct cc_relay *relay, cc_id id, int number, const char *text,
                      uint32_t size) {
  int error;
  struct cc_attempt *attempt = draft(relay, id, number, &error);
  if (!attempt) return error;
  if (!cc_http1_is_token(cc_slice(text, size))) return CC_EINVAL;
  cc_buffer_clear(&attempt->method);
  cc_buffer_add(&attempt->method, text, size);
  return CC_OK;
}

int cc_attempt_target(struct cc_relay *relay, cc_id id, int number, const char *text,
                      uint32_t size) {
  int error;
  struct cc_attempt *attempt = draft(relay, id, number, &error);
  if (!attempt) return error;
  if (!cc_http1_is_target(cc_slice(text, size))) return CC_EINVAL;
  cc_buffer_clear(&attempt->target);
  cc_buffer_add(&attempt->target, text, size);
  return CC_OK;
}

int cc_attempt_header(struct cc_relay *relay, cc_id id, int number, const char *name,
                      uint32_t name_size, const char *value, uint32_t value_size) {
  int error;
  struct cc_attempt *attempt = draft(relay, id, number, &error);
  if (!attempt) return error;
  struct cc_slice key = cc_slice(name, name_size), text = cc_slice(value, value_size);
  if (!cc_http1_is_token(key) || !cc_http1_is_value(text)) return CC_EINVAL;
  if (cc_headers_is_hop(key) || cc_hops_is_field(key) || cc_slice_is_nocase(key, "host") ||
      cc_slice_is_nocase(key, "content-length") || cc_slice_is_nocase(key, "accept-encoding"))
    return CC_EINVAL;
  if (attempt->request_headers.count >= CC_MOST_HEADERS) return CC_ELIMIT;
  cc_headers_set(&attempt->request_headers, key, text);
  return CC_OK;
}

int cc_attempt_pass_headers(struct cc_relay *relay, cc_id id, int number, const char *names,
                            uint32_t size) {
  int error;
  struct cc_attempt *attempt = draft(relay, id, number, &error);
  if (!attempt) return error;
  attempt->pass = true;
  cc_buffer_clear(&attempt->allowed);
  cc_buffer_add(&attempt->allowed, names, size);
  return CC_OK;
}

int cc_attempt_set(struct cc_relay *relay, cc_id id, int number, const char *field,
                   uint32_t field_size, const char *json, uint32_t json_size) {
  int error;
  struct cc_attempt *attempt = draft(relay, id, number, &error);
  if (!attempt) return error;
  if (attempt->has_body) return CC_ESTATE;
  const struct cc_buffer *body = &attempt->request->body;
  return cc_edits_set(&attempt->edits, body->data, body->size, cc_slice(field, field_size),
                      cc_slice(json, json_size));
}

int cc_attempt_remove(struct cc_relay *relay, cc_id id, int number, const char *path,
                      uint32_t size) {
  int error;
  struct cc_attempt *attempt = draft(relay, id, number, &error);
  if (!attempt) return error;
  if (attempt->has_body) return CC_ESTATE;
  const struct cc_buffer *body = &attempt->request->body;
  return cc_edits_remove_path(&attempt->edits, body->data, body->size, cc_slice(path, size));
}

int cc_attempt_sign(struct cc_relay *relay, cc_id id, int number, const struct cc_signer *signer) {
  int error;
  struct cc_attempt *attempt = draft(relay, id, number, &error);
  if (!attempt) return error;
  cc_signing_free(attempt->signing);
  attempt->signing = cc_signing_new(signer);
  return attempt->signing ? CC_OK : CC_EINVAL;
}

int cc_attempt_body(struct cc_relay *relay, cc_id id, int number, char **out, uint32_t *out_size) {
  int error;
  struct cc_attempt *attempt = draft(relay, id, number, &error);
  if (!attempt) return error;
  struct cc_buffer view = {0};
  const struct cc_buffer *body = attempt->has_body ? &attempt->body : &attempt->request->body;
  cc_buffer_reserve(&view, body->size + 1); // there is memory even for nothing
  if (attempt->has_body)
    cc_buffer_add(&view, body->data, body->size);
  else
    cc_edits_view(&attempt->edits, body->data, body->size, &view);
  *out = view.data;
  *out_size = (uint32_t)view.size;
  return CC_OK;
}

int cc_attempt_replace(struct cc_relay *relay, cc_id id, int number, const char *text,
                       uint32_t size) {
  int error;
  struct cc_attempt *attempt = draft(relay, id, number, &error);
  if (!attempt) return error;
  cc_buffer_wipe(&attempt->body);
  cc_buffer_add(&attempt->body, text, size);
  attempt->has_body = true;
  cc_edits_free(&attempt->edits);
  return CC_OK;
}

int cc_attempt_send(struct cc_relay *relay, cc_id id, int number) {
  int error;
  struct cc_attempt *attempt = draft(relay, id, number, &error);
  if (!attempt) return error;
  if (!attempt->target.size) return CC_EINVAL;
  cc_attempt_start(attempt);
  return CC_OK;
}

bool cc_attempt_sent(struct cc_relay *relay, cc_id id, int number) {
  int error;
  const struct cc_attempt *attempt = find(relay, id, number, &error);
  return attempt && attempt->sent;
}

int cc_attempt_cancel(struct cc_relay *relay, cc_id id, int number) {
  int error;
  struct cc_attempt *attempt = find(relay, id, number, &error);
  if (!attempt) return error;
  if (attempt->phase == CC_PUMPING) return CC_ESTATE;
  cc_attempt_close(attempt);
  return CC_OK;
}

// ---- Outcome -----------------------------------------------------------------------------------

static double since_sent(const struct cc_attempt *attempt, double when) {
  return when > 0 ? when - attempt->sent_at : 0;
}

int cc_outcome(struct cc_relay *relay, cc_id id, int number, struct cc_outcome *out) {
  int error;
  struct cc_attempt *attempt = find(relay, id, number, &error);
  if (!attempt) return error;
  if (attempt->phase < CC_SETTLED) return CC_ESTATE;
  *out = (struct cc_outcome){
      .error = attempt->error,
      .status = attempt->status,
      .complete = attempt->complete,
      .sent = attempt->sent,
      .reused = attempt->reused,
      .headers = attempt->headers.count,
      .body = cc_slice(attempt->held.data, attempt->held.size),
      .connect_ms = since_sent(attempt, attempt->connected_at),
      .head_ms = since_sent(attempt, attempt->head_at),
      .gate_ms = since_sent(attempt, attempt->settled_at),
      .changed_bytes = attempt->changed,
      .detail = cc_slice_text(attempt->detail ? attempt->detail : ""),
      .usage_known = attempt->usage_known,
      .usage = attempt->usage,
  };
  return CC_OK;
}

int cc_outcome_header(struct cc_relay *relay, cc_id id, int number, const char *name, uint32_t size,
                      struct cc_slice *value) {
  int error;
  struct cc_attempt *attempt = find(relay, id, number, &error);
  if (!attempt) return error;
  int index = cc_headers_find(&attempt->headers, cc_slice(name, size));
  if (index < 0) return CC_ENOTFOUND;
  *value = cc_headers_value(&attempt->headers, (uint32_t)index);
  return CC_OK;
}

int cc_outcome_header_at(struct cc_relay *relay, cc_id id, int number, uint32_t index,
                         struct cc_slice *name, struct cc_slice *value) {
  int error;
  struct cc_attempt *attempt = find(relay, id, number, &error);
  if (!attempt) return error;
  if (index >= attempt->headers.count) return CC_ENOTFOUND;
  *name = cc_headers_name(&attempt->headers, index);
  *value = cc_headers_value(&attempt->headers, index);
  return CC_OK;
}

int cc_outcome_replace(struct cc_relay *relay, cc_id id, int number, const char *body,
                       uint32_t size) {
  int error;
  struct cc_attempt *attempt = find(relay, id, number, &error);
  if (!attempt) return error;
  bool whole = attempt->phase == CC_SETTLED && attempt->error == CC_OK && attempt->complete;
  if (!whole || attempt->kind == CC_BODY_SSE) return CC_ESTATE;
  cc_buffer_clear(&attempt->held);
  cc_buffer_add(&attempt->held, body, size);
  return CC_OK;
}
