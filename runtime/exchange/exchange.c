// SPDX-License-Identifier: Apache-2.0
// The client's side of an exchange: what its connection tells, what Lua may ask of the request,
// and the end.
#include "attempt/hops.h"
#include "attempt/reply.h"
#include "codec/content_encoding.h"
#include "codec/messages.h"
#include "exchange/pump.h"
#include "shared/shared.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t loop_now(const struct cc_exchange *exchange) {
  return cc_relay_now(exchange->relay);
}

// ---- Deadlines ---------------------------------------------------------------------------------

void cc_exchange_schedule(struct cc_exchange *exchange) {
  uint64_t dues[] = {exchange->content_due, exchange->total_due, exchange->ping_due,
                     exchange->script_due};
  uint64_t next = 0, now = loop_now(exchange);
  for (size_t i = 0; i < sizeof dues / sizeof *dues; i++)
    if (dues[i] && (!next || dues[i] < next)) next = dues[i];
  if (next)
    cc_timer_set(&exchange->timer, next > now ? next - now : 1);
  else
    cc_timer_stop(&exchange->timer);
}

static void time_is_over(struct cc_exchange *exchange, int error, const char *message) {
  if (exchange->chosen) {
    cc_pump_fail(exchange->chosen, error);
  } else if (exchange->phase == CC_ANSWERING) {
    cc_exchange_break_answer(exchange, false);
    cc_exchange_finish(exchange, error);
  } else {
    cc_exchange_refuse(exchange, 504, "timeout_error", message, error);
  }
}

static bool is_due(const struct cc_exchange *exchange, uint64_t due) {
  return exchange->phase != CC_OVER && due && loop_now(exchange) >= due;
}

static void on_timer(struct cc_timer *timer) {
  struct cc_exchange *exchange = timer->data;
  if (is_due(exchange, exchange->script_due)) {
    exchange->script_due = 0;
    cc_events_post(&exchange->relay->events, CC_EVENT_TIMER, 0, exchange->id);
  }
  if (is_due(exchange, exchange->ping_due)) cc_exchange_ping(exchange);
  if (is_due(exchange, exchange->content_due))
    time_is_over(exchange, CC_ECONTENT_TIMEOUT,
                 "no answer began within the relay's time limit (server.timeout_ms)");
  if (is_due(exchange, exchange->total_due))
    time_is_over(exchange, CC_ETOTAL_TIMEOUT,
                 "the relay's time limit for a whole request (server.total_ms) is over");
  if (exchange->phase != CC_OVER) cc_exchange_schedule(exchange);
}

// ---- Life --------------------------------------------------------------------------------------

static struct cc_exchange *begin(struct cc_inbound *in) {
  struct cc_relay *relay = in->server;
  struct cc_exchange *exchange = cc_alloc(sizeof *exchange);
  exchange->relay = relay;
  exchange->inbound = in;
  exchange->listener = in->listener;
  exchange->peer_size = (uint32_t)strlen(in->peer);
  cc_buffer_add(&exchange->line, in->peer, exchange->peer_size);
  cc_timer_init(&exchange->timer, &relay->loop, on_timer);
  exchange->timer.data = exchange;
  exchange->report.started = cc_now();
  exchange->report.attempt = -1;
  exchange->report.stream_error = cc_slice_text("");
  const struct cc_settings *settings = &relay->settings;
  if (settings->content_ms) exchange->content_due = loop_now(exchange) + settings->content_ms;
  if (settings->total_ms) exchange->total_due = loop_now(exchange) + settings->total_ms;
  in->user = exchange;
  exchange->id = cc_ids_add(&relay->exchanges, exchange);
  cc_shared_exchanges(1);
  cc_exchange_schedule(exchange);
  return exchange;
}

static void detach(struct cc_exchange *exchange) {
  if (exchange->inbound) exchange->inbound->user = NULL;
  exchange->inbound = NULL;
  exchange->request.head = NULL;
}

void cc_exchange_end_answer(struct cc_exchange *exchange) {
  struct cc_inbound *in = exchange->inbound;
  detach(exchange);
  if (in) cc_inbound_end(in);
}

void cc_exchange_break_answer(struct cc_exchange *exchange, bool reset) {
  struct cc_inbound *in = exchange->inbound;
  detach(exchange);
  if (in) cc_inbound_break(in, reset);
}

static void close_attempts(struct cc_exchange *exchange) {
  for (int i = 0; i < 2; i++)
    if (exchange->attempts[i]) cc_attempt_close(exchange->attempts[i]);
}

