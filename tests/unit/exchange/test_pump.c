// SPDX-License-Identifier: Apache-2.0
// After the answer is chosen: bytes arrive unchanged, in whole events, and a stream that dies never ends
// cleanly.
#include "api/error.h"
#include "api/loop.h"
#include "base/buffer.h"
#include "support/stage.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SSE_HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
#define START                                                                                      \
  "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{"               \
  "\"input_tokens\":7,\"cache_read_input_tokens\":5,\"cache_creation\":{"                          \
  "\"ephemeral_5m_input_tokens\":3,\"ephemeral_1h_input_tokens\":2},\"output_tokens\":1}}}\n\n"
#define CONTENT                                                                                    \
  "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0}\n\n"
#define DELTA                                                                                      \
  "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":42}}\n\n"
#define STOP "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define HALF "event: content_block_delta\ndata: {\"type\":\"content_blo"

static const struct peer_reply unused = {"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", 0,
                                         PEER_CLOSE};

static const char *ask(struct stage *stage, const struct peer_reply *reply, const char *until) {
  stage_open(stage, reply, 1, &unused, 1);
  return stage_ask(stage, stage_stream_request, strlen(stage_stream_request), until);
}

static void expect_body(const char *answer, const char *body, bool complete) {
  bool whole;
  char *got = stage_body(answer, &whole);
  assert_string_equal(got, body);
  assert_int_equal(whole, complete);
  free(got);
}

static void a_whole_stream_passes(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {SSE_HEAD START CONTENT DELTA STOP, 0, PEER_CLOSE};
  const char *got = ask(&stage, &reply, NULL);
  expect_body(got, START CONTENT DELTA STOP, true);
  assert_int_equal(stage.report.error, CC_OK);
  assert_int_equal(stage.report.events, 4);
  assert_true(stage.report.usage_known && stage.report.usage_final);
  assert_int_equal(stage.report.usage.input, 7);
  assert_int_equal(stage.report.usage.output, 42);
  assert_int_equal(stage.report.usage.cache_read, 5);
  assert_int_equal(stage.report.usage.cache_5m, 3);
  assert_int_equal(stage.report.usage.cache_1h, 2);
  assert_true(stage.report.own_ms > 0 && stage.report.own_ms < stage.report.content_ms);
  assert_true(stage.report.content_ms <= stage.report.total_ms);
  stage_close(&stage);
}

static void a_cut_stream_never_ends_cleanly(void **state) {
  (void)state;
  static const enum peer_end ends[] = {PEER_CLOSE, PEER_RESET};
  for (int i = 0; i < 2; i++) {
    struct stage stage;
    struct peer_reply reply = {SSE_HEAD START CONTENT HALF, 0, ends[i]};
    const char *got = ask(&stage, &reply, NULL);
    bool complete;
    char *body = stage_body(got, &complete);
    assert_false(complete);
    if (ends[i] == PEER_CLOSE) assert_string_equal(body, START CONTENT);
    assert_null(strstr(body, "content_blo\"")); // never half an event
    assert_int_not_equal(stage.report.error, CC_OK);
    assert_true(stage.report.usage_known && !stage.report.usage_final);
    free(body);
    stage_close(&stage);
  }
}

static void a_policy_may_ask_for_an_error_event(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {SSE_HEAD START CONTENT HALF, 0, PEER_CLOSE};
  stage_open(&stage, &reply, 1, &unused, 1);
  stage.break_with_event = true;
  const char *got = stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  bool complete;
  char *body = stage_body(got, &complete);
  assert_true(complete);
  static const char begin[] = START CONTENT "event: error\ndata: {\"type\":\"error\",";
  assert_memory_equal(body, begin, sizeof begin - 1);
  assert_int_equal(stage.report.error, CC_ETRUNCATED);
  free(body);
  stage_close(&stage);
}

static void an_error_event_in_the_stream_passes(void **state) {
  (void)state;
  struct stage stage;
#define ERROR                                                                                      \
  "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"  \
  "\"m\"}}\n\n"
  static const struct peer_reply reply = {SSE_HEAD START CONTENT ERROR, 0, PEER_CLOSE};
  const char *got = ask(&stage, &reply, NULL);
  expect_body(got, START CONTENT ERROR, true);
  assert_string_equal(stage.stream_error, "overloaded_error");
  stage_close(&stage);
}

static void an_error_event_without_a_type_is_an_error(void **state) {
  (void)state;
  static const struct peer_reply replies[] = {
      {SSE_HEAD START CONTENT "event: error\ndata: {\"error\":{}}\n\n", 0, PEER_CLOSE},
      {SSE_HEAD START CONTENT "event: error\ndata: {\"error\":{\"type\":\"what you asked\"}}\n\n",
       0, PEER_CLOSE},
  };
  for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
    struct stage stage;
    ask(&stage, &replies[i], NULL);
    assert_int_equal(stage.report.error, CC_OK);
    assert_string_equal(stage.stream_error, "api_error");
    stage_close(&stage);
  }
}

