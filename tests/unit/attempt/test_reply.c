// SPDX-License-Identifier: Apache-2.0
// The bytes of an answer decide whether it is a stream. A stream reaches the client with any
// content-type, without event names or the last blank line; anything else fails over.
#include "api/error.h"
#include "base/buffer.h"
#include "support/stage.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "HTTP/1.1 200 OK\r\nrequest-id: req_a\r\n"
#define START_DATA                                                                                 \
  "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7}}}\n"
#define BLOCK_DATA  "data: {\"type\":\"content_block_start\",\"index\":0}\n"
#define STOP_DATA   "data: {\"type\":\"message_stop\"}\n"
#define START       "event: message_start\n" START_DATA "\n"
#define BLOCK       "event: content_block_start\n" BLOCK_DATA "\n"
#define STOP        "event: message_stop\n" STOP_DATA "\n"
#define COUNT(list) (sizeof list / sizeof *list)

static const char second_bytes[] =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_b\r\n\r\n" START BLOCK
        STOP;
static const struct peer_reply second = {second_bytes, 0, PEER_CLOSE};
static struct cc_buffer bytes;

// Asks for a stream. The first upstream answers with head, blank line and body.
static const char *ask(struct stage *stage, const char *head, const char *body, size_t size,
                       enum peer_end end) {
  static struct peer_reply first;
  cc_buffer_clear(&bytes);
  cc_buffer_printf(&bytes, "%s\r\n", head);
  cc_buffer_add(&bytes, body, size);
  first = (struct peer_reply){bytes.data, bytes.size, end};
  stage_open(stage, &first, 1, &second, 1);
  return stage_ask(stage, stage_stream_request, strlen(stage_stream_request), NULL);
}

static void close_stage(struct stage *stage) {
  stage_close(stage);
  cc_buffer_free(&bytes);
}

static void expect_body(const char *answer, const char *body, bool complete) {
  bool whole;
  char *got = stage_body(answer, &whole);
  assert_string_equal(got, body);
  assert_int_equal(whole, complete);
  free(got);
}

static void a_stream_may_have_any_content_type(void **state) {
  (void)state;
  static const char *const labels[] = {"", "content-type: application/json\r\n",
                                       "content-type: text/plain; charset=utf-8\r\n",
                                       "content-type: application/octet-stream\r\n",
                                       "Content-Type: Text/Event-Stream; charset=x\r\n"};
  for (size_t i = 0; i < COUNT(labels); i++) {
    char head[256];
    struct stage stage;
    snprintf(head, sizeof head, HEAD "%s", labels[i]);
    const char *got = ask(&stage, head, START BLOCK STOP, strlen(START BLOCK STOP), PEER_CLOSE);
    assert_int_equal(stage.report.attempts, 1);
    assert_true(stage.report.stream);
    bool kept = i == COUNT(labels) - 1;
    assert_non_null(strstr(got, kept ? labels[i] : "content-type: text/event-stream\r\n"));
    assert_null(strstr(got, "application/"));
    expect_body(got, START BLOCK STOP, true);
    close_stage(&stage);
  }
}

static void white_space_before_a_stream_is_skipped(void **state) {
  (void)state;
  struct stage stage;
  static const char body[] = "\xef\xbb\xbf\n\r\n \n" START BLOCK STOP;
  expect_body(ask(&stage, HEAD, body, strlen(body), PEER_CLOSE), body, true);
  close_stage(&stage);
}

