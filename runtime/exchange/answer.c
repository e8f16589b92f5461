// SPDX-License-Identifier: Apache-2.0
// Answers the client with an upstream's answer or one of the relay's own.
#include "api/error.h"
#include "api/util.h"
#include "codec/api_error.h"
#include "codec/messages.h"
#include "exchange/client.h"
#include "exchange/pump.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADERS = 256, ADDED = 4 };

static struct cc_exchange *answerable(struct cc_relay *relay, cc_id id, int *error) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  *error = exchange ? CC_OK : CC_ESTALE;
  if (exchange && (exchange->phase >= CC_ANSWERING || !exchange->inbound)) *error = CC_ESTATE;
  return *error == CC_OK ? exchange : NULL;
}

static void first_byte(struct cc_exchange *exchange, int status) {
  exchange->phase = CC_ANSWERING;
  exchange->report.status = status;
  exchange->report.first_byte_ms = cc_now() - exchange->report.started;
}

static uint32_t own_headers(const struct cc_exchange *exchange, struct cc_header *out) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < exchange->answer.count && count < HEADERS; i++) {
    struct cc_slice value = cc_headers_value(&exchange->answer, i);
    if (value.size) out[count++] = (struct cc_header){cc_headers_name(&exchange->answer, i), value};
  }
  return count;
}

static uint32_t upstream_headers(const struct cc_exchange *exchange,
                                 const struct cc_attempt *attempt, struct cc_header *out,
                                 uint32_t count) {
  for (uint32_t i = 0; i < attempt->headers.count && count < HEADERS; i++) {
    struct cc_slice name = cc_headers_name(&attempt->headers, i);
    if (!cc_headers_may_go_down(name) || cc_headers_find(&exchange->answer, name) >= 0) continue;
    out[count++] = (struct cc_header){name, cc_headers_value(&attempt->headers, i)};
  }
  return count;
}

static const struct cc_header *find_header(const struct cc_header *headers, uint32_t count,
                                           const char *name) {
  for (uint32_t i = 0; i < count; i++)
    if (cc_slice_is_nocase(headers[i].name, name)) return &headers[i];
  return NULL;
}

static uint32_t add_missing(struct cc_header *headers, uint32_t count, const char *name,
                            struct cc_slice value) {
  if (find_header(headers, count, name)) return count;
  headers[count] = (struct cc_header){cc_slice_text(name), value};
  return count + 1;
}

// Adds headers for proxies and clients: no proxy on the way may buffer an answer or change a stream, and
// most tools look for the request id in x-request-id. Headers that the upstream or a policy has set stay.
// Adds three at most; returns the new count.
static uint32_t add_delivery(struct cc_header *headers, uint32_t count, bool is_stream) {
  const struct cc_header *id = find_header(headers, count, "request-id");
  if (id) count = add_missing(headers, count, "x-request-id", id->value);
  count = add_missing(headers, count, "x-accel-buffering", cc_slice_text("no"));
  if (!is_stream) return count;
  return add_missing(headers, count, "cache-control", cc_slice_text("no-cache, no-transform"));
}

// Whether the head was sent already, because the answer began early; then the answer goes on.
static bool goes_on(struct cc_exchange *exchange) {
  if (exchange->early) exchange->phase = CC_ANSWERING;
  return exchange->early;
}

static int own_head(struct cc_exchange *exchange, int status, double length) {
  struct cc_header headers[HEADERS + ADDED];
  uint32_t count = own_headers(exchange, headers);
  if (length != 0)
    count = add_missing(headers, count, "content-type", cc_slice_text("application/json"));
  count = add_delivery(headers, count, length < 0);
  first_byte(exchange, status);
  return cc_inbound_head(exchange->inbound, status, headers, count, length);
}

static void close_others(struct cc_exchange *exchange, const struct cc_attempt *kept) {
  for (int i = 0; i < 2; i++)
    if (exchange->attempts[i] && exchange->attempts[i] != kept)
      cc_attempt_close(exchange->attempts[i]);
}