static void fill_report(struct cc_exchange *exchange, int error) {
  struct cc_report *report = &exchange->report;
  const struct cc_attempt *chosen = exchange->chosen;
  report->error = error;
  report->total_ms = cc_now() - report->started;
  if (!chosen) return;
  report->attempt = chosen->index;
  report->events = chosen->events;
  report->stream = chosen->kind == CC_BODY_SSE;
  report->usage_known = chosen->usage_known;
  report->usage_final = chosen->usage_final;
  report->usage = chosen->usage;
  if (chosen->error_seen) report->stream_error = cc_reply_error_type(chosen);
}

void cc_exchange_finish(struct cc_exchange *exchange, int error) {
  if (exchange->phase == CC_OVER) return;
  exchange->phase = CC_OVER;
  fill_report(exchange, error);
  close_attempts(exchange);
  cc_timer_stop(&exchange->timer);
  cc_events_post(&exchange->relay->events, CC_EVENT_DONE, 0, exchange->id);
}

static void timer_closed(uv_handle_t *handle) {
  struct cc_timer *timer = (struct cc_timer *)handle;
  free(timer->data);
}

void cc_exchange_free(struct cc_exchange *exchange) {
  cc_exchange_break_answer(exchange, true);
  cc_ids_remove(&exchange->relay->exchanges, exchange->id);
  cc_shared_exchanges(-1);
  for (int i = 0; i < 2; i++)
    if (exchange->attempts[i]) cc_attempt_free(exchange->attempts[i]);
  cc_buffer_free(&exchange->line);
  cc_buffer_free(&exchange->request.body);
  cc_decoder_free(exchange->decoder);
  cc_headers_free(&exchange->answer);
  cc_timer_close(&exchange->timer, timer_closed);
}

bool cc_exchange_expects(struct cc_relay *relay, const struct cc_event *event) {
  const struct cc_exchange *exchange = cc_exchange_find(relay, event->id);
  if (!exchange || exchange->phase == CC_OVER) return false;
  if (event->type != CC_EVENT_OUTCOME) return true;
  const struct cc_attempt *attempt = exchange->attempts[event->detail];
  return attempt && attempt->phase == CC_SETTLED; // else it was given up in the meantime
}

size_t *cc_exchange_script_bytes(struct cc_relay *relay, cc_id id) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  return exchange ? &exchange->script_bytes : NULL;
}

void cc_exchange_abandon(struct cc_exchange *exchange) {
  if (exchange->phase == CC_OVER) return;
  exchange->break_with_event = true;
  if (exchange->chosen)
    cc_pump_fail(exchange->chosen, CC_ECANCELLED);
  else
    cc_exchange_break_answer(exchange, false);
  cc_exchange_finish(exchange, CC_ECANCELLED);
}

// ---- What the client's connection tells --------------------------------------------------------

static void got_head(struct cc_inbound *in, const struct cc_http1_head *head) {
  struct cc_exchange *exchange = begin(in);
  exchange->request.head = head;
  exchange->method_size = head->method.size;
  exchange->path_size = head->path.size;
  cc_buffer_add(&exchange->line, head->method.data, head->method.size);
  cc_buffer_add(&exchange->line, head->path.data, head->path.size);
  cc_buffer_add(&exchange->line, head->query.data, head->query.size);
}

static void got_body(struct cc_inbound *in, struct cc_slice piece) {
  struct cc_exchange *exchange = in->user;
  if (!exchange || exchange->phase == CC_OVER) return;
  cc_exchange_body(exchange, piece);
}

static void got_all(struct cc_inbound *in) {
  struct cc_exchange *exchange = in->user;
  if (!exchange || exchange->phase == CC_OVER) return;
  cc_exchange_body_end(exchange);
  exchange->complete = true;
  if (!exchange->announced)
    cc_events_post(&exchange->relay->events, CC_EVENT_READY, 1, exchange->id);
  else if (exchange->accepted)
    cc_events_post(&exchange->relay->events, CC_EVENT_BODY, 0, exchange->id);
  exchange->announced = true;
  exchange->phase = CC_WAITING;
}

static void got_some(struct cc_inbound *in) {
  struct cc_exchange *exchange = in->user;
  if (!exchange || exchange->announced) return;
  exchange->announced = true;
  cc_events_post(&exchange->relay->events, CC_EVENT_READY, 0, exchange->id);
}

struct refusal {
  int error, status;
  const char *type;
};

static const struct refusal refusals[] = {
    {CC_EHEAD_SIZE, 431, "invalid_request_error"}, {CC_ETARGET_SIZE, 414, "invalid_request_error"},
    {CC_EBODY_SIZE, 413, "request_too_large"},     {CC_EHEAD_TIMEOUT, 408, "timeout_error"},
    {CC_EIDLE_TIMEOUT, 408, "timeout_error"},      {CC_EEXPECT, 417, "invalid_request_error"},
    {CC_OK, 400, "invalid_request_error"},
};

static void got_refused(struct cc_inbound *in, int error) {
  struct cc_exchange *exchange = in->user ? in->user : begin(in);
  const struct refusal *row = refusals;
  while (row->error != CC_OK && row->error != error)
    row++;
  exchange->refusal = error;
  cc_exchange_refuse(exchange, row->status, row->type, cc_error_text(error), error);
}

