// SPDX-License-Identifier: Apache-2.0
// An upstream whose stream comes in event-stream frames: held at the gate, failed over and broken off
// as any other, and the client sees server-sent events.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "base/buffer.h"
#include "frame_build.h"
#include "support/stage.h"
#include <cmocka.h>
#include <string.h>

#define HEAD                                                                                       \
  "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nx-amzn-requestid: a\r\n"
#define START "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7}}}"
#define BLOCK "{\"type\":\"content_block_start\",\"index\":0}"
#define DELTA                                                                                      \
  "{ \"type\": \"message_delta\", \"usage\": {\"output_tokens\":5} , \"odd\": \"\\u00e9\" }"
#define STOP  "{\"type\":\"message_stop\",\"amazon-bedrock-invocationMetrics\":{\"n\":1}}"
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

// So much content that the gate's decision is long past when the last of it is read.
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

static void damage_behind_content_breaks_the_stream(void **state) {
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

static void an_exception_behind_content_is_an_error_event(void **state) {
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

static void other_answers_are_as_they_come(void **state) {
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

// Without a stream the head comes with the whole answer: what bounds the head bounds connecting.
static void an_answer_in_one_piece_may_take_its_time(void **state) {
  (void)state;
  static const char json[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 8\r\n\r\n{\"ok\":1}";
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

static void one_event_has_a_bound(void **state) {
  (void)state;
  enum { SIZE = 300000 };
  static char payload[SIZE];
  struct cc_settings settings;
  struct stage stage;
  memset(payload, ' ', sizeof payload);
  begin(HEAD);
  frame_add_message(&answer, "event", ":event-type", "chunk", cc_slice(payload, SIZE));
  answer.size -= 1; // it is never whole
  struct peer_reply first = {answer.data, answer.size, PEER_HANG};
  stage_open(&stage, &first, 1, &second, 1);
  cc_settings(stage.relay, &settings);
  settings.event_bytes = 200000;
  cc_configure(stage.relay, &settings);
  stage.spec.framing = CC_FRAMING_EVENTSTREAM;
  stage.spec.gate_ms = 3000;
  stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  assert_int_equal(stage.outcome[0].error, CC_EEVENT_SIZE);
  assert_int_equal(stage.report.attempts, 2);
  close_stage(&stage);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole_streams_are_server_sent_events),
      cmocka_unit_test(faults_before_content_fail_over),
      cmocka_unit_test(damage_behind_content_breaks_the_stream),
      cmocka_unit_test(an_exception_behind_content_is_an_error_event),
      cmocka_unit_test(other_answers_are_as_they_come),
      cmocka_unit_test(an_answer_in_one_piece_may_take_its_time),
      cmocka_unit_test(one_event_has_a_bound),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
