// SPDX-License-Identifier: Apache-2.0
// The body of an attempt: the exchange's with splices, or another in its place.
#include "api/error.h"
#include "api/loop.h"
#include "api/request.h"
#include "api/util.h"
#include "base/buffer.h"
#include "support/stage.h"
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const char small[] = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
                            "Connection: close\r\nContent-Length: 22\r\n\r\n"
                            "{\"model\":\"m\", \"n\":1.0}";
static const char *request = small;
static const struct peer_reply good = {"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"ok\":1}", 0,
                                       PEER_KEEP};

typedef void draft_fn(struct stage *stage, cc_id id, int number);

static cc_id begin(struct stage *stage, cc_id id, draft_fn *draft) {
  int number = cc_attempt_begin(stage->relay, id, stage->origin[0], &stage->spec);
  assert_true(number >= 0);
  cc_attempt_target(stage->relay, id, number, "/v1/messages", 12);
  draft(stage, id, number);
  char *view;
  uint32_t size;
  assert_int_equal(cc_attempt_send(stage->relay, id, number), CC_OK);
  assert_int_equal(cc_attempt_body(stage->relay, id, number, &view, &size), CC_ESTATE);
  assert_int_equal(cc_attempt_replace(stage->relay, id, number, "x", 1), CC_ESTATE);
  return id;
}

// Sends one request, whose attempt draft makes. Returns what the client got.
static const char *ask(struct stage *stage, draft_fn *draft, struct peer_client **client) {
  struct cc_event event;
  struct cc_outcome *outcome = &stage->outcome[0];
  bool over = false;
  stage->spec.stream = false;
  alarm(60);
  *client = peer_client_start(stage->port, request, strlen(request), NULL);
  while (!over && cc_next(stage->relay, &event)) {
    if (event.type == CC_EVENT_READY) cc_request_accept(stage->relay, event.id);
    if (event.type == CC_EVENT_BODY || (event.type == CC_EVENT_READY && event.detail))
      begin(stage, event.id, draft);
    if (event.type == CC_EVENT_OUTCOME) {
      assert_int_equal(cc_outcome(stage->relay, event.id, event.detail, outcome), CC_OK);
      assert_int_equal(cc_answer_outcome(stage->relay, event.id, event.detail, false), CC_OK);
    }
    over = event.type == CC_EVENT_DONE;
  }
  return peer_client_wait(*client, NULL, NULL);
}

static const char *sent_body(struct stage *stage) {
  size_t size;
  return strstr(peer_upstream_last(stage->upstream[0], &size), "\r\n\r\n") + 4;
}

static void expect_sent(struct stage *stage, const char *body) {
  char length[48];
  size_t size;
  snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", strlen(body));
  assert_non_null(strstr(peer_upstream_last(stage->upstream[0], &size), length));
  assert_string_equal(sent_body(stage), body);
}

static void expect_view(struct stage *stage, cc_id id, int number, const char *expected) {
  char *view;
  uint32_t size;
  assert_int_equal(cc_attempt_body(stage->relay, id, number, &view, &size), CC_OK);
  assert_int_equal(size, strlen(expected));
  assert_memory_equal(view, expected, size);
  cc_free(view);
}

static void in_stage(draft_fn *draft, const char *body, uint32_t changed) {
  struct stage stage;
  struct peer_client *client;
  stage_open(&stage, &good, 1, &good, 1);
  assert_non_null(strstr(ask(&stage, draft, &client), "{\"ok\":1}"));
  expect_sent(&stage, body);
  assert_int_equal(stage.outcome[0].changed_bytes, changed);
  stage_close(&stage);
  peer_client_free(client);
}

static void with_splices(struct stage *stage, cc_id id, int number) {
  expect_view(stage, id, number, "{\"model\":\"m\", \"n\":1.0}");
  assert_int_equal(cc_attempt_set(stage->relay, id, number, "model", 5, "\"other\"", 7), CC_OK);
  expect_view(stage, id, number, "{\"model\":\"other\", \"n\":1.0}");
  assert_int_equal(cc_attempt_remove(stage->relay, id, number, "n", 1), CC_OK);
  expect_view(stage, id, number, "{\"model\":\"other\"}");
}

