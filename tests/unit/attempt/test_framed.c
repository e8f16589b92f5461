// SPDX-License-Identifier: Apache-2.0
// An upstream whose stream comes in AWS event-stream frames: the gate, failover and breaks work as for
// other streams, and the client gets server-sent events.
#include "api/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "base/buffer.h"
#include "support/frame_build.h"
#include "support/stage.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                       \
  "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nx-amzn-requestid: a\r\n"
#define START "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7}}}"
#define BLOCK "{\"type\":\"content_block_start\",\"index\":0}"
#define DELTA                                                                                      \
  "{ \"type\": \"message_delta\", \"usage\": {\"output_tokens\":5} , \"odd\": \"\\u00e9\" }"
#define STOP              "{\"type\":\"message_stop\",\"amazon-bedrock-invocationMetrics\":{\"n\":1}}"
#define EVENT(type, json) "event: " type "\ndata: " json "\n\n"

static const char second_bytes[] =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_b\r\n\r\n" EVENT(
        "message_start", START) EVENT("content_block_start", BLOCK) EVENT("message_stop", STOP);
static const struct peer_reply second = {second_bytes, 0, PEER_CLOSE};

static struct cc_buffer answer;

static void begin(const char *head) {
  cc_buffer_clear(&answer);
  cc_buffer_add_text(&answer, head);
  cc_buffer_add_text(&answer, "\r\n");
}

static void chunk(const char *json) {
  frame_add_chunk(&answer, json, strlen(json));
}

static void exception(const char *name, const char *words) {
  struct cc_buffer payload = {0};
  cc_buffer_printf(&payload, "{\"message\":\"%s\"}", words);
  frame_add_message(&answer, "exception", ":exception-type", name,
                    cc_slice(payload.data, payload.size));
  cc_buffer_free(&payload);
}

static const char *ask(struct stage *stage, enum peer_end end) {
  static struct peer_reply first;
  first = (struct peer_reply){answer.data, answer.size, end};
  stage_open(stage, &first, 1, &second, 1);
  stage->spec.framing = CC_FRAMING_EVENTSTREAM;
  stage->spec.gate_ms = 300;
  return stage_ask(stage, stage_stream_request, strlen(stage_stream_request), NULL);
}

static void close_stage(struct stage *stage) {
  stage_close(stage);
  cc_buffer_free(&answer);
}

static bool ends_well(const char *got) {
  size_t size = strlen(got);
  return size > 5 && strcmp(got + size - 5, "0\r\n\r\n") == 0;
}

static void whole_streams_are_server_sent_events(void **state) {
  (void)state;
  struct stage stage;
  begin(HEAD);
  chunk(START);
  chunk(BLOCK);
  chunk(DELTA);
  chunk(STOP);
  const char *got = ask(&stage, PEER_CLOSE);
  assert_non_null(strstr(got, "text/event-stream\r\n"));
  assert_null(strstr(got, "amazon.eventstream"));
  assert_non_null(strstr(got, EVENT("message_delta", DELTA)));
  assert_non_null(strstr(got, EVENT("message_stop", STOP)));
  assert_true(ends_well(got));
  assert_int_equal(stage.report.error, CC_OK);
  assert_int_equal(stage.report.events, 4);
  assert_true(stage.report.usage_known);
  assert_int_equal((int)stage.report.usage.input, 7);
  assert_int_equal((int)stage.report.usage.output, 5);
  assert_int_equal(stage.report.attempts, 1);
  close_stage(&stage);
}

static void served_by_second(int error) {
  struct stage stage;
  const char *got = ask(&stage, PEER_CLOSE);
  assert_int_equal(stage.outcome[0].error, error);
  assert_int_equal(stage.report.attempts, 2);
  assert_int_equal(stage.report.error, CC_OK);
  assert_non_null(strstr(got, "req_b"));
  assert_null(strstr(got, "x-amzn-requestid"));
  assert_true(ends_well(got));
  close_stage(&stage);
}

