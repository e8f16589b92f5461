// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "codec/messages.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define TEXT(literal) literal, sizeof(literal) - 1

static int scan(const char *text, size_t size, struct cc_scan *out) {
  char *copy = malloc(size ? size : 1);
  memcpy(copy, text, size);
  int status = cc_messages_scan(copy, size, out);
  if (status == CC_OK) {
    assert_true(out->model.data > copy && out->model.size < size);
    out->model.data = text + (out->model.data - copy);
    if (out->file.size) out->file.data = text + (out->file.data - copy);
  } else {
    assert_null(out->model.data);
    assert_true(out->error_offset <= size && !out->features && !out->stream);
  }
  free(copy);
  return status;
}

static void finds_the_first_file(void **state) {
  (void)state;
  static const struct {
    const char *content, *file;
  } cases[] = {
      {"[{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"file_1\"}}]", "file_1"},
      {"[{\"source\":{\"file_id\":\"file_1\",\"type\":\"file\"},\"type\":\"image\"}]", "file_1"},
      {"[{\"type\":\"container_upload\",\"file_id\":\"file_2\"}]", "file_2"},
      {"[{\"type\":\"container_upload\",\"\\u0066ile_id\":\"f\\u0031\"}]", "f\\u0031"},
      {"[{\"type\":\"text\",\"text\":\"x\"},{\"file_id\":\"a\"},{\"file_id\":\"b\"}]", "a"},
      {"[{\"type\":\"tool_result\","
       "\"content\":[{\"type\":\"document\",\"source\":{\"file_id\":\"c\"}}]}]",
       "c"},
      {"[{\"type\":\"tool_use\","
       "\"input\":{\"file_id\":\"x\",\"source\":{\"file_id\":\"x\"}}}]",
       ""},
      {"[{\"type\":\"document\",\"source\":{\"file_id\":7}},"
       "{\"file_id\":\"\"},{\"file_id\":null}]",
       ""},
      {"\"file_id\"", ""},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    char text[512];
    struct cc_scan out;
    int size = snprintf(text, sizeof text,
                        "{\"file_id\":\"no\",\"messages\":[{\"file_id\":\"no\",\"content\":%s}],"
                        "\"model\":\"m\"}",
                        cases[i].content);
    assert_int_equal(scan(text, (size_t)size, &out), CC_OK);
    if (!cc_slice_is(out.file, cases[i].file))
      fail_msg("%.*s: %s", (int)out.file.size, out.file.data, text);
  }
}

// The features of a body made of this text and a model.
static uint32_t features_of(const char *members) {
  char text[2048];
  struct cc_scan out;
  int size = snprintf(text, sizeof text, "{\"model\":\"m\",%s}", members);
  if (scan(text, (size_t)size, &out) != CC_OK) fail_msg("refused: %s", text);
  return out.features;
}

static void expect_features(const char *members, uint32_t expected) {
  uint32_t features = features_of(members);
  if (features != expected) fail_msg("%u, not %u: %s", features, expected, members);
}

static void reads_a_real_turn(void **state) {
  (void)state;
  FILE *file = fopen(TEST_DATA "/json/turn.json", "rb");
  assert_non_null(file);
  char text[8192];
  size_t size = fread(text, 1, sizeof text, file);
  fclose(file);
  struct cc_scan out;
  assert_int_equal(scan(text, size, &out), CC_OK);
  assert_true(cc_slice_is(out.model, "claude-opus-5-5"));
  assert_true(out.stream);
  assert_true(out.max_tokens == 128000);
  assert_int_equal(out.features,
                   CC_HAS_SIGNATURES | CC_HAS_TOOLS | CC_HAS_THINKING | CC_HAS_CACHE_CONTROL);
}