static void other_bodies_than_streams_fail_over(void **state) {
  (void)state;
  static const struct {
    const char *body;
    int error;
  } cases[] = {
      {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}",
       CC_ESTREAM_ERROR},
      {" \n{\"error\":{\"code\":\"1302\",\"message\":\"m\"}}", CC_ENOMESSAGE},
      {"{\"code\":500,\"msg\":\"404\",\"success\":false}", CC_ENOMESSAGE},
      {"{\"base_resp\":{\"status_code\":1004,\"status_msg\":\"login fail\"}}", CC_ENOMESSAGE},
      {"{}", CC_ENOMESSAGE},
      {"{\"type\":\"message\",\"content\":[]}", CC_ENOTJSON},
      {"[{\"error\":{\"code\":429}}]", CC_ENOTJSON},
      {"<html>\n\n</html>\n\n", CC_ENOTJSON},
      {"upstream connect error", CC_ENOTJSON},
      {": only a comment\n\n", CC_EEMPTY},
      {" \n", CC_EEMPTY},
      {"", CC_EEMPTY},
      {"data: {\"object\":\"chat.completion.chunk\"}\n\ndata: [DONE]\n\n", CC_ETRUNCATED},
      {"data: {\"error\":{\"message\":\"m\"}}\n\n", CC_ESTREAM_ERROR},
      {START "data: {\"type\":\"error\",\"error\":{}}", CC_ESTREAM_ERROR},
  };
  static const char *const labels[] = {HEAD "content-type: text/event-stream\r\n",
                                       HEAD "content-type: application/json\r\n"};
  for (size_t i = 0; i < COUNT(cases) * COUNT(labels); i++) {
    const char *body = cases[i / 2].body;
    struct stage stage;
    const char *got = ask(&stage, labels[i % 2], body, strlen(body), PEER_CLOSE);
    assert_int_equal(stage.outcome[0].error, cases[i / 2].error);
    assert_int_equal(stage.report.attempts, 2);
    assert_non_null(strstr(got, "req_b"));
    expect_body(got, START BLOCK STOP, true);
    close_stage(&stage);
  }
}

