// SPDX-License-Identifier: Apache-2.0
// What an attempt sends as its body: the exchange's with splices, or another in its place.
#include "relay.h"
#include "support/stage.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char request[] = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
                              "Connection: close\r\nContent-Length: 22\r\n\r\n"
                              "{\"model\":\"m\", \"n\":1.0}";
static const struct peer_reply good = {"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"ok\":1}", 0,
                                       PEER_KEEP};

typedef void draft_fn(struct stage *stage, cc_id id, int number);

static cc_id begin(struct stage *stage, cc_id id, draft_fn *draft) {
  int number = cc_try(stage->relay, id, stage->origin[0], &stage->spec);
  assert_true(number >= 0);
  cc_try_target(stage->relay, id, number, "/v1/messages", 12);
  draft(stage, id, number);
  char *view;
  uint32_t size;
  assert_int_equal(cc_try_send(stage->relay, id, number), CC_OK);
  assert_int_equal(cc_try_view(stage->relay, id, number, &view, &size), CC_ESTATE);
  assert_int_equal(cc_try_body(stage->relay, id, number, "x", 1), CC_ESTATE);
  return id;
}

// One request whose attempt is drafted by draft; returns what the client got.
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
  assert_int_equal(cc_try_view(stage->relay, id, number, &view, &size), CC_OK);
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
  assert_int_equal(cc_try_set(stage->relay, id, number, "model", 5, "\"other\"", 7), CC_OK);
  expect_view(stage, id, number, "{\"model\":\"other\", \"n\":1.0}");
  assert_int_equal(cc_try_remove(stage->relay, id, number, "n", 1), CC_OK);
  expect_view(stage, id, number, "{\"model\":\"other\"}");
}

static void a_view_shows_what_is_sent(void **state) {
  (void)state;
  in_stage(with_splices, "{\"model\":\"other\"}", 19);
}

static void with_a_body(struct stage *stage, cc_id id, int number) {
  assert_int_equal(cc_try_set(stage->relay, id, number, "model", 5, "\"other\"", 7), CC_OK);
  assert_int_equal(cc_try_body(stage->relay, id, number, "{\"a longer\":\"one\"}", 18), CC_OK);
  assert_int_equal(cc_try_body(stage->relay, id, number, "{\"another\":[1,2,3]}", 19), CC_OK);
  expect_view(stage, id, number, "{\"another\":[1,2,3]}");
  assert_int_equal(cc_try_set(stage->relay, id, number, "model", 5, "1", 1), CC_ESTATE);
  assert_int_equal(cc_try_remove(stage->relay, id, number, "model", 5), CC_ESTATE);
}

static void another_body_takes_its_place(void **state) {
  (void)state;
  in_stage(with_a_body, "{\"another\":[1,2,3]}", 19);
}

static void with_nothing(struct stage *stage, cc_id id, int number) {
  assert_int_equal(cc_try_body(stage->relay, id, number, "", 0), CC_OK);
  expect_view(stage, id, number, "");
}

static void it_may_be_empty(void **state) {
  (void)state;
  in_stage(with_nothing, "", 0);
}

enum { BIG = 3000000 };
static char big[BIG + 1];

static void with_a_big_body(struct stage *stage, cc_id id, int number) {
  for (int i = 0; i < BIG; i++)
    big[i] = (char)('a' + i % 23 + i / 23 % 3);
  assert_int_equal(cc_try_body(stage->relay, id, number, big, BIG), CC_OK);
}

static void it_may_be_large(void **state) {
  (void)state;
  in_stage(with_a_big_body, big, BIG);
}

// The second request goes over the pooled connection, which dies after it has taken it.
static void it_is_sent_again_when_retried_unseen(void **state) {
  (void)state;
  static const struct peer_reply replies[] = {
      {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 0, PEER_KEEP}, {"", 0, PEER_CLOSE},
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

// An upstream that answers before it has read: what is still to be sent stays, and goes out.
static void with_early_answer(struct stage *stage, cc_id id, int number) {
  struct cc_settings settings;
  cc_settings(stage->relay, &settings);
  settings.write_ms = 0;
  cc_configure(stage->relay, &settings);
  with_a_big_body(stage, id, number);
}

static void an_answer_given_up_frees_it(void **state) {
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
      begin(&stage, event.id, with_early_answer);
      int number = cc_try(stage.relay, event.id, stage.origin[1], &stage.spec);
      with_a_body(&stage, event.id, number); // never sent
      cc_exchange_timer(stage.relay, event.id, 20);
    }
    if (event.type == CC_EVENT_TIMER && event.id)
      cc_answer(stage.relay, event.id, 503, "{}", 2);
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
      cmocka_unit_test(it_may_be_empty),
      cmocka_unit_test(it_may_be_large),
      cmocka_unit_test(it_is_sent_again_when_retried_unseen),
      cmocka_unit_test(an_answer_given_up_frees_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