static void reads_the_top(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *model;
    bool stream;
    double max_tokens;
  } cases[] = {
      {"{\"model\":\"m\"}", "m", false, 0},
      {" {\"stream\" : true , \"model\" : \"m\" } ", "m", true, 0},
      {"{\"mod\\u0065l\":\"a\\u0062\"}", "a\\u0062", false, 0},
      {"{\"model\":\"m\",\"stream\":false,\"max_tokens\":7}", "m", false, 7},
      {"{\"model\":\"m\",\"stream\":\"true\",\"max_tokens\":\"7\"}", "m", false, 0},
      {"{\"model\":\"m\",\"stream\":null,\"max_tokens\":-7}", "m", false, 0},
      {"{\"model\":\"m\",\"stream\":1,\"max_tokens\":1e400}", "m", false, 0},
      {"{\"model\":\"m\",\"str\\u0065am\":true,\"max_tokens\":1.5}", "m", true, 0},
      {"{\"stream\":true,\"model\":\"m\",\"stream\":false}", "m", false, 0},
      {"{\"model\":\"m\",\"max_tokens\":9,\"max_tokens\":{}}", "m", false, 0},
      {"{\"x\":{\"model\":\"b\",\"stream\":true,\"max_tokens\":1},\"model\":\"m\"}", "m", false, 0},
      {"{\"messages\":[{\"model\":1,\"content\":[{\"model\":2}]}],\"model\":\"m\"}", "m", false, 0},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_scan out;
    assert_int_equal(scan(cases[i].text, strlen(cases[i].text), &out), CC_OK);
    assert_true(cc_slice_is(out.model, cases[i].model));
    assert_int_equal(out.stream, cases[i].stream);
    assert_true(out.max_tokens == cases[i].max_tokens);
    assert_int_equal(out.features, 0);
  }
}

static void refuses_with_the_place(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t size;
    int error;
    uint32_t offset;
  } cases[] = {
      {TEXT(""), CC_EJSON, 0},
      {TEXT("{\"model\":\"m\""), CC_EJSON, 12},
      {TEXT("{\"model\":\"m\"}x"), CC_EJSON, 13},
      {TEXT("{\"model\":\"m\"}{}"), CC_EJSON, 13},
      {TEXT("\xef\xbb\xbf{\"model\":\"m\"}"), CC_EJSON, 0},
      {TEXT("{\"model\":\"m\",\"a\":\"\xed\xa0\x80\"}"), CC_EJSON, 18},
      {TEXT("{\"model\":\"m\",\"messages\":[{\"content\":[{\"type\":}]}]}"), CC_EJSON, 45},
      {TEXT("[1,"), CC_EJSON, 3},
      {TEXT("  [1,{}] "), CC_EJSON_OBJECT, 2},
      {TEXT("\"model\""), CC_EJSON_OBJECT, 0},
      {TEXT(" null"), CC_EJSON_OBJECT, 1},
      {TEXT("null,"), CC_EJSON, 4},
      {TEXT("{}"), CC_EMODEL, 1},
      {TEXT("{\"Model\":\"m\"} "), CC_EMODEL, 12},
      {TEXT("{\"model\":\"\"}"), CC_EMODEL, 9},
      {TEXT("{\"model\":null}"), CC_EMODEL, 9},
      {TEXT("{\"model\":1}"), CC_EMODEL, 9},
      {TEXT("{\"model\":[\"m\"]}"), CC_EMODEL, 9},
      {TEXT("{\"model\":{\"model\":\"m\"}}"), CC_EMODEL, 9},
      {TEXT("{\"model\":\"m\",\"model\":\"m\"}"), CC_EMODEL, 13},
      {TEXT("{\"model\":\"m\",\"a\":1,\"mod\\u0065l\":\"n\"}"), CC_EMODEL, 19},
      {TEXT("{\"\\u006dodel\":\"m\",\"model\":\"n\"}"), CC_EMODEL, 18},
      {TEXT("{\"model\":1,\"model\":\"n\"}"), CC_EMODEL, 9},
      {TEXT("{\"model\":\"m\",\"model\":\"m\"]"), CC_EJSON, 24},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_scan out;
    int error = scan(cases[i].text, cases[i].size, &out);
    if (error != cases[i].error || out.error_offset != cases[i].offset)
      fail_msg("case %zu: %d at %u", i, error, out.error_offset);
  }
}

