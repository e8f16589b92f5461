// SPDX-License-Identifier: Apache-2.0
// Begins an exchange with the head of a request, handles events of the client's connection and
// deadlines, and frees the exchange after its DONE event.
#include "exchange/exchange.h"
#include "api/error.h"
#include "api/util.h"
#include "codec/content_encoding.h"
#include "exchange/client.h"
#include "exchange/pump.h"
#include "shared/shared.h"
#include <stdlib.h>
#include <string.h>

static uint64_t loop_now(const struct cc_exchange *exchange) {
  return cc_relay_now(exchange->relay);
}

// ---- Deadlines ---------------------------------------------------------------------------------

static void time_is_over(struct cc_exchange *exchange, int error, const char *message) {
  if (exchange->chosen) {
    cc_pump_fail(exchange->chosen, error);
  } else if (exchange->phase == CC_ANSWERING) {
    cc_client_break(exchange, false);
    cc_exchange_finish(exchange, error);
  } else {
    cc_exchange_refuse(exchange, 504, message, error);
  }
}

static void on_timer(struct cc_timer *timer) {
  struct cc_exchange *exchange = timer->data;
  if (cc_exchange_is_due(exchange, exchange->script_due)) {
    exchange->script_due = 0;
    cc_events_post(&exchange->relay->events, CC_EVENT_TIMER, 0, exchange->id);
  }
  if (cc_exchange_is_due(exchange, exchange->ping_due)) cc_client_ping(exchange);
  if (cc_exchange_is_due(exchange, exchange->content_due))
    time_is_over(exchange, CC_ECONTENT_TIMEOUT,
                 "no answer began within the relay's time limit (server.timeout_ms)");
  if (cc_exchange_is_due(exchange, exchange->total_due))
    time_is_over(exchange, CC_ETOTAL_TIMEOUT,
                 "the relay's time limit for a whole request (server.total_ms) is over");
  if (exchange->phase != CC_OVER) cc_exchange_schedule(exchange);
}

// ---- Life --------------------------------------------------------------------------------------

static void add_peer(struct cc_exchange *exchange, const struct cc_inbound *in,
                     const struct cc_http1_head *head) {
  char peer[CC_PEER];
  memcpy(peer, in->peer, sizeof peer);
  if (head) cc_trust_client(in->settings->trust, head, peer);
  exchange->peer_size = (uint32_t)strlen(peer);
  cc_buffer_add(&exchange->line, peer, exchange->peer_size);
}

// head: NULL when there is none.
static struct cc_exchange *begin(struct cc_inbound *in, const struct cc_http1_head *head) {
  struct cc_relay *relay = in->server;
  struct cc_exchange *exchange = cc_alloc(sizeof *exchange);
  exchange->relay = relay;
  exchange->inbound = in;
  exchange->listener = in->listener;
  add_peer(exchange, in, head);
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

static void timer_closed(uv_handle_t *handle) {
  struct cc_timer *timer = (struct cc_timer *)handle;
  free(timer->data);
}

void cc_exchange_free(struct cc_exchange *exchange) {
  cc_client_break(exchange, true);
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
  return attempt && attempt->phase == CC_SETTLED; // else it was closed in the meantime
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
    cc_client_break(exchange, false);
  cc_exchange_finish(exchange, CC_ECANCELLED);
}

// ---- Events of the client's connection ---------------------------------------------------------

static void got_head(struct cc_inbound *in, const struct cc_http1_head *head) {
  struct cc_exchange *exchange = begin(in, head);
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
  exchange->complete_at = cc_now();
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
};

static const struct refusal refusals[] = {
    {CC_EHEAD_SIZE, 431},    {CC_ETARGET_SIZE, 414}, {CC_EBODY_SIZE, 413}, {CC_EHEAD_TIMEOUT, 408},
    {CC_EIDLE_TIMEOUT, 408}, {CC_EEXPECT, 417},      {CC_OK, 400},
};

static void got_refused(struct cc_inbound *in, int error) {
  struct cc_exchange *exchange = in->user ? in->user : begin(in, NULL);
  const struct refusal *row = refusals;
  while (row->error != CC_OK && row->error != error)
    row++;
  exchange->refusal = error;
  cc_exchange_refuse(exchange, row->status, cc_error_text(error), error);
}

// Nobody is answered: the connection does not speak HTTP yet.
static void got_unnamed(struct cc_inbound *in, int error) {
  struct cc_exchange *exchange = begin(in, NULL);
  exchange->refusal = error;
  cc_client_detach(exchange);
  cc_exchange_finish(exchange, error);
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
  cc_client_detach(exchange);
  cc_exchange_finish(exchange, error);
}

const struct cc_inbound_events cc_exchange_inbound = {.head = got_head,
                                                      .body = got_body,
                                                      .complete = got_all,
                                                      .pause_point = got_some,
                                                      .refuse = got_refused,
                                                      .unnamed = got_unnamed,
                                                      .drain = got_drain,
                                                      .gone = got_gone,
                                                      .closed = NULL};