static void answer_whole(struct cc_exchange *exchange, int status, const char *body, size_t size,
                         int error) {
  close_others(exchange, NULL);
  cc_inbound_cork(exchange->inbound);
  if (goes_on(exchange)) {
    cc_client_write_error(exchange, body, size);
  } else {
    own_head(exchange, status, (double)size);
    cc_client_write(exchange, body, size);
  }
  cc_client_end(exchange);
  cc_exchange_finish(exchange, error);
}

static const char *name_of(struct cc_exchange *exchange) {
  uint64_t number;
  if (!exchange->name[0] && cc_random(&number, sizeof number) == CC_OK)
    snprintf(exchange->name, sizeof exchange->name, "%016" PRIx64, number);
  return exchange->name;
}

void cc_exchange_refuse(struct cc_exchange *exchange, int status, const char *message, int error) {
  if (exchange->phase == CC_OVER) return;
  struct cc_buffer body = {0};
  char id[sizeof "req_ccr_" + CC_EXCHANGE_NAME];
  snprintf(id, sizeof id, "req_ccr_%s", name_of(exchange));
  cc_headers_set(&exchange->answer, cc_slice_text("request-id"), cc_slice_text(id));
  cc_api_error(&body, cc_api_error_type(status), cc_slice_text(message), id);
  if (exchange->inbound)
    answer_whole(exchange, status, body.data, body.size, error);
  else
    cc_exchange_finish(exchange, error);
  cc_buffer_free(&body);
}

// ---- The border --------------------------------------------------------------------------------

int cc_answer_header(struct cc_relay *relay, cc_id id, const char *name, uint32_t name_size,
                     const char *value, uint32_t value_size) {
  int error;
  struct cc_exchange *exchange = answerable(relay, id, &error);
  if (!exchange) return error;
  struct cc_slice key = cc_slice(name, name_size), text = cc_slice(value, value_size);
  if (!cc_http1_is_token(key) || !cc_http1_is_value(text)) return CC_EINVAL;
  if (cc_headers_is_hop(key) || cc_slice_is_nocase(key, "content-length")) return CC_EINVAL;
  if (exchange->answer.count >= HEADERS / 2) return CC_ELIMIT;
  cc_headers_set(&exchange->answer, key, text);
  return CC_OK;
}

static double answer_length(const struct cc_attempt *attempt) {
  if (attempt->kind == CC_BODY_SSE) return -1;
  if (attempt->complete) return (double)attempt->held.size;
  return attempt->content_length;
}

// Frees what only led to the answer: the answer itself may take minutes.
static void free_early(struct cc_exchange *exchange, struct cc_attempt *attempt) {
  cc_headers_free(&exchange->answer);
  cc_attempt_free_request(attempt);
  if (!cc_attempt_needs_body(attempt)) cc_buffer_free(&exchange->request.body);
  if (exchange->inbound) cc_http1_forget(exchange->inbound->parser);
  exchange->request.head = NULL;
}

static void outcome_head(struct cc_exchange *exchange, const struct cc_attempt *attempt) {
  struct cc_header headers[HEADERS + ADDED];
  uint32_t count = own_headers(exchange, headers);
  count = upstream_headers(exchange, attempt, headers, count);
  count = add_delivery(headers, count, attempt->kind == CC_BODY_SSE);
  first_byte(exchange, attempt->status);
  cc_inbound_head(exchange->inbound, attempt->status, headers, count, answer_length(attempt));
}

static void begin_outcome(struct cc_exchange *exchange, struct cc_attempt *attempt) {
  struct cc_inbound *in = exchange->inbound;
  cc_inbound_cork(in);
  if (!goes_on(exchange)) outcome_head(exchange, attempt);
  free_early(exchange, attempt);
  if (exchange->phase != CC_OVER) cc_pump_start(attempt);
  cc_inbound_uncork(in);
}

static void note_times(struct cc_exchange *exchange, const struct cc_attempt *chosen) {
  double now = cc_now();
  exchange->report.content_ms = now - exchange->report.started;
  exchange->report.own_ms = now - exchange->complete_at - (chosen->settled_at - chosen->sent_at);
}