static void bounds_the_name_of_the_model(void **state) {
  (void)state;
  char text[CC_MODEL_BYTES + 32];
  for (int more = 0; more < 2; more++) {
    struct cc_scan out;
    int size = snprintf(text, sizeof text, "{\"model\":\"%0*d\"}", CC_MODEL_BYTES + more, 7);
    assert_int_equal(scan(text, (size_t)size, &out), more ? CC_EMODEL : CC_OK);
  }
}

// Nesting through places the scan follows, up to and over the limit.
static void bounds_depth(void **state) {
  (void)state;
  static const char head[] = "{\"model\":\"m\",\"messages\":[{\"content\":";
  static const char block[] = "[{\"content\":";
  for (size_t blocks = 498; blocks <= 499; blocks++) {
    struct cc_buffer text = {0};
    struct cc_scan out;
    cc_buffer_add_text(&text, head);
    for (size_t i = 0; i < blocks; i++)
      cc_buffer_add_text(&text, block);
    cc_buffer_add_text(&text, "[]");
    for (size_t i = 0; i < blocks; i++)
      cc_buffer_add_text(&text, "}]");
    cc_buffer_add_text(&text, "}]}");
    int expected = blocks == 498 ? CC_OK : CC_EJSON_DEPTH;
    assert_int_equal(scan(text.data, text.size, &out), expected);
    // Three containers are open in front of the blocks, so the 499th array's object is the last.
    size_t last = sizeof head - 1 + (sizeof block - 1) * 498 + 1;
    if (expected < 0) assert_int_equal(out.error_offset, last);
    cc_buffer_free(&text);
  }
}

static void finds_signatures(void **state) {
  (void)state;
  static const char *const yes[] = {
      "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"}",
      "{\"signature\":\"s\",\"thinking\":\"t\",\"type\":\"thinking\"}",
      "{\"type\":\"redacted_thinking\",\"data\":\"d\"}",
      "{\"data\":\"d\",\"type\":\"redacted_thinking\"}",
      "{\"type\":\"text\"},{\"\\u0074ype\":\"th\\u0069nking\",\"sign\\u0061ture\":\"s\"}",
      "{\"type\":\"tool_result\",\"content\":[{\"type\":\"thinking\",\"signature\":\"s\"}]}",
  };
  static const char *const no[] = {
      "{\"type\":\"thinking\",\"thinking\":\"t\"}",
      "{\"type\":\"thinking\",\"signature\":\"\"}",
      "{\"type\":\"thinking\",\"signature\":null}",
      "{\"type\":\"text\",\"signature\":\"s\",\"data\":\"d\"}",
      "{\"signature\":\"s\"},{\"type\":\"thinking\"}",
      "{\"type\":\"thinking\",\"x\":{\"signature\":\"s\"}}",
      "{\"type\":\"tool_use\",\"input\":{\"type\":\"thinking\",\"signature\":\"s\"}}",
      "{\"type\":\"text\",\"text\":\"\\\"type\\\":\\\"thinking\\\",\\\"signature\\\":1\"}",
  };
  char text[512];
  for (size_t i = 0; i < COUNT(yes) + COUNT(no); i++) {
    const char *block = i < COUNT(yes) ? yes[i] : no[i - COUNT(yes)];
    snprintf(text, sizeof text, "\"messages\":[{\"role\":\"assistant\",\"content\":[%s]}]", block);
    expect_features(text, i < COUNT(yes) ? CC_HAS_SIGNATURES : 0);
  }
  expect_features("\"x\":[{\"content\":[{\"type\":\"thinking\",\"signature\":\"s\"}]}]", 0);
}