static void faults_before_content_fail_over(void **state) {
  (void)state;
  begin(HEAD);
  chunk(START);
  exception("throttlingException", "slow down");
  served_by_second(CC_ESTREAM_ERROR);
  begin(HEAD);
  chunk(START);
  chunk(BLOCK);
  answer.data[answer.size - 1] ^= 1;
  served_by_second(CC_EFRAME);
  begin(HEAD);
  chunk(START);
  chunk(BLOCK);
  answer.size -= 3;
  served_by_second(CC_ETRUNCATED);
  begin(HEAD);
  chunk(START);
  served_by_second(CC_ETRUNCATED);
  begin(HEAD);
  served_by_second(CC_EEMPTY);
}

// Enough content that the gate has decided long before the last of it is read.
static void begin_long(void) {
  begin(HEAD);
  chunk(START);
  chunk(BLOCK);
  for (int i = 0; i < 4000; i++)
    chunk(DELTA);
}

static void breaks(int error) {
  struct stage stage;
  const char *got = ask(&stage, PEER_CLOSE);
  assert_int_equal(stage.report.attempts, 1);
  assert_int_equal(stage.report.error, error);
  assert_non_null(strstr(got, EVENT("content_block_start", BLOCK)));
  assert_false(ends_well(got));
  close_stage(&stage);
}

// The damage comes in one piece with the content: the gate has opened, but the policy has not answered.
static void damage_before_the_answer_fails_over(void **state) {
  (void)state;
  begin(HEAD);
  chunk(START);
  chunk(BLOCK);
  chunk(DELTA);
  answer.data[answer.size - 1] ^= 1;
  served_by_second(CC_EFRAME);
}

static void damage_after_content_breaks_the_stream(void **state) {
  (void)state;
  begin_long();
  answer.data[answer.size - 1] ^= 1;
  breaks(CC_EFRAME);
  begin_long();
  answer.size -= 1;
  breaks(CC_ETRUNCATED);
  begin_long();
  breaks(CC_ETRUNCATED);
}

static void an_exception_after_content_is_an_error_event(void **state) {
  (void)state;
  struct stage stage;
  begin(HEAD);
  chunk(START);
  chunk(BLOCK);
  exception("throttlingException", "slow \\\"down\\\"");
  const char *got = ask(&stage, PEER_CLOSE);
  assert_non_null(strstr(got, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                              "\"overloaded_error\",\"message\":\"slow \\\"down\\\"\"}}\n\n"));
  assert_true(ends_well(got));
  assert_string_equal(stage.stream_error, "overloaded_error");
  close_stage(&stage);
}

static void other_answers_pass_unchanged(void **state) {
  (void)state;
  struct stage stage;
  begin("HTTP/1.1 400 Bad\r\nx-amzn-errortype: ValidationException\r\nContent-Length: 16");
  cc_buffer_add_text(&answer, "\r\n{\"message\":\"no\"}");
  ask(&stage, PEER_CLOSE);
  assert_int_equal(stage.outcome[0].error, CC_OK);
  assert_int_equal(stage.outcome[0].status, 400);
  close_stage(&stage);
  begin("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n");
  cc_buffer_add_text(&answer, EVENT("message_start", START) EVENT("content_block_start", BLOCK)
                                  EVENT("message_stop", STOP));
  assert_true(ends_well(ask(&stage, PEER_CLOSE)));
  assert_int_equal(stage.report.attempts, 1);
  close_stage(&stage);
}

