// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "attempt/bedrock_stream.h"
#include "codec/sse.h"
#include "support/frame_build.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define TEXT(literal) cc_slice(literal, sizeof(literal) - 1)

static void chunk(struct cc_buffer *out, const char *json) {
  frame_add_chunk(out, json, strlen(json));
}

static void exception(struct cc_buffer *out, const char *name, const char *payload) {
  frame_add_message(out, "exception", ":exception-type", name, cc_slice_text(payload));
}

static void event(struct cc_buffer *out, const char *payload) {
  frame_add_message(out, "event", ":event-type", "chunk", cc_slice_text(payload));
}

// Reads frames in pieces: the first of cut bytes, then of step bytes. Returns the error of the read, or
// else what the end returned.
static int read_frames(const struct cc_buffer *frames, size_t cut, size_t step, bool in_stream,
                       struct cc_buffer *sse) {
  struct cc_bedrock_stream state = {0};
  int status = CC_OK;
  for (size_t from = 0, to = cut; from < frames->size && status == CC_OK; from = to, to += step) {
    if (to > frames->size) to = frames->size;
    char *block = malloc(to - from + 1);
    memcpy(block, frames->data + from, to - from);
    status = cc_bedrock_stream_read(&state, cc_slice(block, to - from), in_stream, sse);
    free(block);
  }
  int end = cc_bedrock_stream_end(&state);
  if (status != CC_OK) {
    size_t size = sse->size;
    assert_int_equal(end, status);
    assert_null(state.stream.held.data);
    assert_int_equal(
        cc_bedrock_stream_read(&state, cc_slice(frames->data, frames->size), false, sse), status);
    assert_int_equal(sse->size, size);
  }
  cc_bedrock_stream_free(&state);
  return end;
}

// Reads frames whole, byte by byte and cut at every place, behind bytes that are there already: the
// events are always the same.
static void check_in(const struct cc_buffer *frames, bool in_stream, int expected,
                     const char *text) {
  size_t size = strlen(text);
  for (size_t cut = 0; cut <= frames->size; cut++) {
    struct cc_buffer sse = {0};
    cc_buffer_add_text(&sse, "<");
    int status = cut ? read_frames(frames, cut, frames->size, in_stream, &sse)
                     : read_frames(frames, 1, 1, in_stream, &sse);
    if (status != expected) fail_msg("cut at %zu: %d instead of %d", cut, status, expected);
    if (sse.size != size + 1 || memcmp(sse.data + 1, text, size) != 0)
      fail_msg("cut at %zu: %.*s instead of %s", cut, (int)sse.size, sse.data, text);
    cc_buffer_free(&sse);
  }
}

static void check(struct cc_buffer *frames, int expected, const char *text) {
  check_in(frames, false, expected, text);
  cc_buffer_free(frames);
}

#define START "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}"
#define DELTA                                                                                      \
  "{\"index\":0,\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\xc3\xa9\\u00e9\"}}"
#define PING            "{\"type\":\"ping\"}"
#define SSE(type, json) "event: " type "\ndata: " json "\n\n"
#define ERROR(type, message)                                                                       \
  SSE("error", "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":" message "}}")

// ---- Chunks ------------------------------------------------------------------------------------

static void chunks_become_events(void **state) {
  (void)state;
  struct cc_buffer frames = {0};
  check(&frames, CC_OK, "");
  chunk(&frames, START);
  chunk(&frames, PING);
  chunk(&frames, DELTA);
  chunk(&frames, DELTA);
  chunk(&frames, "{\"type\":\"message_stop\",\"amazon-bedrock-invocationMetrics\":{\"a\":1}}");
  check(&frames, CC_OK,
        SSE("message_start", START) SSE("ping", PING) SSE("content_block_delta", DELTA)
            SSE("content_block_delta", DELTA)
                SSE("message_stop", "{\"type\":\"message_stop\","
                                    "\"amazon-bedrock-invocationMetrics\":{\"a\":1}}"));
}