static void finds_pdf_and_images(void **state) {
  (void)state;
  static const struct {
    const char *block;
    uint32_t features;
  } cases[] = {
      {"{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"data\":\"x\"}}", CC_HAS_PDF},
      {"{\"source\":{\"data\":\"x\",\"type\":\"base64\"},\"type\":\"document\"}", CC_HAS_PDF},
      {"{\"type\":\"document\",\"source\":{\"type\":\"url\",\"url\":\"u\"}}", CC_HAS_PDF},
      {"{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}", CC_HAS_PDF},
      {"{\"type\":\"document\",\"source\":{}}", CC_HAS_PDF},
      {"{\"type\":\"document\",\"source\":{\"type\":7}}", CC_HAS_PDF},
      {"{\"type\":\"document\"}", CC_HAS_PDF},
      {"{\"type\":\"document\",\"source\":{\"type\":\"text\",\"type\":\"base64\"}}", CC_HAS_PDF},
      {"{\"type\":\"document\",\"source\":{\"type\":\"text\",\"data\":\"x\"}}", 0},
      {"{\"source\":{\"type\":\"t\\u0065xt\",\"data\":\"x\"},\"type\":\"document\"}", 0},
      {"{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[]}}", 0},
      {"{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"u\"}}", CC_HAS_IMAGE_URL},
      {"{\"source\":{\"url\":\"u\",\"type\":\"url\"},\"type\":\"image\"}", CC_HAS_IMAGE_URL},
      {"{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"x\"}}", 0},
      {"{\"type\":\"image\",\"source\":{\"type\":\"file\"}}", 0},
      {"{\"type\":\"image\",\"source\":\"url\"}", 0},
      {"{\"type\":\"image\"},{\"source\":{\"type\":\"url\"}}", 0},
      {"{\"type\":\"image\",\"source\":{\"x\":{\"type\":\"url\"}}}", 0},
      {"{\"type\":\"search_result\",\"source\":{\"type\":\"url\"}}", 0},
      {"{\"type\":\"tool_result\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"url\"}}]"
       "}",
       CC_HAS_IMAGE_URL},
      {"{\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"base64\"}}],\"type\":\"x\"}",
       CC_HAS_PDF},
      {"{\"type\":\"tool_result\",\"content\":{\"content\":{\"type\":\"document\"}}}", CC_HAS_PDF},
      {"{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":"
       "[{\"type\":\"image\",\"source\":{\"type\":\"url\"}}]}}",
       CC_HAS_IMAGE_URL},
      {"{\"type\":\"tool_use\",\"input\":{\"content\":[{\"type\":\"document\"}]}}", 0},
      {"{\"type\":\"text\",\"text\":\"{\\\"type\\\":\\\"document\\\"}\"}", 0},
      {"\"document\",\"image\",[{\"type\":\"document\"}]", 0},
  };
  char text[512];
  for (size_t i = 0; i < COUNT(cases); i++) {
    snprintf(text, sizeof text, "\"messages\":[{\"content\":[%s],\"role\":\"user\"}]",
             cases[i].block);
    expect_features(text, cases[i].features);
  }
  expect_features("\"messages\":[{\"content\":{\"type\":\"document\"}}]", CC_HAS_PDF);
  expect_features("\"messages\":[{\"content\":\"document\"}]", 0);
  expect_features("\"messages\":{\"content\":[{\"type\":\"document\"}]}", 0);
}

static void measures_base64(void **state) {
  (void)state;
  static const char text[] =
      "{\"model\":\"m\",\"messages\":[{\"content\":["
      "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"12345678\"}},"
      "{\"source\":{\"data\":\"1234\",\"type\":\"base64\"},\"type\":\"image\"},"
      "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"http://x\"}},"
      "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"data\":\"123456\"}},"
      "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"data\":\"plain\"}},"
      "{\"type\":\"redacted_thinking\",\"data\":\"123\"},"
      "{\"type\":\"tool_result\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\","
      "\"data\":\"12\"}}]},"
      "{\"type\":\"text\",\"text\":\"\\\"data\\\":\\\"1\\\"\"}]}]}";
  struct cc_scan out;
  assert_int_equal(scan(text, sizeof text - 1, &out), CC_OK);
  assert_int_equal(out.images, 3);
  assert_true(out.image_bytes == 14);
  assert_true(out.document_bytes == 6);
}