static void got_drain(struct cc_inbound *in) {
  struct cc_exchange *exchange = in->user;
  if (!exchange) return;
  if (exchange->chosen) cc_pump_drained(exchange->chosen);
  if (!exchange->wants_writable) return;
  exchange->wants_writable = false;
  cc_events_post(&exchange->relay->events, CC_EVENT_WRITABLE, 0, exchange->id);
}

static void got_gone(struct cc_inbound *in, int error) {
  struct cc_exchange *exchange = in->user;
  if (!exchange) return;
  detach(exchange);
  cc_exchange_finish(exchange, error);
}

const struct cc_inbound_events cc_exchange_inbound = {.head = got_head,
                                                      .body = got_body,
                                                      .complete = got_all,
                                                      .pause_point = got_some,
                                                      .refuse = got_refused,
                                                      .drain = got_drain,
                                                      .gone = got_gone,
                                                      .closed = NULL};

// ---- What Lua asks -----------------------------------------------------------------------------

int cc_request(struct cc_relay *relay, cc_id id, struct cc_request *out) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  const struct cc_buffer *line = &exchange->line;
  uint32_t peer = exchange->peer_size, method = exchange->method_size;
  uint32_t path = exchange->path_size, query = (uint32_t)line->size - peer - method - path;
  *out = (struct cc_request){
      .method = cc_slice(line->data + peer, method),
      .path = cc_slice(line->data + peer + method, path),
      .query = cc_slice(line->data + peer + method + path, query),
      .peer = cc_slice(line->data, peer),
      .listener = exchange->listener,
      .error = exchange->refusal,
      .headers = exchange->request.head ? exchange->request.head->headers : 0,
      .body_bytes = (uint32_t)exchange->request.body.size,
      .started = exchange->report.started,
  };
  return CC_OK;
}

int cc_request_header(struct cc_relay *relay, cc_id id, const char *name, uint32_t size,
                      struct cc_slice *value) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->request.head) return CC_ESTATE;
  const struct cc_header *header = cc_http1_find(exchange->request.head, cc_slice(name, size));
  if (!header) return CC_ENOTFOUND;
  *value = header->value;
  return CC_OK;
}

bool cc_request_loops(struct cc_relay *relay, cc_id id) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  return exchange && exchange->request.head && cc_hops_seen(exchange->request.head);
}

int cc_request_header_at(struct cc_relay *relay, cc_id id, uint32_t index, struct cc_slice *name,
                         struct cc_slice *value) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->request.head) return CC_ESTATE;
  if (index >= exchange->request.head->headers) return CC_ENOTFOUND;
  *name = exchange->request.head->header[index].name;
  *value = exchange->request.head->header[index].value;
  return CC_OK;
}

int cc_request_accept(struct cc_relay *relay, cc_id id) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (exchange->complete) return CC_OK;
  exchange->accepted = true;
  if (exchange->inbound) cc_inbound_admit(exchange->inbound);
  return CC_ESTATE;
}

int cc_request_body(struct cc_relay *relay, cc_id id, struct cc_slice *out) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->complete) return CC_ESTATE;
  *out = cc_slice(exchange->request.body.data, exchange->request.body.size);
  return CC_OK;
}

int cc_request_scan(struct cc_relay *relay, cc_id id, struct cc_scan *out) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->complete) return CC_ESTATE;
  if (!exchange->scanned)
    exchange->scan_result =
        cc_messages_scan(exchange->request.body.data, exchange->request.body.size, &exchange->scan);
  exchange->scanned = true;
  *out = exchange->scan;
  return exchange->scan_result;
}

int cc_scan(const char *body, uint32_t size, struct cc_scan *out) {
  return cc_messages_scan(body, size, out);
}

int cc_request_field(struct cc_relay *relay, cc_id id, const char *path, uint32_t size,
                     struct cc_slice *json) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->complete) return CC_ESTATE;
  struct cc_json_member member;
  int result = cc_json_find(exchange->request.body.data, exchange->request.body.size,
                            cc_slice(path, size), &member);
  if (result == CC_OK) *json = member.value;
  return result;
}

int cc_exchange_timer(struct cc_relay *relay, cc_id id, double delay_ms) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (exchange->phase == CC_OVER) return CC_ESTATE;
  if (delay_ms > 2147483647.0) return CC_EINVAL;
  exchange->script_due = delay_ms < 0 ? 0 : loop_now(exchange) + (uint64_t)delay_ms + 1;
  cc_exchange_schedule(exchange);
  return CC_OK;
}

int cc_report(struct cc_relay *relay, cc_id id, struct cc_report *out) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  *out = exchange->report;
  return CC_OK;
}
