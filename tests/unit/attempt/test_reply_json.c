// SPDX-License-Identifier: Apache-2.0
// The JSON of a success must be a message (or a count), otherwise the attempt has failed. If the body of
// an error does not come, its status decides.
#include "api/error.h"
#include "api/loop.h"
#include "api/util.h"
#include "base/buffer.h"
#include "support/stage.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD    "HTTP/1.1 200 OK\r\nrequest-id: req_a\r\n"
#define MESSAGE "{\"type\":\"message\",\"content\":[],\"usage\":{\"output_tokens\":3}}"
#define STREAM                                                                                     \
  "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0}\n\n"           \
  "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define COUNT(list) (sizeof list / sizeof *list)

static const struct peer_reply second = {
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" STREAM, 0, PEER_CLOSE};
static const char json_bytes[] =
    HEAD "x-second: 1\r\ncontent-length: 18\r\n\r\n{\"type\":\"message\"}";
static const struct peer_reply second_json = {json_bytes, 0, PEER_KEEP};

static const char json_request[] = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
                                   "Connection: close\r\nContent-Length: 15\r\n\r\n"
                                   "{\"model\":\"m-1\"}";

static struct cc_buffer bytes;

static void close_stage(struct stage *stage) {
  stage_close(stage);
  cc_buffer_free(&bytes);
}

static const char *ask_json(struct stage *stage, const char *head, const char *body, size_t size) {
  static struct peer_reply first;
  cc_buffer_clear(&bytes);
  cc_buffer_printf(&bytes, "%s\r\n", head);
  cc_buffer_add(&bytes, body, size);
  first = (struct peer_reply){bytes.data, bytes.size, PEER_CLOSE};
  stage_open(stage, &first, 1, &second_json, 1);
  stage->spec.stream = false;
  return stage_ask(stage, json_request, strlen(json_request), NULL);
}

static void other_json_than_a_message_fails_over(void **state) {
  (void)state;
  static const struct {
    const char *body;
    int error;
  } cases[] = {
      {"{\"error\":{\"code\":\"1302\",\"message\":\"m\"}}", CC_ENOMESSAGE},
      {"{\"code\":500,\"success\":false}", CC_ENOMESSAGE},
      {"{\"base_resp\":{\"status_code\":1004}}", CC_ENOMESSAGE},
      {"{}", CC_ENOMESSAGE},
      {"{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}",
       CC_ESTREAM_ERROR},
      {MESSAGE "x", CC_ENOTJSON},
      {"{\"type\":\"message\",\"content\":[{\"type\":\"te", CC_ENOTJSON},
      {STREAM, CC_ENOTJSON},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct stage stage;
    const char *got = ask_json(&stage, HEAD "content-type: application/json\r\n", cases[i].body,
                               strlen(cases[i].body));
    assert_int_equal(stage.outcome[0].error, cases[i].error);
    assert_int_equal(stage.report.attempts, 2);
    assert_non_null(strstr(got, "x-second: 1"));
    close_stage(&stage);
  }
}

static void a_message_may_have_any_content_type(void **state) {
  (void)state;
  static const char *const labels[] = {"", "content-type: text/plain\r\n",
                                       "content-type: text/event-stream\r\n",
                                       "content-type: application/json; charset=utf-8\r\n"};
  for (size_t i = 0; i < COUNT(labels); i++) {
    char head[256];
    struct stage stage;
    snprintf(head, sizeof head, HEAD "%s", labels[i]);
    static const char with_bom[] = "\xef\xbb\xbf " MESSAGE;
    const char *body = i % 2 ? with_bom : MESSAGE;
    const char *got = ask_json(&stage, head, body, strlen(body));
    assert_int_equal(stage.report.attempts, 1);
    assert_non_null(strstr(got, "content-type: application/json"));
    assert_null(strstr(got, "text/"));
    assert_non_null(strstr(got, MESSAGE));
    assert_int_equal(stage.report.usage.output, 3);
    close_stage(&stage);
  }
}

// JSON larger than the gate holds: its beginning decides, and its end tells whether it is whole.
static void large_json_is_judged_by_its_beginning_and_its_end(void **state) {
  (void)state;
  static const struct {
    const char *begin, *end;
    int attempts, error;
  } cases[] = {
      {"{\"type\":\"message\",\"content\":[\"", "\"]}", 1, CC_OK},
      {"{\"content\":[\"", "\"],\"type\":\"message\"}", 1, CC_OK},
      {"{\"type\":\"message\",\"content\":[\"", "\"", 1, CC_ETRUNCATED},
      {"{\"type\":\"error\",\"error\":{\"message\":\"", "\"}}", 2, CC_OK},
      {"{\"type\":\"list\",\"data\":[\"", "\"]}", 2, CC_OK},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_buffer body = {0};
    struct stage stage;
    cc_buffer_add_text(&body, cases[i].begin);
    for (int n = 0; n < 200000; n++)
      cc_buffer_add(&body, "y", 1);
    cc_buffer_add_text(&body, cases[i].end);
    ask_json(&stage, HEAD, body.data, body.size);
    assert_int_equal(stage.report.attempts, cases[i].attempts);
    assert_int_equal(stage.report.error, cases[i].error);
    close_stage(&stage);
    cc_buffer_free(&body);
  }
}

static void counts_are_no_messages(void **state) {
  (void)state;
  static const struct {
    uint32_t success;
    const char *body;
    int attempts;
  } cases[] = {
      {CC_SUCCESS_COUNT, "{\"input_tokens\":14}", 1},
      {CC_SUCCESS_COUNT, "{\"inputTokens\":14}", 2},
      {CC_SUCCESS_COUNT, "{\"error\":{}}", 2},
      {CC_SUCCESS_OBJECT, "{\"inputTokens\":14}", 1},
      {CC_SUCCESS_OBJECT, "[]", 2},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct stage stage;
    struct peer_reply first = {NULL, 0, PEER_CLOSE};
    cc_buffer_clear(&bytes);
    cc_buffer_printf(&bytes, HEAD "\r\n%s", cases[i].body);
    first.bytes = bytes.data, first.size = bytes.size;
    stage_open(&stage, &first, 1, &second_json, 1);
    stage.spec.stream = false;
    stage.spec.success = cases[i].success;
    stage_ask(&stage, json_request, strlen(json_request), NULL);
    assert_int_equal(stage.report.attempts, cases[i].attempts);
    close_stage(&stage);
  }
}

// ---- Another body ------------------------------------------------------------------------------

static void a_body_held_whole_can_be_replaced(void **state) {
  (void)state;
  static const struct {
    const char *head, *body;
    uint32_t gate_bytes;
    int result;
  } cases[] = {
      {HEAD "content-length: 18\r\n", "{\"type\":\"message\"}", 65536, CC_OK},
      {HEAD, "{\"type\":\"message\"}", 65536, CC_OK},
      {HEAD "content-length: 18\r\n", "{\"type\":\"message\"}", 4, CC_ESTATE},
      {"HTTP/1.1 404 No\r\ncontent-length: 2\r\n", "{}", 65536, CC_OK},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct stage stage;
    struct cc_buffer reply = {0};
    cc_buffer_printf(&reply, "%s\r\n%s", cases[i].head, cases[i].body);
    struct peer_reply first = {reply.data, reply.size, PEER_CLOSE};
    stage_open(&stage, &first, 1, &second_json, 1);
    stage.spec.stream = false;
    stage.spec.success = CC_SUCCESS_OBJECT;
    stage.spec.gate_bytes = cases[i].gate_bytes;
    stage.replacement = "{\"other\":1234567890}";
    const char *got = stage_ask(&stage, json_request, strlen(json_request), NULL);
    assert_int_equal(stage.replace_result, cases[i].result);
    if (cases[i].result == CC_OK) {
      assert_non_null(strstr(got, "content-length: 20\r\n"));
      assert_string_equal(strstr(got, "\r\n\r\n") + 4, stage.replacement);
    } else {
      assert_string_equal(strstr(got, "\r\n\r\n") + 4, cases[i].body);
    }
    close_stage(&stage);
    cc_buffer_free(&reply);
  }
}

// ---- Errors whose body does not come -----------------------------------------------------------

static void nobody_waits_for_a_stalled_error_body(void **state) {
  (void)state;
  static const char *const replies[] = {
      "HTTP/1.1 529 Oh\r\nretry-after: 7\r\ncontent-length: 100\r\n\r\n",
      "HTTP/1.1 529 Oh\r\nretry-after: 7\r\ncontent-length: 100\r\n\r\n{\"type\":\"err",
      "HTTP/1.1 529 Oh\r\ncontent-encoding: gzip\r\ncontent-length: 100\r\n\r\n",
      "HTTP/1.1 529 Oh\r\ncontent-encoding: gzip\r\ncontent-length: 100\r\n\r\n\x1f\x8b",
  };
  for (size_t i = 0; i < 2 * COUNT(replies); i++) {
    struct stage stage;
    struct peer_reply stalled = {replies[i / 2], 0, PEER_HANG};
    stage_open(&stage, &stalled, 1, &second, 1);
    struct cc_settings settings = stage.relay->settings;
    settings.total_ms = settings.idle_ms = 60000;
    cc_configure(stage.relay, &settings);
    stage.spec.gate_ms = i % 2 ? 0 : 60000; // neither may end it
    double before = cc_now();
    stage_ask(&stage, stage_stream_request, strlen(stage_stream_request), NULL);
    assert_true(cc_now() - before < 30000);
    assert_int_equal(stage.outcome[0].error, CC_EGATE_TIMEOUT);
    assert_int_equal(stage.outcome[0].status, 529);
    assert_int_equal(stage.report.attempts, 2);
    close_stage(&stage);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(other_json_than_a_message_fails_over),
      cmocka_unit_test(a_message_may_have_any_content_type),
      cmocka_unit_test(large_json_is_judged_by_its_beginning_and_its_end),
      cmocka_unit_test(counts_are_no_messages),
      cmocka_unit_test(a_body_held_whole_can_be_replaced),
      cmocka_unit_test(nobody_waits_for_a_stalled_error_body),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