static void json_stays_byte_for_byte(void **state) {
  (void)state;
  static const char json[] = " {\t\"a\" : [ 1.50e+00 , \"\\/\\u00e9\\ud83d\" , {\"type\":\"no\"} ],"
                             "\"type\":\"no\", \"t\\u0079pe\" : \"p\\u0069ng\" } ";
  struct cc_buffer frames = {0};
  chunk(&frames, json);
  check(&frames, CC_OK,
        SSE("ping", " {\t\"a\" : [ 1.50e+00 , \"\\/\\u00e9\\ud83d\" , {\"type\":\"no\"} ],"
                    "\"type\":\"no\", \"t\\u0079pe\" : \"p\\u0069ng\" } "));
}

static void payloads_may_be_escaped(void **state) {
  (void)state;
  struct cc_buffer frames = {0};
  event(&frames, " { \"p\" : \"x\", \"b\\u0079tes\" : \"eyJ0eXBlIjoi\\u0063GluZyJ9\" } ");
  event(&frames, "{\"p\":{\"bytes\":1},\"bytes\":\"eyJ0eXBlIjoi77+\\/In0\\u003d\"}");
  event(&frames, "{\"bytes\":\"no\",\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\"}"); // the last one counts
  check(&frames, CC_OK,
        SSE("ping", PING) SSE("\xef\xbf\xbf", "{\"type\":\"\xef\xbf\xbf\"}") SSE("ping", PING));
}

// JSON with line ends becomes several data lines, which together mean the same JSON.
static void line_ends_become_lines(void **state) {
  (void)state;
  struct cc_buffer frames = {0}, sse = {0}, joined = {0};
  static const char json[] = "\n{\r\n\"type\":\r\"ping\"\n\n,\"a\":1\r}\r";
  chunk(&frames, PING);
  chunk(&frames, json);
  chunk(&frames, PING);
  check_in(&frames, false, CC_OK,
           SSE("ping", PING) "event: ping\ndata: \ndata: {\ndata: \"type\":\ndata: \"ping\"\ndata: "
                             "\ndata: ,\"a\":1\ndata: }\ndata: \n\n" SSE("ping", PING));
  assert_int_equal(read_frames(&frames, frames.size, 1, false, &sse), CC_OK);
  struct cc_buffer one = {0};
  chunk(&one, "{\"type\":\r\"ping\"}");
  check(&one, CC_OK, "event: ping\ndata: {\"type\":\ndata: \"ping\"}\n\n");
  chunk(&one, "{\"type\":\n\"ping\"}");
  check(&one, CC_OK, "event: ping\ndata: {\"type\":\ndata: \"ping\"}\n\n");
  struct cc_sse split = {0};
  struct cc_sse_fields fields;
  size_t first = cc_sse_event(&split, sse.data, sse.size);
  size_t second = cc_sse_event(&split, sse.data + first, sse.size - first);
  cc_sse_fields(sse.data + first, second, &joined, &fields);
  assert_true(cc_slice_is(fields.data, "\n{\n\"type\":\n\"ping\"\n\n,\"a\":1\n}\n"));
  cc_buffer_free(&frames);
  cc_buffer_free(&sse);
  cc_buffer_free(&joined);
}