#define TYPE_64 "a23456789_b23456789_c23456789_d23456789_e23456789_f23456789_g234"

static void the_type_of_an_error_event_is_never_cut(void **state) {
  (void)state;
  static const struct peer_reply replies[] = {
      {SSE_HEAD START CONTENT "event: error\ndata: {\"error\":{\"type\":\"" TYPE_64 "\"}}\n\n", 0,
       PEER_CLOSE},
      {SSE_HEAD START CONTENT "event: error\ndata: {\"error\":{\"type\":\"" TYPE_64 "x\"}}\n\n", 0,
       PEER_CLOSE},
  };
  static const char *const types[] = {TYPE_64, "api_error"};
  for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
    struct stage stage;
    ask(&stage, &replies[i], NULL);
    assert_string_equal(stage.stream_error, types[i]);
    stage_close(&stage);
  }
}

static void a_stream_that_has_ended_gets_no_pings(void **state) {
  (void)state;
  struct stage stage;
  struct cc_settings settings;
  static const struct peer_reply reply = {SSE_HEAD START CONTENT DELTA STOP, 0, PEER_HANG};
  stage_open(&stage, &reply, 1, &unused, 1);
  settings = stage.relay->settings;
  stage.relay->bounds.ping_ms = 20;
  stage.relay->bounds.last_ms = 100;
  settings.idle_ms = 200;
  cc_configure(stage.relay, &settings);
  bool complete;
  char *body = stage_body(
      stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL), &complete);
  assert_string_equal(body, START CONTENT DELTA STOP);
  assert_int_equal(stage.report.pings, 0);
  free(body);
  stage_close(&stage);
}

static void silence_gets_pings_and_then_an_end(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {SSE_HEAD START CONTENT HALF, 0, PEER_HANG};
  stage_open(&stage, &reply, 1, &unused, 1);
  struct cc_settings settings = stage.relay->settings;
  stage.relay->bounds.ping_ms = 20;
  settings.idle_ms = 200;
  cc_configure(stage.relay, &settings);
  const char *got = stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  bool complete;
  char *body = stage_body(got, &complete);
  assert_false(complete);
  static const char begin[] = START CONTENT "event: ping\ndata: {\"type\":\"ping\"}\n\n";
  assert_memory_equal(body, begin, sizeof begin - 1);
  assert_true(stage.report.pings >= 1);
  assert_int_equal(stage.report.error, CC_EIDLE_TIMEOUT);
  free(body);
  stage_close(&stage);
}

static void the_total_time_ends_an_exchange(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {"", 0, PEER_HANG};
  stage_open(&stage, &reply, 1, &unused, 1);
  struct cc_settings settings = stage.relay->settings;
  settings.total_ms = 100;
  cc_configure(stage.relay, &settings);
  const char *got = stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  assert_memory_equal(got, "HTTP/1.1 504", 12);
  assert_non_null(strstr(got, "timeout_error"));
  assert_int_equal(stage.report.error, CC_ETOTAL_TIMEOUT);
  stage_close(&stage);
}

static const char *ask_within(struct stage *stage, const struct peer_reply *reply, bool stream,
                              uint32_t content_ms, uint32_t idle_ms, uint32_t total_ms) {
  stage_open(stage, reply, 1, &unused, 1);
  struct cc_settings settings = stage->relay->settings;
  settings.content_ms = content_ms;
  settings.idle_ms = idle_ms;
  settings.total_ms = total_ms;
  cc_configure(stage->relay, &settings);
  stage->spec.stream = stream;
  stage->spec.gate_ms = 10;
  stage->spec.gate_opens = true;
  return stage_ask(stage, stage_stream_request, strlen(stage_stream_request), NULL);
}

static void no_content_in_time_is_a_refusal(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {"", 0, PEER_HANG};
  const char *got = ask_within(&stage, &reply, true, 100, 0, 0);
  assert_memory_equal(got, "HTTP/1.1 504", 12);
  assert_non_null(strstr(got, "timeout_error"));
  assert_non_null(strstr(got, "server.timeout_ms"));
  assert_int_equal(stage.report.error, CC_ECONTENT_TIMEOUT);
  stage_close(&stage);
}