// Without a stream the head comes with the whole answer, so head_ms bounds connecting only.
static void an_answer_in_one_piece_may_take_longer_than_head_ms(void **state) {
  (void)state;
  static const char json[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 18\r\n\r\n{\"type\":\"message\"}";
  static const struct peer_reply late = {json, 0, PEER_LATE};
  struct stage stage;
  stage_open(&stage, &late, 1, &second, 1);
  stage.spec.framing = CC_FRAMING_EVENTSTREAM;
  stage.spec.stream = false;
  stage.spec.head_ms = 200;
  stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  assert_int_equal(stage.outcome[0].error, CC_OK);
  assert_int_equal(stage.report.attempts, 1);
  stage_close(&stage);
}

// The prelude suffices to refuse it, without waiting for more or holding anything.
static void a_frame_that_announces_too_much_is_refused_at_once(void **state) {
  (void)state;
  begin(HEAD);
  chunk(START);
  frame_add_sized(&answer, 24 * 1024 * 1024 + 1, 0, cc_slice("", 0), cc_slice("", 0));
  struct peer_reply first = {answer.data, answer.size - 4, PEER_HANG};
  struct stage stage;
  stage_open(&stage, &first, 1, &second, 1);
  stage.spec.framing = CC_FRAMING_EVENTSTREAM;
  stage.spec.gate_ms = 60000;
  stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  assert_int_equal(stage.outcome[0].error, CC_EEVENT_SIZE);
  assert_int_equal(stage.report.attempts, 2);
  close_stage(&stage);
}

// Makes a frame whose payload is JSON with the event in base64.
static void frames_of_24_mib_pass(void **state) {
  (void)state;
  enum { FRAME = 24 * 1024 * 1024, AROUND = 300 };
  struct cc_buffer json = {0};
  size_t size = (FRAME - AROUND) / 4 * 3;
  cc_buffer_add_text(&json, "{\"type\":\"content_block_delta\",\"x\":\"");
  cc_buffer_reserve(&json, size);
  memset(json.data + json.size, 'y', size - json.size - 2);
  json.size = size - 2;
  cc_buffer_add_text(&json, "\"}");
  begin(HEAD);
  chunk(START);
  chunk(BLOCK);
  size_t before = answer.size;
  frame_add_chunk(&answer, json.data, json.size);
  assert_in_range(answer.size - before, FRAME - 1024, FRAME);
  chunk(STOP);
  struct stage stage;
  const char *got = ask(&stage, PEER_CLOSE);
  bool complete;
  char *body = stage_body(got, &complete);
  cc_buffer_add(&json, "", 1);
  assert_true(complete);
  assert_int_equal(stage.report.attempts, 1);
  const char *at = strstr(body, "event: content_block_delta\ndata: ");
  assert_non_null(at);
  assert_memory_equal(at + 33, json.data, json.size - 1);
  assert_non_null(strstr(at, EVENT("message_stop", STOP)));
  free(body);
  cc_buffer_free(&json);
  close_stage(&stage);
}

// Whatever the content-type is, the bytes decide, as in the official SDK.
static void bytes_decide_whether_a_stream_has_frames(void **state) {
  (void)state;
  static const char *const labels[] = {"", "Content-Type: application/json\r\n",
                                       "Content-Type: text/event-stream\r\n",
                                       "Content-Type: application/octet-stream\r\n"};
  for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
    struct cc_buffer head = {0};
    struct stage stage;
    cc_buffer_printf(&head, "HTTP/1.1 200 OK\r\n%s", labels[i]);
    cc_buffer_add(&head, "", 1);
    begin(head.data);
    chunk(START);
    chunk(BLOCK);
    chunk(STOP);
    const char *got = ask(&stage, PEER_CLOSE);
    assert_int_equal(stage.report.attempts, 1);
    assert_non_null(strstr(got, "text/event-stream\r\n"));
    assert_non_null(strstr(got, EVENT("message_stop", STOP)));
    assert_true(ends_well(got));
    close_stage(&stage);
    cc_buffer_free(&head);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole_streams_are_server_sent_events),
      cmocka_unit_test(faults_before_content_fail_over),
      cmocka_unit_test(damage_after_content_breaks_the_stream),
      cmocka_unit_test(damage_before_the_answer_fails_over),
      cmocka_unit_test(an_exception_after_content_is_an_error_event),
      cmocka_unit_test(other_answers_pass_unchanged),
      cmocka_unit_test(an_answer_in_one_piece_may_take_longer_than_head_ms),
      cmocka_unit_test(a_frame_that_announces_too_much_is_refused_at_once),
      cmocka_unit_test(frames_of_24_mib_pass),
      cmocka_unit_test(bytes_decide_whether_a_stream_has_frames),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