static void chunks_that_are_no_event_are_refused(void **state) {
  (void)state;
  static const char *const chunks[] = {
      "",
      " ",
      "null",
      "[]",
      "\"type\"",
      "{\"type\":1}",
      "{\"type\":\"\"}",
      "{\"type\":\"ping\"",
      "{\"type\":\"ping\"}}",
      "{\"type\":\"ping\"}{}",
      "{\"type\":\"ping\",}",
      "{\"type\":\"a\\nb\"}",
      "{\"type\":\"a\\rb\"}",
      "{\"type\":\"a\\u0000b\"}",
      "{\"type\":\"\xff\"}",
      "{\"type\":\"ping\",\"a\":\"\xed\xa0\x80\"}",
      "{\"type\":\"a\nb\"}",
      "\xef\xbb\xbf{\"type\":\"ping\"}",
      "{\"type\":\"ping\",\"a\":{\"b\":}}",
  };
  static const char *const payloads[] = {
      "",
      "[]",
      "{\"bytes\":1}",
      "{\"bytes\":\"\"}",
      "{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\"",
      "{\"bytes\":\"eyJ0eXBlIjoicGluZyJ\"}",
      "{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\"} x",
      "{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\\n\"}",
      "{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9==\"}",
      "{\"bytes\":[\"eyJ0eXBlIjoicGluZyJ9\"]}",
      "{\"bytes\":\"eyJ0eXBlIjoicGlu-yJ9\"}",
      "{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\",\"p\":\"\xff\"}",
  };
  for (size_t i = 0; i < COUNT(chunks) + COUNT(payloads); i++) {
    struct cc_buffer frames = {0};
    chunk(&frames, PING);
    if (i < COUNT(chunks))
      chunk(&frames, chunks[i]);
    else
      event(&frames, payloads[i - COUNT(chunks)]);
    chunk(&frames, PING);
    check(&frames, CC_EFRAME, SSE("ping", PING));
  }
}

// As in the official SDK, which reads "bytes" and "type" only if they are there.
static void chunks_without_a_type_are_left_out(void **state) {
  (void)state;
  static const char *const chunks[] = {"{}", "{\"type\":null}", "{\"Type\":\"a\"}",
                                       "{\"amazon-bedrock-invocationMetrics\":{\"n\":1}}"};
  static const char *const payloads[] = {"{}", "{\"bytes\":null}", "{\"Bytes\":\"\"}"};
  for (size_t i = 0; i < COUNT(chunks) + COUNT(payloads); i++) {
    struct cc_buffer frames = {0};
    chunk(&frames, PING);
    if (i < COUNT(chunks))
      chunk(&frames, chunks[i]);
    else
      event(&frames, payloads[i - COUNT(chunks)]);
    chunk(&frames, DELTA);
    check(&frames, CC_OK, SSE("ping", PING) SSE("content_block_delta", DELTA));
  }
  struct cc_buffer frames = {0};
  chunk(&frames, "{\"error\":{\"message\":\"m\"}}");
  check(&frames, CC_OK, SSE("error", "{\"error\":{\"message\":\"m\"}}"));
}

static void types_have_a_bound(void **state) {
  (void)state;
  for (int size = 128; size <= 129; size++) {
    struct cc_buffer frames = {0}, json = {0}, sse = {0};
    cc_buffer_printf(&json, "{\"type\":\"%0*d\"}", size, 7);
    chunk(&frames, PING);
    frame_add_chunk(&frames, json.data, json.size);
    chunk(&frames, PING);
    int status = read_frames(&frames, frames.size, 1, false, &sse);
    assert_int_equal(status, size == 128 ? CC_OK : CC_EFRAME);
    cc_buffer_free(&frames);
    cc_buffer_free(&json);
    cc_buffer_free(&sse);
  }
}

static void deep_json_is_refused(void **state) {
  (void)state;
  struct cc_buffer frames = {0}, json = {0}, sse = {0};
  cc_buffer_add_text(&json, "{\"type\":\"ping\",\"a\":");
  for (int i = 0; i < 5000; i++)
    cc_buffer_add_text(&json, "[");
  frame_add_chunk(&frames, json.data, json.size);
  assert_int_equal(read_frames(&frames, frames.size, 1, false, &sse), CC_EFRAME);
  assert_int_equal(sse.size, 0);
  cc_buffer_free(&frames);
  cc_buffer_free(&json);
  cc_buffer_free(&sse);
}

static void other_events_are_left_out(void **state) {
  (void)state;
  struct cc_buffer frames = {0};
  frame_add_message(&frames, "event", ":event-type", "initial-response", TEXT("{}"));
  chunk(&frames, PING);
  frame_add_message(&frames, "event", ":event-type", "Chunk", TEXT("\xff not read"));
  chunk(&frames, PING);
  check(&frames, CC_OK, SSE("ping", PING) SSE("ping", PING));
}

