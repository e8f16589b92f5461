// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include "api/json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "codec/json.h"
#include <cmocka.h>
#include <string.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define TEXT(literal) literal, sizeof(literal) - 1

static void compares_decoded(void **state) {
  (void)state;
  assert_true(cc_json_is(cc_slice_text("\"model\""), "model"));
  assert_true(cc_json_is(cc_slice_text("\"mod\\u0065l\""), "model"));
  assert_true(cc_json_is(cc_slice_text("\"\\u006D\\u006fdel\""), "model"));
  assert_true(cc_json_is(cc_slice_text("\"\\ud83d\\ude00!\""), "\xf0\x9f\x98\x80!"));
  assert_true(cc_json_is(cc_slice_text("\"\\/\\b\\f\\n\\r\\t\\\"\\\\\""), "/\b\f\n\r\t\"\\"));
  assert_true(cc_json_same(cc_slice_text("\"a\\u0000b\""), cc_slice("a\0b", 3)));
  assert_true(cc_json_same(cc_slice_text("\"\""), cc_slice(NULL, 0)));
  assert_false(cc_json_is(cc_slice_text("\"model\""), "mode"));
  assert_false(cc_json_is(cc_slice_text("\"model\""), "models"));
  assert_false(cc_json_is(cc_slice_text("\"Model\""), "model"));
  assert_false(cc_json_is(cc_slice_text("\"\""), "model"));
  assert_false(cc_json_same(cc_slice_text("\"a\""), cc_slice(NULL, 0)));
  assert_false(cc_json_is(cc_slice_text("\"mod\\u0065l\""), "mod\\u0065l"));
  assert_false(cc_json_is(cc_slice_text("\"\\ud83d\""), "\xef\xbf\xbd"));
}

static void decodes(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *expected;
    int size;
  } cases[] = {
      {"\"\"", "", 0},
      {" \"a\" ", "a", 1},
      {"\"\\u00e4\\u20ac\\ud83d\\ude00\"", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9},
      {"\"\xc3\xa4\xe2\x82\xac\"", "\xc3\xa4\xe2\x82\xac", 5},
      {"\"\\u0000\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
       "\0\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 12},
      {"\"\\ud800\\udc00\\udbff\\udfff\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8},
      {"\"\\u0a9f\\uB1C2\\u3d4E\\u5678\"", "\xe0\xaa\x9f\xeb\x87\x82\xe3\xb5\x8e\xe5\x99\xb8", 12},
      {"\"\\ud83d\"", "\xef\xbf\xbd", 3},
      {"\"\\udc00\\udc00\"", "\xef\xbf\xbd\xef\xbf\xbd", 6},
      {"\"\\ud83d\\ue000\"", "\xef\xbf\xbd\xee\x80\x80", 6},
      {"\"\\ud7ff\\udc00\"", "\xed\x9f\xbf\xef\xbf\xbd", 6},
      {"\"\\u0041\\ude00\"", "A\xef\xbf\xbd", 4},
      {"\"\\ude00x\"", "\xef\xbf\xbdx", 4},
      {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80", 7},
      {"\"\\ud83d\\n\"", "\xef\xbf\xbd\n", 4},
      {"\"\\ud83d\\u0041\"",
       "\xef\xbf\xbd"
       "A",
       4},
      {"\"\\ud83d\\\\ude00\"", "\xef\xbf\xbd\\ude00", 9},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    char out[32];
    const char *text = cases[i].text;
    int size = cc_json_decode(text, (uint32_t)strlen(text), out, sizeof out);
    if (size != cases[i].size || memcmp(out, cases[i].expected, (size_t)size))
      fail_msg("case %zu: %d", i, size);
    assert_int_equal(cc_json_decode(text, (uint32_t)strlen(text), out, (uint32_t)size), size);
    if (size > 0) {
      assert_int_equal(cc_json_decode(text, (uint32_t)strlen(text), out, (uint32_t)size - 1),
                       CC_ELIMIT);
    }
  }
}

static void refuses_to_decode(void **state) {
  (void)state;
  char out[8];
  assert_int_equal(cc_json_decode(TEXT("1"), out, 8), CC_EINVAL);
  assert_int_equal(cc_json_decode(TEXT("[\"a\"]"), out, 8), CC_EINVAL);
  assert_int_equal(cc_json_decode(TEXT("\"a"), out, 8), CC_EJSON);
  assert_int_equal(cc_json_decode(TEXT("a"), out, 8), CC_EJSON);
  assert_int_equal(cc_json_decode(TEXT(""), out, 8), CC_EJSON);
  assert_int_equal(cc_json_decode(TEXT("\"a\"\"b\""), out, 8), CC_EJSON);
}

// What does not fit is cut between characters, and nothing follows the cut.
static void cuts_between_characters(void **state) {
  (void)state;
  static const char raw[] = "\"a\xc3\xa4\\u20acz\"";
  static const size_t fits[] = {0, 1, 1, 3, 3, 3, 6, 7, 7};
  for (size_t capacity = 0; capacity < COUNT(fits); capacity++) {
    char out[9] = "........";
    assert_int_equal(cc_json_text(cc_slice(TEXT(raw)), out, capacity), 7);
    assert_memory_equal(out, "a\xc3\xa4\xe2\x82\xacz", fits[capacity]);
    assert_int_equal(out[fits[capacity]], '.');
  }
}

static void quotes(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t size;
    const char *expected;
  } cases[] = {
      {TEXT(""), "\"\""},
      {TEXT("plain / text'"), "\"plain / text'\""},
      {TEXT("\"\\\b\f\n\r\t\0\x1f\x7f"), "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\""},
      {TEXT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z"), "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z\""},
      {TEXT("a\xff"), "\"a\xef\xbf\xbd\""},
      {TEXT("\xc3"), "\"\xef\xbf\xbd\""},
      {TEXT("\xed\xa0\x80y"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy\""},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_buffer out = {0};
    cc_json_quote(&out, cases[i].text, cases[i].size);
    assert_true(cc_slice_is(cc_slice(out.data, out.size), cases[i].expected));
    cc_buffer_free(&out);
  }
  struct cc_buffer out = {0};
  cc_json_quote(&out, NULL, 0);
  assert_true(cc_slice_is(cc_slice(out.data, out.size), "\"\""));
  cc_buffer_free(&out);
}

static void reads_whole_numbers(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double value;
  } good[] = {
      {"0", 0},      {"7", 7},      {"128000", 128000}, {"999999999999999", 999999999999999.0},
      {"1e3", 1000}, {"2.5E1", 25}, {"-0", 0},          {"9007199254740992", 9007199254740992.0}};
  static const char *const bad[] = {"-1",
                                    "1.5",
                                    "1e400",
                                    "-1e400",
                                    "1e-1",
                                    "9007199254740994",
                                    "10000000000000000000000000000000000000000000",
                                    "1e16",
                                    "",
                                    "1000000000000000000000000000000000000000"};
  double value = -7;
  for (size_t i = 0; i < COUNT(bad); i++)
    assert_false(cc_json_whole(cc_slice_text(bad[i]), &value));
  assert_true(value == -7);
  for (size_t i = 0; i < COUNT(good); i++) {
    assert_true(cc_json_whole(cc_slice_text(good[i].text), &value));
    assert_true(value == good[i].value);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(compares_decoded),
      cmocka_unit_test(decodes),
      cmocka_unit_test(refuses_to_decode),
      cmocka_unit_test(cuts_between_characters),
      cmocka_unit_test(quotes),
      cmocka_unit_test(reads_whole_numbers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
