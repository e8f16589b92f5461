// SPDX-License-Identifier: Apache-2.0
// An event stream that begins before there is an answer: pings keep the client waiting, and the answer or
// an error event follows in the same stream.
#include "api/error.h"
#include "api/loop.h"
#include "support/stage.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PING     "event: ping\ndata: {\"type\":\"ping\"}\n\n"
#define SSE_HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-upstream: 1\r\n\r\n"
#define CONTENT                                                                                    \
  "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0}\n\n"
#define STOP "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

static const struct peer_reply unused = {"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", 0,
                                         PEER_CLOSE};

static void open_early(struct stage *stage, const struct peer_reply *reply, double wait_ms,
                       uint32_t ping_ms, uint32_t total_ms) {
  struct cc_settings settings;
  stage_open(stage, reply, 1, &unused, 1);
  settings = stage->relay->settings;
  stage->relay->bounds.ping_ms = ping_ms;
  settings.total_ms = total_ms;
  cc_configure(stage->relay, &settings);
  stage->early_ms = wait_ms;
}

static const char *ask(struct stage *stage, const char *until) {
  return stage_ask(stage, stage_stream_request, strlen(stage_stream_request), until);
}

// Returns what follows the pings at the start of a body.
static const char *behind_pings(const char *body, int *pings) {
  *pings = 0;
  for (; !strncmp(body, PING, sizeof PING - 1); body += sizeof PING - 1)
    *pings += 1;
  return body;
}

static void expect_behind_pings(const char *answer, const char *rest, int least, bool complete) {
  bool whole;
  int pings;
  char *body = stage_body(answer, &whole);
  assert_string_equal(behind_pings(body, &pings), rest);
  assert_true(pings >= least);
  assert_int_equal(whole, complete);
  free(body);
}

static void the_stream_follows_the_pings_in_one_answer(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {SSE_HEAD CONTENT STOP, 0, PEER_CLOSE};
  open_early(&stage, &reply, 150, 20, 0);
  const char *got = ask(&stage, NULL);
  assert_memory_equal(got, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n", 50);
  assert_null(strstr(got + 1, "HTTP/1.1"));
  assert_null(strstr(got, "x-upstream"));
  assert_non_null(strstr(got, "\r\nx-accel-buffering: no\r\n"));
  assert_non_null(strstr(got, "\r\ncache-control: no-cache, no-transform\r\n"));
  expect_behind_pings(got, CONTENT STOP, 2, true);
  assert_int_equal(stage.early_result, CC_OK);
  assert_int_equal(stage.early_again, CC_ESTATE);
  assert_int_equal(stage.answer_result, CC_OK);
  assert_int_equal(stage.report.error, CC_OK);
  assert_int_equal(stage.report.status, 200);
  assert_true(stage.report.stream);
  assert_true(stage.report.pings >= 2);
  stage_close(&stage);
}

static void the_first_ping_does_not_wait(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {SSE_HEAD CONTENT STOP, 0, PEER_CLOSE};
  open_early(&stage, &reply, 1, 60000, 0);
  expect_behind_pings(ask(&stage, NULL), CONTENT STOP, 1, true);
  assert_int_equal(stage.report.pings, 1);
  stage_close(&stage);
}

static void pings_go_on_while_an_upstream_is_tried(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {SSE_HEAD CONTENT STOP, 0, PEER_LATE};
  open_early(&stage, &reply, 1, 100, 0);
  expect_behind_pings(ask(&stage, NULL), CONTENT STOP, 3, true);
  stage_close(&stage);
}

static void another_answer_than_a_stream_becomes_an_error_event(void **state) {
  (void)state;
  static const char *const answers[] = {
      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
      "HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
  };
  for (int i = 0; i < 2; i++) {
    struct stage stage;
    struct peer_reply reply = {answers[i], 0, PEER_CLOSE};
    open_early(&stage, &reply, 1, 60000, 0);
    expect_behind_pings(ask(&stage, NULL), "event: error\ndata: {\ndata: }\n\n", 1, true);
    assert_int_equal(stage.answer_result, CC_ESTATE);
    assert_int_equal(stage.report.status, 200);
    stage_close(&stage);
  }
}

static void a_cut_stream_still_looks_dead(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {SSE_HEAD CONTENT, 0, PEER_CLOSE};
  open_early(&stage, &reply, 1, 60000, 0);
  expect_behind_pings(ask(&stage, NULL), CONTENT, 1, false);
  assert_int_equal(stage.report.error, CC_ETRUNCATED);
  stage_close(&stage);
}

static void the_total_time_ends_it_with_an_error_event(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {"", 0, PEER_HANG};
  open_early(&stage, &reply, 60000, 60000, 100);
  bool whole;
  int pings;
  char *body = stage_body(ask(&stage, NULL), &whole);
  const char *rest = behind_pings(body, &pings);
  assert_true(whole);
  assert_non_null(strstr(rest, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                               "\"timeout_error\""));
  assert_int_equal(stage.report.error, CC_ETOTAL_TIMEOUT);
  free(body);
  stage_close(&stage);
}

static void a_client_that_goes_ends_the_exchange(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {"", 0, PEER_HANG};
  open_early(&stage, &reply, 60000, 20, 0);
  ask(&stage, PING);
  assert_int_equal(stage.report.error, CC_ECLIENT_GONE);
  assert_int_equal(peer_upstream_requests(stage.upstream[0]), 0);
  stage_close(&stage);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_stream_follows_the_pings_in_one_answer),
      cmocka_unit_test(the_first_ping_does_not_wait),
      cmocka_unit_test(pings_go_on_while_an_upstream_is_tried),
      cmocka_unit_test(another_answer_than_a_stream_becomes_an_error_event),
      cmocka_unit_test(a_cut_stream_still_looks_dead),
      cmocka_unit_test(the_total_time_ends_it_with_an_error_event),
      cmocka_unit_test(a_client_that_goes_ends_the_exchange),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