static void messages_without_a_kind_are_refused(void **state) {
  (void)state;
  struct cc_buffer frames = {0};
  frame_add(&frames, TEXT(""), TEXT("{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\"}"));
  check(&frames, CC_EFRAME, "");
  frame_add_message(&frames, "Event", ":event-type", "chunk", TEXT("{}"));
  check(&frames, CC_EFRAME, "");
  frame_add_message(&frames, "event", ":other", "chunk", TEXT("{}"));
  check(&frames, CC_EFRAME, "");
  struct cc_buffer headers = {0}; // the right values in headers of a wrong type
  frame_add_header(&headers, ":message-type", 6, "\0\5event", 7);
  frame_add_header(&headers, ":event-type", 7, "\0\5chunk", 7);
  frame_add(&frames, cc_slice(headers.data, headers.size),
            TEXT("{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\"}"));
  check(&frames, CC_EFRAME, "");
  cc_buffer_free(&headers);
}

static void large_payload(void **state) {
  (void)state;
  struct cc_buffer frames = {0}, json = {0};
  cc_buffer_add_text(&json, "{\"type\":\"content_block_delta\",\"text\":\"");
  while (json.size < 1024 * 1024)
    cc_buffer_add_text(&json, "one more line of words, \\n and \xe2\x82\xac again; ");
  cc_buffer_add_text(&json, "\"}");
  chunk(&frames, PING);
  frame_add_chunk(&frames, json.data, json.size);
  chunk(&frames, PING);
  for (size_t step = frames.size; step > 500; step /= 9) {
    struct cc_buffer sse = {0};
    assert_int_equal(read_frames(&frames, step, step, false, &sse), CC_OK);
    size_t ping = strlen(SSE("ping", PING)), head = strlen("event: content_block_delta\ndata: ");
    assert_int_equal(sse.size, 2 * ping + head + json.size + 2);
    assert_memory_equal(sse.data + ping, "event: content_block_delta\ndata: ", head);
    assert_memory_equal(sse.data + ping + head, json.data, json.size);
    assert_memory_equal(sse.data + sse.size - ping - 2, "\n\n" SSE("ping", PING), ping + 2);
    cc_buffer_free(&sse);
  }
  cc_buffer_free(&frames);
  cc_buffer_free(&json);
}

static void idle_is_small(void **state) {
  (void)state;
  struct cc_buffer frames = {0}, json = {0}, sse = {0};
  struct cc_bedrock_stream reader = {0};
  cc_buffer_add_text(&json, "{\"type\":\"ping\"}");
  while (json.size < 100000)
    cc_buffer_add_text(&json, "          ");
  frame_add_chunk(&frames, json.data, json.size);
  cc_bedrock_stream_read(&reader, cc_slice(frames.data, 60000), false, &sse);
  cc_bedrock_stream_read(&reader, cc_slice(frames.data + 60000, frames.size - 60000), false, &sse);
  assert_true(sse.size > json.size);
  assert_true(sizeof reader + reader.stream.held.capacity <= 4200);
  cc_bedrock_stream_free(&reader);
  cc_buffer_free(&frames);
  cc_buffer_free(&json);
  cc_buffer_free(&sse);
}

// ---- Exceptions --------------------------------------------------------------------------------

#define WORDS "\"W \\\"w\\\" \\u00e9\\/\""