static void finds_tools_and_thinking(void **state) {
  (void)state;
  static const struct {
    const char *members;
    uint32_t features;
  } cases[] = {
      {"\"tools\":[{\"name\":\"a\"}]", CC_HAS_TOOLS},
      {"\"tools\":[1]", CC_HAS_TOOLS},
      {"\"tools\":[[]]", CC_HAS_TOOLS},
      {"\"tools\":[]", 0},
      {"\"tools\":{\"a\":1}", 0},
      {"\"tools\":null", 0},
      {"\"x\":{\"tools\":[1]}", 0},
      {"\"tool_choice\":{\"type\":\"any\"}", CC_HAS_TOOL_FORCED},
      {"\"tool_choice\":{\"name\":\"a\",\"type\":\"tool\"}", CC_HAS_TOOL_FORCED},
      {"\"tool_choice\":{\"type\":\"\\u0061ny\"}", CC_HAS_TOOL_FORCED},
      {"\"tool_choice\":{\"type\":\"auto\"}", 0},
      {"\"tool_choice\":{\"type\":\"none\"}", 0},
      {"\"tool_choice\":{\"type\":null}", 0},
      {"\"tool_choice\":{\"x\":{\"type\":\"any\"}}", 0},
      {"\"tool_choice\":\"any\"", 0},
      {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1}", CC_HAS_THINKING},
      {"\"thinking\":{\"display\":\"omitted\",\"type\":\"adaptive\"}", CC_HAS_THINKING},
      {"\"thinking\":{\"type\":\"disabled\"}", 0},
      {"\"thinking\":{\"type\":\"dis\\u0061bled\"}", 0},
      {"\"thinking\":{\"budget_tokens\":1}", 0},
      {"\"thinking\":{\"type\":\"\"}", 0},
      {"\"thinking\":{\"type\":7}", 0},
      {"\"thinking\":null", 0},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    expect_features(cases[i].members, cases[i].features);
}

static void finds_cache_control(void **state) {
  (void)state;
  static const char *const yes[] = {
      "\"cache_control\":{\"type\":\"ephemeral\"}",
      "\"c\\u0061che_control\":{}",
      "\"system\":[{\"type\":\"text\",\"cache_control\":{}}]",
      "\"messages\":[{\"content\":[{\"cache_control\":{}}]}]",
      "\"messages\":[{\"cache_control\":{}}]",
      "\"messages\":[{\"content\":[{\"content\":[{\"cache_control\":{}}]}]}]",
  };
  static const char *const no[] = {
      "\"cache_control\":null",
      "\"system\":\"cache_control\"",
      "\"system\":[{\"text\":\"\\\"cache_control\\\":{}\",\"cache_control\":null}]",
      "\"messages\":[{\"content\":[{\"input\":{\"cache_control\":{}}}]}]",
      "\"metadata\":{\"cache_control\":{}}",
      "\"messages\":[{\"content\":\"cache_control\"}]",
  };
  for (size_t i = 0; i < COUNT(yes); i++)
    expect_features(yes[i], CC_HAS_CACHE_CONTROL);
  for (size_t i = 0; i < COUNT(no); i++)
    expect_features(no[i], 0);
  expect_features("\"tools\":[{\"name\":\"a\",\"cache_control\":{}}]",
                  CC_HAS_TOOLS | CC_HAS_CACHE_CONTROL);
  expect_features("\"tools\":[{\"input_schema\":{\"properties\":{\"cache_control\":{}}}}]",
                  CC_HAS_TOOLS);
}

static void finds_scopes_and_safeguards(void **state) {
  (void)state;
  static const struct {
    const char *members;
    uint32_t features;
  } cases[] = {
      {"\"system\":[{\"cache_control\":{\"type\":\"ephemeral\",\"scope\":\"global\"}}]",
       CC_HAS_CACHE_CONTROL | CC_HAS_CACHE_SCOPE},
      {"\"tools\":[{\"cache_control\":{\"sc\\u006fpe\":null}}]",
       CC_HAS_TOOLS | CC_HAS_CACHE_CONTROL | CC_HAS_CACHE_SCOPE},
      {"\"messages\":[{\"cache_control\":{\"scope\":1}}]",
       CC_HAS_CACHE_CONTROL | CC_HAS_CACHE_SCOPE},
      {"\"messages\":[{\"content\":[{\"content\":[{\"cache_control\":{\"scope\":1}}]}]}]",
       CC_HAS_CACHE_CONTROL | CC_HAS_CACHE_SCOPE},
      {"\"messages\":[{\"content\":[{\"source\":"
       "{\"content\":[{\"cache_control\":{\"scope\":1}}]}}]}]",
       CC_HAS_CACHE_CONTROL | CC_HAS_CACHE_SCOPE},
      {"\"messages\":[{\"content\":[{\"input\":{\"cache_control\":{\"scope\":1}}}]}]", 0},
      {"\"messages\":[{\"content\":[{\"cache_control\":{\"x\":{\"scope\":1}}}]}]",
       CC_HAS_CACHE_CONTROL},
      {"\"messages\":[{\"content\":[{\"cache_control\":[{\"scope\":1}]}]}]", CC_HAS_CACHE_CONTROL},
      {"\"messages\":[{\"content\":[{\"scope\":1}]}]", 0},
      {"\"scope\":1", 0},
      {"\"safeguards\":[{\"type\":\"dangerous_tool_use\"}]", CC_HAS_SAFEGUARDS},
      {"\"s\\u0061feguards\":{}", CC_HAS_SAFEGUARDS},
      {"\"safeguards\":null", 0},
      {"\"metadata\":{\"safeguards\":[1]}", 0},
      {"\"messages\":[{\"content\":[{\"input\":{\"safeguards\":[1]}}]}]", 0},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    expect_features(cases[i].members, cases[i].features);
}

static void names_events(void **state) {
  (void)state;
  static const struct {
    const char *name, *data;
    enum cc_messages_event event;
  } cases[] = {
      {"message_start", "{\"type\":\"message_start\"}", CC_MESSAGES_START},
      {"ping", "{\"type\":\"ping\"}", CC_MESSAGES_PING},
      {"message_delta", "{}", CC_MESSAGES_DELTA},
      {"message_stop", "", CC_MESSAGES_STOP},
      {"error", "{\"type\":\"error\"}", CC_MESSAGES_ERROR},
      {"content_block_start", "{}", CC_MESSAGES_OTHER},
      {"content_block_delta", "{\"type\":\"error\"}", CC_MESSAGES_OTHER},
      {"errors", "{\"type\":\"error\"}", CC_MESSAGES_OTHER},
      {"brand_new", "", CC_MESSAGES_OTHER},
      {"", "", CC_MESSAGES_PING},
      {"", "{\"type\":\"message_start\",\"message\":{\"type\":\"message\"}}", CC_MESSAGES_START},
      {"", "{\"type\":\"pin\\u0067\"}", CC_MESSAGES_PING},
      {"", "{\"delta\":{\"type\":\"error\"},\"type\":\"message_delta\"}", CC_MESSAGES_DELTA},
      {"", "{\"type\":\"message_stop\"}", CC_MESSAGES_STOP},
      {"", "{\"type\":\"error\",\"error\":{}}", CC_MESSAGES_ERROR},
      {"", "{\"type\":\"content_block_delta\"}", CC_MESSAGES_OTHER},
      {"", "{\"type\":[\"error\"]}", CC_MESSAGES_PING},
      {"", "{\"error\":{\"message\":\"no\"}}", CC_MESSAGES_ERROR},
      {"", "[DONE]", CC_MESSAGES_PING},
      {"", "{\"type\":\"error\"", CC_MESSAGES_PING},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    char text[CC_MESSAGES_NAME];
    struct cc_slice name = cc_slice_text(cases[i].name);
    if (!name.size) cc_messages_name(cc_slice_text(cases[i].data), text, &name);
    assert_int_equal(cc_messages_event(name), cases[i].event);
  }
}

static void an_event_without_a_name_gets_that_of_its_type(void **state) {
  (void)state;
  static const struct {
    const char *data, *name;
    int status;
  } cases[] = {
      {"{\"type\":\"message_start\"}", "message_start", CC_OK},
      {" {\"a\":[1],\"t\\u0079pe\":\"pin\\u0067\"} ", "ping", CC_OK},
      {"{\"type\":\"a\",\"type\":\"b\"}", "b", CC_OK},
      {"{\"type\":\"x\",\"error\":{}}", "x", CC_OK},
      {"{\"error\":{\"message\":\"m\"}}", "error", CC_OK},
      {"{\"type\":null,\"error\":\"m\"}", "error", CC_OK},
      {"{\"error\":null}", "", CC_ENOTFOUND},
      {"{\"error\":1}", "", CC_ENOTFOUND},
      {"{\"type\":null}", "", CC_ENOTFOUND},
      {"{}", "", CC_ENOTFOUND},
      {"{\"type\":1}", "", CC_EINVAL},
      {"{\"type\":\"\"}", "", CC_EINVAL},
      {"{\"type\":\"a\\nb\"}", "", CC_EINVAL},
      {"[]", "", CC_EJSON_OBJECT},
      {"[DONE]", "", CC_EJSON},
      {"{\"type\":\"ping\"", "", CC_EJSON},
      {"", "", CC_EJSON},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    char text[CC_MESSAGES_NAME];
    struct cc_slice name;
    assert_int_equal(cc_messages_name(cc_slice_text(cases[i].data), text, &name), cases[i].status);
    assert_true(cc_slice_is(name, cases[i].name));
  }
}

static void expect_type(const char *data, const char *expected) {
  char out[24];
  memset(out, '!', sizeof out);
  cc_messages_error_type(cc_slice_text(data), out, sizeof out);
  assert_string_equal(out, expected);
}

static void reads_error_types(void **state) {
  (void)state;
  expect_type("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}",
              "overloaded_error");
  expect_type("{\"error\":{\"type\":\"api\\u005ferror\"}}", "api_error");
  expect_type("{\"error\":{\"type\":7}}", "");
  expect_type("{\"error\":{}}", "");
  expect_type("{\"error\":\"type\"}", "");
  expect_type("{\"type\":\"error\"}", "");
  expect_type("{\"error\":{\"type\":\"api_error\"}", "");
  expect_type("<html>", "");
  expect_type("", "");
  expect_type("{\"error\":{\"type\":\"01234567890123456789012\"}}", "01234567890123456789012");
  expect_type("{\"error\":{\"type\":\"012345678901234567890123456\"}}", "01234567890123456789012");
  expect_type("{\"error\":{\"type\":\"0123456789012345678901\xc3\xa4\"}}",
              "0123456789012345678901");
  char none = '!';
  cc_messages_error_type(cc_slice_text("{\"error\":{\"type\":\"a\"}}"), &none, 0);
  assert_int_equal(none, '!');
  cc_messages_error_type(cc_slice_text("{\"error\":{\"type\":\"a\"}}"), &none, 1);
  assert_int_equal(none, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_the_first_file),
      cmocka_unit_test(reads_a_real_turn),
      cmocka_unit_test(reads_the_top),
      cmocka_unit_test(refuses_with_the_place),
      cmocka_unit_test(bounds_the_name_of_the_model),
      cmocka_unit_test(bounds_depth),
      cmocka_unit_test(finds_signatures),
      cmocka_unit_test(finds_pdf_and_images),
      cmocka_unit_test(measures_base64),
      cmocka_unit_test(finds_tools_and_thinking),
      cmocka_unit_test(finds_cache_control),
      cmocka_unit_test(finds_scopes_and_safeguards),
      cmocka_unit_test(names_events),
      cmocka_unit_test(an_event_without_a_name_gets_that_of_its_type),
      cmocka_unit_test(reads_error_types),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