static void a_view_shows_what_is_sent(void **state) {
  (void)state;
  in_stage(with_splices, "{\"model\":\"other\"}", 19);
}

static void with_a_body(struct stage *stage, cc_id id, int number) {
  assert_int_equal(cc_attempt_set(stage->relay, id, number, "model", 5, "\"other\"", 7), CC_OK);
  assert_int_equal(cc_attempt_replace(stage->relay, id, number, "{\"a longer\":\"one\"}", 18),
                   CC_OK);
  assert_int_equal(cc_attempt_replace(stage->relay, id, number, "{\"another\":[1,2,3]}", 19),
                   CC_OK);
  expect_view(stage, id, number, "{\"another\":[1,2,3]}");
  assert_int_equal(cc_attempt_set(stage->relay, id, number, "model", 5, "1", 1), CC_ESTATE);
  assert_int_equal(cc_attempt_remove(stage->relay, id, number, "model", 5), CC_ESTATE);
}

static void another_body_takes_its_place(void **state) {
  (void)state;
  in_stage(with_a_body, "{\"another\":[1,2,3]}", 19);
}

enum { ITEMS = 1000 };

static void add_items(struct cc_buffer *text, const char *item) {
  cc_buffer_add_text(text, "{\"model\":\"m\",\"messages\":[{\"content\":[0");
  for (int i = 0; i < ITEMS; i++)
    cc_buffer_add_text(text, item);
  cc_buffer_add_text(text, "]}]}");
}

static void without_scopes(struct stage *stage, cc_id id, int number) {
  static const char path[] = "messages[].content[].cache_control.scope";
  assert_int_equal(cc_attempt_remove(stage->relay, id, number, path, sizeof path - 1), CC_OK);
}

// Each splice begins a new piece of the body; a write takes only some pieces.
static void it_may_be_cut_into_many_pieces(void **state) {
  (void)state;
  struct cc_buffer body = {0}, whole = {0}, expected = {0};
  add_items(&body, ",{\"cache_control\":{\"scope\":1}}");
  add_items(&expected, ",{\"cache_control\":{}}");
  cc_buffer_add(&expected, "", 1);
  cc_buffer_printf(&whole,
                   "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
                   "Connection: close\r\nContent-Length: %zu\r\n\r\n",
                   body.size);
  cc_buffer_add(&whole, body.data, body.size);
  cc_buffer_add(&whole, "", 1);
  request = whole.data;
  in_stage(without_scopes, expected.data, ITEMS * 9);
  request = small;
  cc_buffer_free(&body);
  cc_buffer_free(&whole);
  cc_buffer_free(&expected);
}

static void with_nothing(struct stage *stage, cc_id id, int number) {
  assert_int_equal(cc_attempt_replace(stage->relay, id, number, "", 0), CC_OK);
  expect_view(stage, id, number, "");
}

static void it_may_be_empty(void **state) {
  (void)state;
  in_stage(with_nothing, "", 0);
}

enum { BIG = 3000000, HUGE_BODY = 20000000 };

static char byte_at(size_t i) {
  return (char)('a' + i % 23 + i / 23 % 3);
}
static char big[BIG + 1];

static void with_a_big_body(struct stage *stage, cc_id id, int number) {
  for (int i = 0; i < BIG; i++)
    big[i] = byte_at((size_t)i);
  assert_int_equal(cc_attempt_replace(stage->relay, id, number, big, BIG), CC_OK);
}

static void it_may_be_large(void **state) {
  (void)state;
  in_stage(with_a_big_body, big, BIG);
}

// The second request goes over the pooled connection, which dies after taking it.
static void it_is_sent_again_when_retried_unseen(void **state) {
  (void)state;
  static const struct peer_reply replies[] = {
      {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 0, PEER_KEEP},
      {"", 0, PEER_CLOSE},
      {"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"ok\":1}", 0, PEER_CLOSE}};
  struct stage stage;
  struct peer_client *clients[2];
  stage_open(&stage, replies, 3, &good, 1);
  ask(&stage, with_a_body, &clients[0]);
  assert_non_null(strstr(ask(&stage, with_a_big_body, &clients[1]), "{\"ok\":1}"));
  assert_int_equal(peer_upstream_requests(stage.upstream[0]), 3);
  expect_sent(&stage, big);
  assert_int_equal(stage.outcome[0].changed_bytes, BIG);
  stage_close(&stage);
  peer_client_free(clients[0]);
  peer_client_free(clients[1]);
}