static const struct {
  const char *name;
  const char *first;
  const char *in_stream;
} kinds[] = {
    {"internalServerException", ERROR("api_error", WORDS), ERROR("api_error", WORDS)},
    {"modelStreamErrorException", ERROR("api_error", WORDS), ERROR("api_error", WORDS)},
    {"validationException", ERROR("invalid_request_error", WORDS),
     ERROR("invalid_request_error", WORDS)},
    {"throttlingException", ERROR("rate_limit_error", WORDS), ERROR("overloaded_error", WORDS)},
    {"modelTimeoutException", ERROR("timeout_error", WORDS), ERROR("timeout_error", WORDS)},
    {"serviceUnavailableException", ERROR("overloaded_error", WORDS),
     ERROR("overloaded_error", WORDS)},
    {"ThrottlingException", ERROR("rate_limit_error", WORDS), ERROR("overloaded_error", WORDS)},
    {"VALIDATIONEXCEPTION", ERROR("invalid_request_error", WORDS),
     ERROR("invalid_request_error", WORDS)},
    {"somethingNewException", ERROR("api_error", WORDS), ERROR("api_error", WORDS)},
    {"Exception", ERROR("api_error", WORDS), ERROR("api_error", WORDS)},
};

static void exceptions_become_errors(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(kinds); i++) {
    struct cc_buffer frames = {0};
    exception(&frames, kinds[i].name, "{\"a\":[1],\"message\":\"W \\\"w\\\" \\u00e9\\/\"}");
    check_in(&frames, false, CC_OK, kinds[i].first);
    check_in(&frames, true, CC_OK, kinds[i].in_stream);
    cc_buffer_free(&frames);
  }
}

static void exceptions_have_the_words_of_the_provider(void **state) {
  (void)state;
  static const struct {
    const char *payload;
    const char *message;
  } cases[] = {
      {"{\"message\":\"a\",\"Message\":\"b\",\"originalMessage\":\"c\"}", "\"a\""},
      {"{\"Message\":\"b\",\"originalMessage\":\"c\"}", "\"b\""},
      {"{\"originalMessage\":\"c\",\"originalStatusCode\":500,\"message\":\"a\"}", "\"a\""},
      {"{\"originalMessage\":\"c\",\"originalStatusCode\":500}", "\"c\""},
      {"{\"message\":\"\",\"Message\":\"b\"}", "\"b\""},
      {"{\"message\":null}", "\"modelStreamErrorException\""},
      {"{\"message\":{\"message\":\"a\"}}", "\"modelStreamErrorException\""},
      {"{}", "\"modelStreamErrorException\""},
      {"", "\"modelStreamErrorException\""},
      {"{\"message\":\"cut", "\"modelStreamErrorException\""},
      {"plain \"words\"\n\xff", "\"plain \\\"words\\\"\\n\xef\xbf\xbd\""},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_buffer frames = {0}, expected = {0};
    exception(&frames, "modelStreamErrorException", cases[i].payload);
    cc_buffer_printf(&expected, ERROR("api_error", "%s"), cases[i].message);
    cc_buffer_add(&expected, "", 1);
    check(&frames, CC_OK, expected.data);
    cc_buffer_free(&expected);
  }
  struct cc_buffer frames = {0};
  frame_add_message(&frames, "exception", ":x", "y", TEXT("{}"));
  check(&frames, CC_OK, ERROR("api_error", "\"unnamed exception\""));
}

static void errors_become_errors(void **state) {
  (void)state;
  static const struct {
    const char *code;
    const char *message;
    const char *first;
    const char *in_stream;
  } cases[] = {
      {"InternalError", "it \"broke\"\r\n", ERROR("api_error", "\"it \\\"broke\\\"\\r\\n\""), NULL},
      {"validationException", "m", ERROR("api_error", "\"m\""), NULL},
      {"ThrottlingException", "m", ERROR("rate_limit_error", "\"m\""),
       ERROR("overloaded_error", "\"m\"")},
      {"Throttling", "m", ERROR("rate_limit_error", "\"m\""), ERROR("overloaded_error", "\"m\"")},
      {"TooManyRequestsException", "m", ERROR("rate_limit_error", "\"m\""),
       ERROR("overloaded_error", "\"m\"")},
      {"500", "", ERROR("api_error", "\"500\""), NULL},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_buffer frames = {0}, headers = {0};
    frame_add_string(&headers, ":error-code", cases[i].code);
    frame_add_string(&headers, ":error-message", cases[i].message);
    frame_add_string(&headers, ":message-type", "error");
    frame_add(&frames, cc_slice(headers.data, headers.size), TEXT(""));
    check_in(&frames, false, CC_OK, cases[i].first);
    check_in(&frames, true, CC_OK, cases[i].in_stream ? cases[i].in_stream : cases[i].first);
    cc_buffer_free(&frames);
    cc_buffer_free(&headers);
  }
}

