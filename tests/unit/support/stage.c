// SPDX-License-Identifier: Apache-2.0
#include "support/stage.h"
#include "api/error.h"
#include "api/listen.h"
#include "api/loop.h"
#include "api/request.h"
#include "base/buffer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char stage_stream_request[] =
    "POST /v1/messages?beta=true HTTP/1.1\r\nHost: localhost\r\n"
    "Authorization: Bearer canary-client-key\r\nX-App: cli\r\n"
    "Cookie: canary=1\r\nConnection: close, x-drop\r\nX-Drop: 1\r\n"
    "Content-Length: 55\r\n\r\n"
    "{\"model\":\"m-1\",\"stream\":true,\"max_tokens\":10,\"n\":1e400}";

static struct peer_client *clients[64];
static int client_count;

static struct cc_slice text(const char *bytes) {
  return (struct cc_slice){bytes, (uint32_t)strlen(bytes)};
}

static int origin_of(struct cc_relay *relay, struct peer_upstream *upstream) {
  struct cc_origin origin = {.host = text("127.0.0.1"), .port = peer_upstream_port(upstream)};
  return cc_origin(relay, &origin);
}

void stage_open(struct stage *stage, const struct peer_reply *a, int a_count,
                const struct peer_reply *b, int b_count) {
  memset(stage, 0, sizeof *stage);
  stage->relay = cc_open();
  stage->upstream[0] = peer_upstream_start(a, a_count);
  stage->upstream[1] = peer_upstream_start(b, b_count);
  stage->origin[0] = origin_of(stage->relay, stage->upstream[0]);
  stage->origin[1] = origin_of(stage->relay, stage->upstream[1]);
  struct cc_listen listen = {.host = text("127.0.0.1"), .copies = 1};
  int listener = cc_listen(stage->relay, &listen);
  cc_accept(stage->relay, listener, 0);
  stage->port = (uint16_t)cc_listener_port(stage->relay, listener);
  stage->spec = (struct cc_attempt_spec){.stream = true, .gate_bytes = 65536, .gate_ms = 10000};
}

static void try_upstream(struct stage *stage, cc_id id, int which) {
  int number = cc_attempt_begin(stage->relay, id, stage->origin[which], &stage->spec);
  if (number < 0) return;
  cc_attempt_target(stage->relay, id, number, "/v1/messages?beta=true", 22);
  cc_attempt_header(stage->relay, id, number, "x-api-key", 9, "canary-key", 10);
  cc_attempt_pass_headers(stage->relay, id, number, "", 0);
  cc_attempt_send(stage->relay, id, number);
}

static void decide(struct stage *stage, cc_id id, int number) {
  struct cc_outcome outcome;
  if (cc_outcome(stage->relay, id, number, &outcome) != CC_OK) abort();
  stage->outcome[stage->outcomes++ % 4] = outcome;
  bool good = outcome.error == CC_OK && outcome.status < 400;
  if (stage->replacement)
    stage->replace_result = cc_outcome_replace(stage->relay, id, number, stage->replacement,
                                               (uint32_t)strlen(stage->replacement));
  if (!good && number == 0)
    try_upstream(stage, id, 1);
  else if (outcome.status)
    stage->answer_result = cc_answer_outcome(stage->relay, id, number, stage->break_with_event);
  else
    cc_answer(stage->relay, id, 502, "{}", 2);
  if (stage->answer_result == CC_ESTATE) cc_answer(stage->relay, id, 502, "{\n}", 3);
}

static void begin_early(struct stage *stage, cc_id id) {
  cc_answer_header(stage->relay, id, "content-type", 12, "text/event-stream", 17);
  stage->early_result = cc_answer_early(stage->relay, id);
  stage->early_again = cc_answer_early(stage->relay, id);
  cc_exchange_timer(stage->relay, id, stage->early_ms);
}

static void ready(struct stage *stage, cc_id id) {
  if (cc_request_accept(stage->relay, id) != CC_OK) return;
  stage->scan_result = cc_request_scan(stage->relay, id, &stage->scan);
  if (stage->scan_result != CC_OK)
    cc_answer(stage->relay, id, 400, "{}", 2);
  else if (stage->early_ms)
    begin_early(stage, id);
  else
    try_upstream(stage, id, 0);
}

static void handle(struct stage *stage, const struct cc_event *event) {
  switch (event->type) {
  case CC_EVENT_READY:
  case CC_EVENT_BODY:
    ready(stage, event->id);
    break;
  case CC_EVENT_OUTCOME:
    decide(stage, event->id, event->detail);
    break;
  case CC_EVENT_DONE:
    cc_report(stage->relay, event->id, &stage->report);
    snprintf(stage->stream_error, sizeof stage->stream_error, "%s",
             stage->report.stream_error.data);
    stage->exchanges++;
    break;
  default: // the clock, so that a client that ended is noticed
    if (event->id)
      try_upstream(stage, event->id, 0);
    else
      cc_timer(stage->relay, 0, 5);
    break;
  }
}

const char *stage_ask(struct stage *stage, const char *request, size_t size, const char *until) {
  struct cc_event event;
  int before = stage->exchanges;
  struct peer_client *client = peer_client_start(stage->port, request, size, until);
  clients[client_count++] = client;
  cc_timer(stage->relay, 0, 5);
  while (!(peer_client_done(client) && stage->exchanges > before) && cc_next(stage->relay, &event))
    handle(stage, &event);
  return peer_client_wait(client, NULL, NULL);
}

char *stage_body(const char *answer, bool *complete) {
  struct cc_buffer body = {0};
  const char *at = strstr(answer, "\r\n\r\n") + 4;
  *complete = false;
  while (*at) {
    size_t size = strtoul(at, NULL, 16);
    at = strstr(at, "\r\n");
    if (!at) break;
    *complete = size == 0;
    if (!size) break;
    cc_buffer_add(&body, at + 2, size);
    at += 2 + size + 2;
  }
  cc_buffer_add(&body, "", 1);
  return body.data;
}

void stage_close(struct stage *stage) {
  cc_close(stage->relay);
  peer_upstream_stop(stage->upstream[0]);
  peer_upstream_stop(stage->upstream[1]);
  while (client_count)
    peer_client_free(clients[--client_count]);
}