// An upstream answers before it has read the request: the rest of the body stays and is sent.
static size_t read_at_last;

static void *answer_early(void *data) {
  static char bytes[65536];
  int fd = accept(*(int *)data, NULL, NULL);
  bool same = recv(fd, bytes, 4096, 0) > 0;
  static const char head[] = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\near";
  send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
  usleep(100000); // chosen by now
  const char *body = memmem(bytes, 4096, "\r\n\r\n", 4);
  body += 4;
  size_t at = strlen(body);
  while (at < HUGE_BODY && same) {
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    for (ssize_t i = 0; i < got && same; i++)
      same = bytes[i] == byte_at(at + (size_t)i);
    if (got <= 0) break;
    at += (size_t)got;
  }
  read_at_last = same ? at : 0;
  send(fd, "l", 1, MSG_NOSIGNAL);
  close(fd);
  return NULL;
}

static void with_a_huge_body(struct stage *stage, cc_id id, int number) {
  char *bytes = malloc(HUGE_BODY);
  for (size_t i = 0; i < HUGE_BODY; i++)
    bytes[i] = byte_at(i);
  assert_int_equal(cc_attempt_replace(stage->relay, id, number, bytes, HUGE_BODY), CC_OK);
  free(bytes);
}

static void it_stays_until_it_is_sent(void **state) {
  (void)state;
  struct stage stage;
  struct peer_client *client;
  pthread_t thread;
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(listener, 1), 0);
  assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
  pthread_create(&thread, NULL, answer_early, &listener);
  stage_open(&stage, &good, 1, &good, 1);
  struct cc_origin origin = {.host = {"127.0.0.1", 9}, .port = ntohs(address.sin_port)};
  stage.origin[0] = cc_origin(stage.relay, &origin);
  stage.spec.framing = CC_FRAMING_OPAQUE;
  const char *got = ask(&stage, with_a_huge_body, &client);
  assert_non_null(strstr(got, "\r\n\r\nearl"));
  pthread_join(thread, NULL);
  assert_int_equal(read_at_last, HUGE_BODY);
  stage_close(&stage);
  peer_client_free(client);
  close(listener);
}

static void an_abandoned_answer_frees_it(void **state) {
  (void)state;
  static const struct peer_reply never = {"", 0, PEER_HANG};
  struct stage stage;
  struct cc_event event;
  stage_open(&stage, &never, 1, &good, 1);
  struct peer_client *client = peer_client_start(stage.port, request, strlen(request), NULL);
  bool over = false;
  while (!over && cc_next(stage.relay, &event)) {
    if (event.type == CC_EVENT_READY) cc_request_accept(stage.relay, event.id);
    if (event.type == CC_EVENT_BODY || (event.type == CC_EVENT_READY && event.detail)) {
      begin(&stage, event.id, with_a_big_body);
      int number = cc_attempt_begin(stage.relay, event.id, stage.origin[1], &stage.spec);
      with_a_body(&stage, event.id, number); // never sent
      cc_exchange_timer(stage.relay, event.id, 20);
    }
    if (event.type == CC_EVENT_TIMER && event.id) cc_answer(stage.relay, event.id, 503, "{}", 2);
    over = event.type == CC_EVENT_DONE;
  }
  assert_non_null(strstr(peer_client_wait(client, NULL, NULL), " 503 "));
  stage_close(&stage);
  peer_client_free(client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_view_shows_what_is_sent),
      cmocka_unit_test(another_body_takes_its_place),
      cmocka_unit_test(it_may_be_cut_into_many_pieces),
      cmocka_unit_test(it_may_be_empty),
      cmocka_unit_test(it_may_be_large),
      cmocka_unit_test(it_is_sent_again_when_retried_unseen),
      cmocka_unit_test(it_stays_until_it_is_sent),
      cmocka_unit_test(an_abandoned_answer_frees_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