// Content before the exception decides, in the same piece too.
static void throttling_after_content_is_an_overload(void **state) {
  (void)state;
  static const char message[] = "{\"message\":\"m\"}";
  struct cc_buffer frames = {0};
  chunk(&frames, START);
  chunk(&frames, PING);
  frame_add_message(&frames, "event", ":event-type", "other", TEXT("{}"));
  exception(&frames, "throttlingException", message);
  check(&frames, CC_OK,
        SSE("message_start", START) SSE("ping", PING) ERROR("rate_limit_error", "\"m\""));
  chunk(&frames, START);
  chunk(&frames, DELTA);
  exception(&frames, "throttlingException", message);
  check(&frames, CC_OK,
        SSE("message_start", START) SSE("content_block_delta", DELTA)
            ERROR("overloaded_error", "\"m\""));
  chunk(&frames, "{\"type\":\"new_kind\"}");
  exception(&frames, "throttlingException", message);
  check(&frames, CC_OK,
        SSE("new_kind", "{\"type\":\"new_kind\"}") ERROR("overloaded_error", "\"m\""));
}

// ---- Damage ------------------------------------------------------------------------------------

static void events_before_damage_are_kept(void **state) {
  (void)state;
  struct cc_buffer frames = {0};
  chunk(&frames, DELTA);
  chunk(&frames, DELTA);
  size_t good = frames.size;
  chunk(&frames, PING);
  size_t places[] = {3, 9, 20, frames.size - good - 20, frames.size - good - 1};
  for (size_t i = 0; i < COUNT(places); i++) {
    char *at = frames.data + good + places[i];
    *at = (char)(*at ^ 1);
    check_in(&frames, false, CC_EFRAME,
             SSE("content_block_delta", DELTA) SSE("content_block_delta", DELTA));
    *at = (char)(*at ^ 1);
  }
  cc_buffer_free(&frames);
}

static void a_cut_frame_is_a_truncated_stream(void **state) {
  (void)state;
  struct cc_buffer frames = {0};
  chunk(&frames, DELTA);
  size_t good = frames.size;
  chunk(&frames, PING);
  size_t all = frames.size;
  for (frames.size = good; frames.size < all; frames.size += 5)
    check_in(&frames, false, frames.size == good ? CC_OK : CC_ETRUNCATED,
             SSE("content_block_delta", DELTA));
  cc_buffer_free(&frames);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chunks_become_events),
      cmocka_unit_test(json_stays_byte_for_byte),
      cmocka_unit_test(payloads_may_be_escaped),
      cmocka_unit_test(line_ends_become_lines),
      cmocka_unit_test(chunks_that_are_no_event_are_refused),
      cmocka_unit_test(chunks_without_a_type_are_left_out),
      cmocka_unit_test(types_have_a_bound),
      cmocka_unit_test(deep_json_is_refused),
      cmocka_unit_test(other_events_are_left_out),
      cmocka_unit_test(messages_without_a_kind_are_refused),
      cmocka_unit_test(large_payload),
      cmocka_unit_test(idle_is_small),
      cmocka_unit_test(exceptions_become_errors),
      cmocka_unit_test(exceptions_have_the_words_of_the_provider),
      cmocka_unit_test(errors_become_errors),
      cmocka_unit_test(throttling_after_content_is_an_overload),
      cmocka_unit_test(events_before_damage_are_kept),
      cmocka_unit_test(a_cut_frame_is_a_truncated_stream),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