int cc_answer_outcome(struct cc_relay *relay, cc_id id, int number, bool break_with_event) {
  int error;
  struct cc_exchange *exchange = answerable(relay, id, &error);
  if (!exchange) return error;
  struct cc_attempt *attempt = number == 0 || number == 1 ? exchange->attempts[number] : NULL;
  if (!attempt) return CC_ENOTFOUND;
  if (attempt->phase != CC_SETTLED || !attempt->status) return CC_ESTATE;
  if (exchange->early && attempt->kind != CC_BODY_SSE) return CC_ESTATE;
  exchange->chosen = attempt;
  exchange->break_with_event = break_with_event;
  exchange->script_due = 0;
  note_times(exchange, attempt);
  close_others(exchange, attempt);
  begin_outcome(exchange, attempt);
  if (exchange->phase != CC_OVER) cc_exchange_schedule(exchange);
  return CC_OK;
}

int cc_answer(struct cc_relay *relay, cc_id id, int status, const char *body, uint32_t size) {
  int error;
  struct cc_exchange *exchange = answerable(relay, id, &error);
  if (!exchange) return error;
  if (status < 200 || status > 599) return CC_EINVAL;
  answer_whole(exchange, status, body, size, CC_OK);
  return CC_OK;
}

int cc_answer_begin(struct cc_relay *relay, cc_id id, int status) {
  int error;
  struct cc_exchange *exchange = answerable(relay, id, &error);
  if (!exchange) return error;
  if (status < 200 || status > 599) return CC_EINVAL;
  close_others(exchange, NULL);
  if (!goes_on(exchange)) own_head(exchange, status, -1);
  exchange->ping_due = 0;
  exchange->own_stream = true;
  exchange->report.stream = true;
  return CC_OK;
}

int cc_answer_early(struct cc_relay *relay, cc_id id) {
  int error;
  struct cc_exchange *exchange = answerable(relay, id, &error);
  if (!exchange) return error;
  if (exchange->early) return CC_ESTATE;
  struct cc_inbound *in = exchange->inbound;
  cc_inbound_cork(in);
  error = own_head(exchange, 200, -1);
  exchange->phase = CC_WAITING;
  exchange->early = exchange->report.stream = error == CC_OK;
  if (exchange->early) cc_client_ping(exchange);
  cc_inbound_uncork(in);
  if (exchange->phase != CC_OVER) cc_exchange_schedule(exchange);
  return error;
}

static struct cc_exchange *streaming(struct cc_relay *relay, cc_id id, int *error) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  *error = exchange ? CC_OK : CC_ESTALE;
  if (exchange && (exchange->phase != CC_ANSWERING || !exchange->own_stream)) *error = CC_ESTATE;
  return *error == CC_OK ? exchange : NULL;
}

int cc_answer_write(struct cc_relay *relay, cc_id id, const char *data, uint32_t size) {
  int error;
  struct cc_exchange *exchange = streaming(relay, id, &error);
  if (!exchange) return error;
  if (size) exchange->content_due = 0;
  cc_client_write(exchange, data, size);
  if (!exchange->inbound || exchange->phase == CC_OVER) return CC_ECLIENT_GONE;
  if (cc_inbound_queued(exchange->inbound) <= CC_QUEUE_BYTES) return CC_OK;
  exchange->wants_writable = true;
  return CC_ELIMIT;
}

int cc_answer_end(struct cc_relay *relay, cc_id id) {
  int error;
  struct cc_exchange *exchange = streaming(relay, id, &error);
  if (!exchange) return error;
  cc_client_end(exchange);
  cc_exchange_finish(exchange, CC_OK);
  return CC_OK;
}

int cc_answer_break(struct cc_relay *relay, cc_id id, bool reset, const char *raw, uint32_t size) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (exchange->phase == CC_OVER || !exchange->inbound || exchange->chosen) return CC_ESTATE;
  struct cc_slice part = cc_slice(raw, size);
  if (size) cc_stream_write(&exchange->inbound->stream, &part, 1);
  cc_client_break(exchange, reset);
  cc_exchange_finish(exchange, CC_ECANCELLED);
  return CC_OK;
}