// Whether content has come or not.
static void after_the_first_content_only_silence_counts(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    const char *body;
    int error;
  } rows[] = {
      {SSE_HEAD START HALF, START, CC_ECONTENT_TIMEOUT},
      {SSE_HEAD START CONTENT HALF, START CONTENT, CC_EIDLE_TIMEOUT},
  };
  for (int i = 0; i < 2; i++) {
    struct stage stage;
    struct peer_reply reply = {rows[i].bytes, 0, PEER_HANG};
    expect_body(ask_within(&stage, &reply, true, 500, 900, 0), rows[i].body, false);
    assert_int_equal(stage.report.error, rows[i].error);
    stage_close(&stage);
  }
}

static void a_json_body_has_content_with_its_first_byte(void **state) {
  (void)state;
  static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
  static const struct {
    const char *body;
    int error;
  } rows[] = {{"", CC_ECONTENT_TIMEOUT}, {"{\"type\":\"mess", CC_EIDLE_TIMEOUT}};
  for (int i = 0; i < 2; i++) {
    struct stage stage;
    char bytes[200];
    snprintf(bytes, sizeof bytes, "%s%s", head, rows[i].body);
    struct peer_reply reply = {bytes, 0, PEER_HANG};
    expect_body(ask_within(&stage, &reply, false, 500, 900, 0), rows[i].body, false);
    assert_int_equal(stage.report.error, rows[i].error);
    stage_close(&stage);
  }
}

static void a_total_time_ends_even_a_stream(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {SSE_HEAD START CONTENT HALF, 0, PEER_HANG};
  expect_body(ask_within(&stage, &reply, true, 700, 60000, 800), START CONTENT, false);
  assert_int_equal(stage.report.error, CC_ETOTAL_TIMEOUT);
  stage_close(&stage);
}

static void a_client_that_goes_ends_the_upstream(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {SSE_HEAD START CONTENT, 0, PEER_HANG};
  ask(&stage, &reply, "content_block_start");
  assert_int_equal(stage.report.error, CC_ECLIENT_GONE);
  stage_close(&stage); // waits for the upstream's thread, which waits for the end
}

// On a pooled connection, where a death before any answer counts as no failure.
static void nothing_is_repeated_after_a_part_of_an_answer(void **state) {
  (void)state;
  static const char *const parts[] = {"HTTP/1.1 200 OK\r\nconte", "HTTP/1.1 200 OK\r\n\r\n",
                                      SSE_HEAD START};
  static const enum peer_end ends[] = {PEER_CLOSE, PEER_RESET};
  for (int i = 0; i < 6; i++) {
    struct stage stage;
    struct peer_reply replies[] = {
        {"HTTP/1.1 400 No\r\ncontent-length: 2\r\n\r\n{}", 0, PEER_KEEP},
        {parts[i % 3], 0, ends[i / 3]},
        {"HTTP/1.1 400 No\r\ncontent-length: 2\r\n\r\n{}", 0, PEER_KEEP}};
    stage_open(&stage, replies, 3, &unused, 1);
    for (int ask = 0; ask < 2; ask++)
      stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
    assert_int_equal(peer_upstream_requests(stage.upstream[0]), 2);
    assert_int_equal(peer_upstream_connections(stage.upstream[0]), 1);
    stage_close(&stage);
  }
}

static void big_events_have_a_bound(void **state) {
  (void)state;
  struct stage stage;
  struct cc_buffer bytes = {0};
  cc_buffer_add_text(&bytes, SSE_HEAD START CONTENT "event: content_block_delta\ndata: ");
  for (int i = 0; i < 40000; i++)
    cc_buffer_add_text(&bytes, "xxxxxxxxxx");
  struct peer_reply reply = {bytes.data, bytes.size, PEER_HANG};
  stage_open(&stage, &reply, 1, &unused, 1);
  stage.relay->bounds.event_bytes = 100000;
  const char *got = stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  expect_body(got, START CONTENT, false);
  assert_int_equal(stage.report.error, CC_EEVENT_SIZE);
  stage_close(&stage);
  cc_buffer_free(&bytes);
}

static const char json_request[] = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
                                   "Connection: close\r\nContent-Length: 15\r\n\r\n"
                                   "{\"model\":\"m-1\"}";

static void json_answers_pass_with_their_usage(void **state) {
  (void)state;
  struct stage stage;
  struct cc_buffer bytes = {0};
  cc_buffer_add_text(&bytes, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                             "content-length: 200064\r\n\r\n{\"content\":\"");
  for (int i = 0; i < 200000; i++)
    cc_buffer_add(&bytes, "y", 1);
  cc_buffer_add_text(&bytes, "\",\"usage\":{\"input_tokens\":12,\"output_tokens\":3456}} ");
  struct peer_reply reply = {bytes.data, bytes.size, PEER_KEEP};
  stage_open(&stage, &reply, 1, &unused, 1);
  stage.spec.stream = false;
  const char *got = stage_ask(&stage, json_request, strlen(json_request), NULL);
  cc_buffer_add(&bytes, "", 1);
  assert_non_null(strstr(got, "content-length: 200064\r\n"));
  assert_string_equal(strstr(got, "\r\n\r\n"), strstr(bytes.data, "\r\n\r\n"));
  assert_int_equal(stage.report.usage.output, 3456);
  assert_true(stage.report.usage_final);
  assert_int_equal(stage.report.error, CC_OK);
  stage_close(&stage);
  cc_buffer_free(&bytes);
}