static void events_without_a_name_get_one(void **state) {
  (void)state;
  static const struct {
    const char *body, *expected;
  } cases[] = {
      {START_DATA "\n" BLOCK_DATA "\n" STOP_DATA "\n", START BLOCK STOP},
      {START BLOCK_DATA "\n" STOP, START BLOCK STOP},
      {": hi\nid: 1\n" START_DATA "\n" BLOCK STOP,
       "event: message_start\n: hi\nid: 1\n" START_DATA "\n" BLOCK STOP},
      {"\xef\xbb\xbf" START_DATA "\n" BLOCK STOP, "\xef\xbb\xbf" START BLOCK STOP},
      {"event:\r\n" START_DATA "\n" BLOCK STOP,
       "event:\r\nevent: message_start\n" START_DATA "\n" BLOCK STOP},
      {START BLOCK "data: {\"type\":\ndata: \"x\"}\n\ndata: [DONE]\n\ndata: {}\n\n" STOP,
       START BLOCK "event: x\ndata: {\"type\":\ndata: \"x\"}\n\ndata: [DONE]\n\ndata: {}\n\n" STOP},
      {START BLOCK "data: {\"error\":{\"message\":\"m\"}}\n\n",
       START BLOCK "event: error\ndata: {\"error\":{\"message\":\"m\"}}\n\n"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct stage stage;
    const char *got = ask(&stage, HEAD, cases[i].body, strlen(cases[i].body), PEER_CLOSE);
    expect_body(got, cases[i].expected, true);
    assert_int_equal(stage.report.error, CC_OK);
    close_stage(&stage);
  }
}

// The CR of a CRLF ends an event; its LF comes with the next piece.
static void names_come_after_a_late_line_feed(void **state) {
  (void)state;
  struct stage stage;
  static const char split[] =
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
      "35\r\nevent: content_block_start\ndata: {\"type\":\"x\",\"i\":0}\n\n\r\n"
      "14\r\ndata: {\"type\":\"y\"}\r\n\r\n"
      "1\r\n\r\r\n"
      "22\r\n\ndata: {\"type\":\"message_stop\"}\r\n\r\n\r\n0\r\n\r\n";
  static const struct peer_reply reply = {split, 0, PEER_KEEP};
  stage_open(&stage, &reply, 1, &second, 1);
  const char *got = stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  expect_body(got,
              "event: content_block_start\ndata: {\"type\":\"x\",\"i\":0}\n\n"
              "event: y\ndata: {\"type\":\"y\"}\r\n\r\n"
              "event: message_stop\ndata: {\"type\":\"message_stop\"}\r\n\r\n",
              true);
  stage_close(&stage);
}

static void the_last_event_needs_no_blank_line(void **state) {
  (void)state;
  static const struct {
    const char *body, *expected;
    bool whole;
  } cases[] = {
      {START BLOCK "event: message_stop\n" STOP_DATA, START BLOCK STOP, true},
      {START BLOCK "event: message_stop\ndata: {\"type\":\"message_stop\"}", START BLOCK STOP,
       true},
      {START BLOCK STOP_DATA, START BLOCK STOP, true},
      {START BLOCK "event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r",
       START BLOCK "event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\n", true},
      {START "event: error\ndata: {\"type\":\"error\",\"error\":{}}", NULL, true},
      {START BLOCK "event: error\ndata: {\"type\":\"error\",\"error\":{}}",
       START BLOCK "event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n", true},
      {START "event: content_block_start\n" BLOCK_DATA, START BLOCK, false},
      {START BLOCK "event: message_stop\ndata: {\"type\":\"message_stop\"", START BLOCK, false},
      {START BLOCK "event: message_stop\ndata: ", START BLOCK, false},
      {START BLOCK "event: message_stop\n", START BLOCK, false},
      {START BLOCK "event: message_stop\ndata: {\"type\":\"message_stop\",\ndata: \"x\":[1",
       START BLOCK, false},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct stage stage;
    const char *got = ask(&stage, HEAD, cases[i].body, strlen(cases[i].body), PEER_CLOSE);
    bool failed_over = !cases[i].expected;
    assert_int_equal(stage.report.attempts, failed_over ? 2 : 1);
    expect_body(got, failed_over ? START BLOCK STOP : cases[i].expected, cases[i].whole);
    assert_int_equal(stage.report.error, cases[i].whole ? CC_OK : CC_ETRUNCATED);
    close_stage(&stage);
  }
}

// The message is whole, whatever happens to the connection after it.
static void the_last_event_is_whole_if_the_connection_breaks_after_it(void **state) {
  (void)state;
  static const char *const stops[] = {"event: message_stop\n" STOP_DATA,
                                      "event: message_stop\ndata: {\"type\":\"message_s"};
  for (int i = 0; i < 2; i++) {
    struct cc_buffer body = {0};
    struct stage stage;
    cc_buffer_printf(&body, "%zx\r\n%s%s\r\n", strlen(START BLOCK) + strlen(stops[i]), START BLOCK,
                     stops[i]);
    const char *got =
        ask(&stage, HEAD "transfer-encoding: chunked\r\n", body.data, body.size, PEER_CLOSE);
    expect_body(got, i ? START BLOCK : START BLOCK STOP, !i);
    close_stage(&stage);
    cc_buffer_free(&body);
  }
}

static void events_of_24_mib_pass(void **state) {
  (void)state;
  enum { EVENT = 24 * 1024 * 1024 };
  static const char begin[] = "event: content_block_delta\ndata: {\"x\":\"", end[] = "\"}\n\n";
  for (int extra = 0; extra < 2; extra++) {
    struct cc_buffer body = {0};
    struct stage stage;
    size_t filler = (size_t)EVENT - (sizeof begin - 1) - (sizeof end - 1) + (extra ? 300000 : 0);
    cc_buffer_add_text(&body, START BLOCK);
    cc_buffer_add_text(&body, begin);
    cc_buffer_reserve(&body, filler);
    memset(body.data + body.size, 'y', filler);
    body.size += filler;
    cc_buffer_add_text(&body, end);
    cc_buffer_add_text(&body, STOP);
    const char *got = ask(&stage, HEAD, body.data, body.size, PEER_CLOSE);
    cc_buffer_add(&body, "", 1);
    bool complete;
    char *passed = stage_body(got, &complete);
    assert_int_equal(strcmp(passed, extra ? START BLOCK : body.data), 0);
    assert_int_equal(complete, !extra);
    free(passed);
    assert_int_equal(stage.report.error, extra ? CC_EEVENT_SIZE : CC_OK);
    close_stage(&stage);
    cc_buffer_free(&body);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_stream_may_have_any_content_type),
      cmocka_unit_test(white_space_before_a_stream_is_skipped),
      cmocka_unit_test(other_bodies_than_streams_fail_over),
      cmocka_unit_test(events_without_a_name_get_one),
      cmocka_unit_test(names_come_after_a_late_line_feed),
      cmocka_unit_test(the_last_event_needs_no_blank_line),
      cmocka_unit_test(the_last_event_is_whole_if_the_connection_breaks_after_it),
      cmocka_unit_test(events_of_24_mib_pass),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
