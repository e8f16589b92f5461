// SPDX-License-Identifier: Apache-2.0
// Failures before the first content has reached the client: the second upstream serves the request,
// and the client sees nothing of the first.
#include "api/error.h"
#include "support/stage.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SSE_HEAD                                                                                   \
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nrequest-id: req_"
#define START                                                                                      \
  "event: message_start\ndata: "                                                                   \
  "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7}}}\n\n"
#define CONTENT                                                                                    \
  "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0}\n\n"
#define STOP "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define PING "event: ping\ndata: {\"type\":\"ping\"}\n\n"

static const char good_bytes[] = SSE_HEAD "b\r\n\r\n" START CONTENT STOP;
static const struct peer_reply good = {good_bytes, 0, PEER_CLOSE};

static const char *ask(struct stage *stage, struct peer_reply bad) {
  static struct peer_reply held;
  held = bad;
  stage_open(stage, &held, 1, &good, 1);
  stage->spec.gate_ms = 200;
  stage->spec.head_ms = 400;
  return stage_ask(stage, stage_stream_request, strlen(stage_stream_request), NULL);
}

static void expect_second(struct peer_reply bad, int error, int status) {
  struct stage stage;
  const char *got = ask(&stage, bad);
  assert_int_equal(stage.outcome[0].error, error);
  assert_int_equal(stage.outcome[0].status, status);
  assert_int_equal(stage.report.status, 200);
  assert_int_equal(stage.report.attempts, 2);
  assert_int_equal(stage.report.error, CC_OK);
  assert_non_null(strstr(got, "request-id: req_b"));
  assert_null(strstr(got, "req_a"));
  assert_null(strstr(got, "canary"));
  assert_non_null(strstr(got, "message_stop"));
  assert_string_equal(got + strlen(got) - 5, "0\r\n\r\n");
  stage_close(&stage);
}

static void statuses_fail_over(void **state) {
  (void)state;
  static const int statuses[] = {400, 401, 408, 409, 429, 500, 502, 503, 529};
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
    char bytes[256];
    snprintf(bytes, sizeof bytes,
             "HTTP/1.1 %d Oh\r\nrequest-id: req_a\r\ncontent-length: 2\r\n\r\n{}", statuses[i]);
    expect_second((struct peer_reply){bytes, 0, PEER_KEEP}, CC_OK, statuses[i]);
  }
}

static void broken_transport_fails_over(void **state) {
  (void)state;
  expect_second((struct peer_reply){"", 0, PEER_CLOSE}, CC_EEOF, 0);
  expect_second((struct peer_reply){"HTTP/1.1 2", 0, PEER_CLOSE}, CC_EEOF, 0);
  expect_second((struct peer_reply){"", 0, PEER_RESET}, CC_ERESET, 0);
  expect_second((struct peer_reply){"garbage\r\n\r\n", 0, PEER_CLOSE}, CC_EHTTP, 0);
  expect_second((struct peer_reply){"", 0, PEER_HANG}, CC_EHEAD_TIMEOUT, 0);
}

static void streams_without_content_fail_over(void **state) {
  (void)state;
  expect_second((struct peer_reply){SSE_HEAD
                                    "a\r\n\r\n" START
                                    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                                    "\"overloaded_error\",\"message\":\"m\"}}\n\n",
                                    0, PEER_CLOSE},
                CC_ESTREAM_ERROR, 200);
  expect_second((struct peer_reply){SSE_HEAD "a\r\n\r\n" START PING, 0, PEER_HANG},
                CC_EGATE_TIMEOUT, 200);
  expect_second((struct peer_reply){SSE_HEAD "a\r\n\r\n" START, 0, PEER_CLOSE}, CC_ETRUNCATED, 200);
  expect_second((struct peer_reply){SSE_HEAD "a\r\n\r\n", 0, PEER_CLOSE}, CC_EEMPTY, 200);
  expect_second(
      (struct peer_reply){SSE_HEAD "a\r\ncontent-length: 500\r\n\r\n" START, 0, PEER_CLOSE},
      CC_EEOF, 200);
}