static void a_dead_pooled_connection_is_retried_unseen(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply replies[] = {
      {"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"content\":[]}", 0, PEER_KEEP},
      {"", 0, PEER_CLOSE}, // takes the second request and dies
      {"HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{\"type\":\"message\"}", 0, PEER_CLOSE},
  };
  stage_open(&stage, replies, 3, &unused, 1);
  stage.spec.stream = false;
  stage_ask(&stage, json_request, strlen(json_request), NULL);
  const char *got = stage_ask(&stage, json_request, strlen(json_request), NULL);
  assert_non_null(strstr(got, "{\"type\":\"message\"}"));
  assert_int_equal(stage.report.attempts, 1);
  assert_int_equal(peer_upstream_requests(stage.upstream[0]), 3);
  assert_int_equal(peer_upstream_connections(stage.upstream[0]), 2);
  assert_int_equal(peer_upstream_requests(stage.upstream[1]), 0);
  stage_close(&stage);
}

// The gate may open without content; the first content is then an event like any other.
static void content_after_an_open_gate_passes_whole(void **state) {
  (void)state;
  struct stage stage;
  struct cc_buffer bytes = {0};
  cc_buffer_add_text(&bytes, SSE_HEAD START);
  for (int i = 0; i < 7000; i++)
    cc_buffer_add_text(&bytes, ": nothing yet, wait\n\n");
  cc_buffer_add_text(&bytes, CONTENT DELTA STOP);
  struct peer_reply reply = {bytes.data, bytes.size, PEER_CLOSE};
  stage_open(&stage, &reply, 1, &unused, 1);
  stage.spec.gate_bytes = 1024;
  const char *got = stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  cc_buffer_add(&bytes, "", 1);
  expect_body(got, strstr(bytes.data, "event: message_start"), true);
  assert_int_equal(stage.report.error, CC_OK);
  stage_close(&stage);
  cc_buffer_free(&bytes);
}

static void a_stream_is_over_soon_after_its_last_event(void **state) {
  (void)state;
  struct stage stage;
  static const struct peer_reply reply = {SSE_HEAD START CONTENT DELTA STOP, 0, PEER_HANG};
  stage_open(&stage, &reply, 1, &unused, 1);
  struct cc_settings settings = stage.relay->settings;
  settings.total_ms = settings.idle_ms = 0;
  stage.relay->bounds.last_ms = 100;
  cc_configure(stage.relay, &settings);
  alarm(60); // ends the test if the stream does not end
  const char *got = stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
  alarm(0);
  expect_body(got, START CONTENT DELTA STOP, true);
  assert_int_equal(stage.report.error, CC_OK);
  assert_int_equal(stage.report.usage.output, 42);
  stage_close(&stage);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_whole_stream_passes),
      cmocka_unit_test(content_after_an_open_gate_passes_whole),
      cmocka_unit_test(a_stream_is_over_soon_after_its_last_event),
      cmocka_unit_test(a_cut_stream_never_ends_cleanly),
      cmocka_unit_test(a_policy_may_ask_for_an_error_event),
      cmocka_unit_test(an_error_event_in_the_stream_passes),
      cmocka_unit_test(an_error_event_without_a_type_is_an_error),
      cmocka_unit_test(the_type_of_an_error_event_is_never_cut),
      cmocka_unit_test(silence_gets_pings_and_then_an_end),
      cmocka_unit_test(a_stream_that_has_ended_gets_no_pings),
      cmocka_unit_test(nothing_is_repeated_after_a_part_of_an_answer),
      cmocka_unit_test(the_total_time_ends_an_exchange),
      cmocka_unit_test(no_content_in_time_is_a_refusal),
      cmocka_unit_test(after_the_first_content_only_silence_counts),
      cmocka_unit_test(a_json_body_has_content_with_its_first_byte),
      cmocka_unit_test(a_total_time_ends_even_a_stream),
      cmocka_unit_test(a_client_that_goes_ends_the_upstream),
      cmocka_unit_test(big_events_have_a_bound),
      cmocka_unit_test(json_answers_pass_with_their_usage),
      cmocka_unit_test(a_dead_pooled_connection_is_retried_unseen),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