static void wrong_success_fails_over(void **state) {
  (void)state;
  expect_second((struct peer_reply){"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n"
                                    "content-length: 6\r\n\r\n<html>",
                                    0, PEER_KEEP},
                CC_ENOTJSON, 200);
  expect_second((struct peer_reply){"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 0, PEER_KEEP},
                CC_EEMPTY, 200);
  expect_second((struct peer_reply){"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n"
                                    "content-length: 0\r\n\r\n",
                                    0, PEER_KEEP},
                CC_EREDIRECT, 302);
  expect_second((struct peer_reply){"HTTP/1.1 101 Switch\r\nupgrade: x\r\n\r\n", 0, PEER_CLOSE},
                CC_EUPGRADE, 0);
}

static void refused_fails_over(void **state) {
  (void)state;
  struct stage stage;
  stage_open(&stage, &good, 1, &good, 1);
  struct cc_origin closed = {.host = {"127.0.0.1", 9}, .port = 1};
  stage.origin[0] = cc_origin(stage.relay, &closed);
  const char *got = stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  assert_int_equal(stage.outcome[0].error, CC_EREFUSED);
  assert_false(stage.outcome[0].sent);
  assert_non_null(strstr(got, "message_stop"));
  stage_close(&stage);
}

static void the_last_error_goes_back_as_it_came(void **state) {
  (void)state;
  static const struct peer_reply first = {
      "HTTP/1.1 500 Oh\r\nrequest-id: req_a\r\ncontent-length: 5\r\n\r\nfirst", 0, PEER_KEEP};
  static const struct peer_reply last = {
      "HTTP/1.1 529 Oh\r\nrequest-id: req_z\r\nX-Should-Retry: true\r\n"
      "set-cookie: canary=1\r\ncontent-length: 6\r\n\r\n{\"z\":1",
      0, PEER_KEEP};
  struct stage stage;
  stage_open(&stage, &first, 1, &last, 1);
  const char *got = stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  assert_memory_equal(got, "HTTP/1.1 529", 12);
  assert_non_null(strstr(got, "request-id: req_z"));
  assert_non_null(strstr(got, "X-Should-Retry: true"));
  assert_non_null(strstr(got, "\r\n\r\n{\"z\":1"));
  assert_null(strstr(got, "first"));
  assert_null(strstr(got, "canary"));
  stage_close(&stage);
}

static void the_gate_may_be_told_to_open(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply slow = {SSE_HEAD "a\r\n\r\n" START PING, 0, PEER_HANG};
  stage_open(&stage, &slow, 1, &good, 1);
  stage.spec.gate_ms = 50;
  stage.spec.gate_opens = true;
  const char *got =
      stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), "event: ping");
  assert_int_equal(stage.outcome[0].error, CC_OK);
  assert_non_null(strstr(got, "req_a"));
  assert_int_equal(stage.report.error, CC_ECLIENT_GONE);
  stage_close(&stage);
}

static void the_request_is_rebuilt(void **state) {
  (void)state;
  struct stage stage;
  stage_open(&stage, &good, 1, &good, 1);
  stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  size_t size;
  const char *sent = peer_upstream_last(stage.upstream[0], &size);
  assert_memory_equal(sent, "POST /v1/messages?beta=true HTTP/1.1\r\n", 38);
  assert_non_null(strstr(sent, "\r\nx-api-key: canary-key\r\n"));
  assert_non_null(strstr(sent, "\r\nX-App: cli\r\n"));
  assert_null(strstr(sent, "canary-client-key"));
  assert_null(strstr(sent, "Cookie"));
  assert_null(strstr(sent, "X-Drop"));
  assert_null(strstr(sent, "Connection"));
  const char *body = strstr(stage_stream_request, "\r\n\r\n");
  assert_string_equal(strstr(sent, "\r\n\r\n"), body);
  assert_true(stage.scan.stream);
  stage_close(&stage);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(statuses_fail_over),
      cmocka_unit_test(broken_transport_fails_over),
      cmocka_unit_test(streams_without_content_fail_over),
      cmocka_unit_test(wrong_success_fails_over),
      cmocka_unit_test(refused_fails_over),
      cmocka_unit_test(the_last_error_goes_back_as_it_came),
      cmocka_unit_test(the_gate_may_be_told_to_open),
      cmocka_unit_test(the_request_is_rebuilt),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
