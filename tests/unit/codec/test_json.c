// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include "api/json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "codec/json.h"
#include "codec/json_scan.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define TEXT(literal) literal, sizeof(literal) - 1

// The text in memory of just its size, so that a sanitizer sees a step beyond it.
static char *tight(const char *text, size_t size) {
  char *copy = malloc(size ? size : 1);
  assert_non_null(copy);
  memcpy(copy, text, size);
  return copy;
}

// Reads to the end: END or the error, and where it is.
static int read_all(const char *text, size_t size, size_t *at) {
  char *copy = tight(text, size);
  struct cc_json json;
  int token;
  cc_json_init(&json, copy, size);
  while ((token = cc_json_next(&json)) > CC_JSON_END)
    assert_true(json.at <= size && json.raw.size > 0);
  assert_int_equal(cc_json_next(&json), token);
  *at = json.at;
  free(copy);
  return token;
}

static void accepts_values(void **state) {
  (void)state;
  static const char *const texts[] = {
      "0",
      "-0",
      "12",
      "-1.5e+10",
      "1E400",
      "0.00",
      "true",
      "false",
      "null",
      "\"\"",
      "\"\\ud83d\"",
      "\"\\uDE00\\uD83D\"",
      "[]",
      "{}",
      " [ ] ",
      "\t\r\n{ }\n",
      "[1,[2,{}],\"a\"]",
      "{\"\":0,\"\":1}",
      "\"\x7f\"",
      "\"\xc2\x80\"",
      "\"\xed\x9f\xbf\"",
      "\"\xee\x80\x80\"",
      "\"\xf0\x90\x80\x80\"",
      "\"\xf4\x8f\xbf\xbf\"",
      "\"\xef\xbf\xbf\"",
      "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uabCD\"",
      "123456789012345678901234567890.123456789012345678901234567890e-99",
  };
  for (size_t i = 0; i < COUNT(texts); i++) {
    size_t at, size = strlen(texts[i]);
    if (read_all(texts[i], size, &at) != CC_JSON_END) fail_msg("refused: %s", texts[i]);
    assert_int_equal(at, size);
    assert_true(cc_json_valid(texts[i], (uint32_t)size));
  }
}

static void tells_where_it_breaks(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t size;
    size_t at;
  } cases[] = {
      {TEXT(""), 0},
      {TEXT("  "), 2},
      {TEXT("x"), 0},
      {TEXT("\xef\xbb\xbf{}"), 0},
      {TEXT("\xff\xfe[\0]\0"), 0},
      {TEXT("[\0]"), 1},
      {TEXT("1 2"), 2},
      {TEXT("{}x"), 2},
      {TEXT("[]]"), 2},
      {TEXT("{}\0"), 2},
      {TEXT("tru"), 3},
      {TEXT("trux"), 3},
      {TEXT("truee"), 4},
      {TEXT("True"), 0},
      {TEXT("NaN"), 0},
      {TEXT("Infinity"), 0},
      {TEXT("-"), 1},
      {TEXT("-x"), 1},
      {TEXT("+1"), 0},
      {TEXT("01"), 1},
      {TEXT("-01"), 2},
      {TEXT("1."), 2},
      {TEXT("1.x"), 2},
      {TEXT(".5"), 0},
      {TEXT("1e"), 2},
      {TEXT("1e+"), 3},
      {TEXT("1e5.0"), 3},
      {TEXT("0x10"), 1},
      {TEXT("["), 1},
      {TEXT("[1"), 2},
      {TEXT("[1,"), 3},
      {TEXT("[1,]"), 3},
      {TEXT("[,1]"), 1},
      {TEXT("[1 1]"), 3},
      {TEXT("[1}"), 2},
      {TEXT("{"), 1},
      {TEXT("{]"), 1},
      {TEXT("{1:1}"), 1},
      {TEXT("{a:1}"), 1},
      {TEXT("{'a':1}"), 1},
      {TEXT("{\"a\""), 4},
      {TEXT("{\"a\" 1}"), 5},
      {TEXT("{\"a\",1}"), 4},
      {TEXT("{\"a\":"), 5},
      {TEXT("{\"a\":}"), 5},
      {TEXT("{\"a\"::1}"), 5},
      {TEXT("{\"a\":1,}"), 7},
      {TEXT("{\"a\":1,"), 7},
      {TEXT("{\"a\":1,,"), 7},
      {TEXT("{\"a\":1 \"b\":2}"), 7},
      {TEXT("{\"a\":1]"), 6},
      {TEXT("[1]//"), 3},
      {TEXT("/**/1"), 0},
      {TEXT("\f1"), 0},
      {TEXT("\xc2\xa0"), 0},
      {TEXT("\""), 1},
      {TEXT("\"abc"), 4},
      {TEXT("\"\\\""), 3},
      {TEXT("\"\\"), 2},
      {TEXT("\"\\x41\""), 2},
      {TEXT("\"\\U0041\""), 2},
      {TEXT("\"\\\0\""), 2},
      {TEXT("\"\\u\""), 3},
      {TEXT("\"\\u12g4\""), 5},
      {TEXT("\"\\u123"), 6},
      {TEXT("\"a\nb\""), 2},
      {TEXT("\"a\0b\""), 2},
      {TEXT("\"a\x1f\""), 2},
      {TEXT("\"0123456789abcdef0123456789\t\""), 27},
      {TEXT("\"\x80\""), 1},
      {TEXT("\"ab\xc0\xaf\""), 3},
      {TEXT("\"\xc1\xbf\""), 1},
      {TEXT("\"\xc3\""), 1},
      {TEXT("\"\xc3"), 1},
      {TEXT("\"\xe0\x9f\xbf\""), 1},
      {TEXT("\"\xe2\x82\""), 1},
      {TEXT("\"\xe2\x82"), 1},
      {TEXT("\"\xed\xa0\xbd\xed\xb8\x80\""), 1},
      {TEXT("\"\xed\xbf\xbf\""), 1},
      {TEXT("\"\xf0\x8f\xbf\xbf\""), 1},
      {TEXT("\"\xf0\x9f\x98\""), 1},
      {TEXT("\"\xf0\x9f\x98"), 1},
      {TEXT("\"\xf4\x90\x80\x80\""), 1},
      {TEXT("\"\xf5\x80\x80\x80\""), 1},
      {TEXT("\"\xff\""), 1},
      {TEXT("\"\xc3\xa4\xc3\x28\""), 3},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    size_t at;
    int error = read_all(cases[i].text, cases[i].size, &at);
    if (error != CC_EJSON || at != cases[i].at)
      fail_msg("case %zu: error %d at %zu, not %zu", i, error, at, cases[i].at);
    assert_false(cc_json_valid(cases[i].text, (uint32_t)cases[i].size));
  }
}

// Every byte within a string: accepted just when it may stand there alone.
static void knows_every_byte(void **state) {
  (void)state;
  for (int byte = 0; byte < 256; byte++) {
    char text[] = {'"', (char)byte, '"'}, escape[] = {'"', '\\', (char)byte, '"'};
    bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
    bool escaped = byte && strchr("\"\\/bfnrt", byte);
    assert_int_equal(cc_json_valid(text, sizeof text), plain);
    assert_int_equal(cc_json_valid(escape, sizeof escape), escaped);
    assert_int_equal(cc_json_is_plain((uint8_t)byte), plain);
    char code[] = {'"', '\\', 'u', 'f', 'F', '0', (char)byte, '"'};
    bool digit = byte && strchr("0123456789abcdefABCDEF", byte);
    assert_int_equal(cc_json_valid(code, sizeof code), digit);
  }
}

// UTF-8 by its definition: encode each code point, and let nothing else pass.
static bool is_scalar_utf8(const uint8_t *text, size_t size) {
  uint32_t first = text[0], code = size == 2 ? first & 0x1f : size == 3 ? first & 0xf : first & 7;
  uint32_t lead = size == 2 ? 0xc0 : size == 3 ? 0xe0 : 0xf0;
  uint32_t mask = size == 2 ? 0xe0 : size == 3 ? 0xf0 : 0xf8;
  uint32_t least = size == 2 ? 0x80 : size == 3 ? 0x800 : 0x10000;
  if ((first & mask) != lead) return false;
  for (size_t i = 1; i < size; i++) {
    if ((text[i] & 0xc0) != 0x80) return false;
    code = code << 6 | (text[i] & 0x3f);
  }
  return code >= least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static void knows_utf8(void **state) {
  (void)state;
  static const uint8_t tails[] = {0x00, 0x22, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
  for (int first = 0x80; first < 256; first++)
    for (size_t i = 0; i < COUNT(tails) * COUNT(tails) * COUNT(tails); i++) {
      uint8_t text[4] = {(uint8_t)first, tails[i % 11], tails[i / 11 % 11], tails[i / 121]};
      for (size_t left = 1; left <= 4; left++) {
        size_t expected = 0;
        for (size_t size = 2; size <= left; size++)
          if (is_scalar_utf8(text, size)) expected = size;
        assert_int_equal(cc_utf8_size((const char *)text, left), expected);
      }
    }
}

// The fast and the portable loop stop at the same byte, wherever it stands.
static void skips_plain_bytes(void **state) {
  (void)state;
  char text[80];
  for (size_t size = 0; size < sizeof text; size++)
    for (size_t stop = 0; stop <= size; stop++) {
      static const char stops[] = {'"', '\\', 0, 0x1f, (char)0x80, (char)0xff};
      memset(text, 'a' + (int)(stop % 26), sizeof text);
      for (size_t i = 0; i < COUNT(stops); i++) {
        if (stop < size) text[stop] = stops[i];
        char *copy = tight(text, size);
        assert_ptr_equal(cc_json_plain(copy, copy + size), copy + stop);
        assert_ptr_equal(cc_json_plain_portable(copy, copy + size), copy + stop);
        free(copy);
      }
    }
}

static void nested(char *text, size_t depth, const char *open, const char *close) {
  size_t open_size = strlen(open), close_size = strlen(close);
  for (size_t i = 0; i < depth; i++)
    memcpy(text + i * open_size, open, open_size);
  for (size_t i = 0; i < depth; i++)
    memcpy(text + depth * open_size + i * close_size, close, close_size);
}

static void bounds_depth(void **state) {
  (void)state;
  char *text = malloc(600000);
  size_t at;
  nested(text, 1000, "[", "]");
  assert_int_equal(read_all(text, 2000, &at), CC_JSON_END);
  nested(text, 1001, "[", "]");
  assert_int_equal(read_all(text, 2002, &at), CC_EJSON_DEPTH);
  assert_int_equal(at, 1000);
  nested(text, 1000, "[", "]");
  memcpy(text + 1000, "0,[", 3);
  assert_int_equal(read_all(text, 1003, &at), CC_EJSON_DEPTH);
  assert_int_equal(at, 1002);
  nested(text, 999, "{\"\":", "}");
  memmove(text + 999 * 4 + 2, text + 999 * 4, 999);
  memcpy(text + 999 * 4, "[]", 2);
  assert_int_equal(read_all(text, 999 * 5 + 2, &at), CC_JSON_END);
  nested(text, 100000, "[", "]");
  assert_int_equal(read_all(text, 100000, &at), CC_EJSON_DEPTH);
  nested(text, 100000, "{\"\":", "}");
  assert_int_equal(read_all(text, 500000, &at), CC_EJSON_DEPTH);
  assert_int_equal(at, 4000);
  free(text);
}

// Objects and arrays mixed: each end must fit its start, at every level.
static void remembers_what_is_open(void **state) {
  (void)state;
  for (size_t wrong = 0; wrong <= 40; wrong++) {
    char text[40 * 6 + 1];
    size_t size = 0, at;
    for (size_t i = 0; i < 40; i++)
      size += (size_t)sprintf(text + size, i * i % 3 ? "{\"k\":" : "[");
    text[size++] = '1';
    size_t inner = size;
    for (size_t i = 40; i > 0; i--) {
      bool object = (i - 1) * (i - 1) % 3;
      text[size++] = object != (i == wrong) ? '}' : ']';
    }
    int token = read_all(text, size, &at);
    assert_int_equal(token, wrong ? CC_EJSON : CC_JSON_END);
    assert_int_equal(at, wrong ? inner + 40 - wrong : size);
  }
}

static void returns_tokens_with_spans(void **state) {
  (void)state;
  static const char text[] = " {\"a\" : [1, true ,\"x\\\"\"], \"b\":{}, \"c\":null,\"d\":false} ";
  static const struct {
    int token;
    const char *raw;
    uint32_t depth;
  } expected[] = {
      {CC_JSON_OBJECT, "{", 1},     {CC_JSON_KEY, "\"a\"", 1},   {CC_JSON_ARRAY, "[", 2},
      {CC_JSON_NUMBER, "1", 2},     {CC_JSON_TRUE, "true", 2},   {CC_JSON_STRING, "\"x\\\"\"", 2},
      {CC_JSON_ARRAY_END, "]", 1},  {CC_JSON_KEY, "\"b\"", 1},   {CC_JSON_OBJECT, "{", 2},
      {CC_JSON_OBJECT_END, "}", 1}, {CC_JSON_KEY, "\"c\"", 1},   {CC_JSON_NULL, "null", 1},
      {CC_JSON_KEY, "\"d\"", 1},    {CC_JSON_FALSE, "false", 1}, {CC_JSON_OBJECT_END, "}", 0},
  };
  struct cc_json json;
  cc_json_init(&json, text, sizeof text - 1);
  for (size_t i = 0; i < COUNT(expected); i++) {
    assert_int_equal(cc_json_next(&json), expected[i].token);
    assert_true(cc_slice_is(json.raw, expected[i].raw));
    assert_int_equal(json.depth, expected[i].depth);
  }
  assert_int_equal(cc_json_next(&json), CC_JSON_END);
  assert_int_equal(cc_json_next(&json), CC_JSON_END);
}

static void refuses_missing_and_huge_text(void **state) {
  (void)state;
  struct cc_json json;
  cc_json_init(&json, NULL, 0);
  assert_int_equal(cc_json_next(&json), CC_EJSON);
  cc_json_init(&json, "1", (size_t)UINT32_MAX + 1);
  assert_int_equal(cc_json_next(&json), CC_EJSON);
  struct cc_json_member member;
  assert_int_equal(cc_json_find("{}", (size_t)UINT32_MAX + 1, cc_slice_text("a"), &member),
                   CC_EJSON);
}

static void skips_whole_values(void **state) {
  (void)state;
  static const char text[] = "[{\"a\":[1,{\"b\":2}]} , [[],[]],\"]\", 7]";
  static const char *const spans[] = {"{\"a\":[1,{\"b\":2}]}", "[[],[]]", "\"]\"", "7"};
  struct cc_json json;
  cc_json_init(&json, text, sizeof text - 1);
  cc_json_next(&json);
  for (size_t i = 0; i < COUNT(spans); i++) {
    assert_int_equal(cc_json_skip(&json, cc_json_next(&json)), CC_OK);
    assert_true(cc_slice_is(json.raw, spans[i]));
    assert_int_equal(json.depth, 1);
  }
  assert_int_equal(cc_json_next(&json), CC_JSON_ARRAY_END);
  cc_json_init(&json, "[1,", 3);
  assert_int_equal(cc_json_skip(&json, cc_json_next(&json)), CC_EJSON);
  assert_int_equal(cc_json_skip(&json, cc_json_next(&json)), CC_EJSON);
}

static void reads_members(void **state) {
  (void)state;
  struct cc_json json;
  struct cc_json_member member;
  cc_json_init(&json, TEXT("{\"a\" : [1,{}] ,\"b\":2}"));
  cc_json_next(&json);
  assert_int_equal(cc_json_next_member(&json, &member), CC_JSON_KEY);
  assert_true(cc_slice_is(member.key, "\"a\"") && cc_slice_is(member.value, "[1,{}]"));
  assert_int_equal(cc_json_next_member(&json, &member), CC_JSON_KEY);
  assert_true(cc_slice_is(member.key, "\"b\"") && cc_slice_is(member.value, "2"));
  assert_int_equal(cc_json_next_member(&json, &member), CC_JSON_OBJECT_END);
  cc_json_init(&json, TEXT("{\"a\":[1}"));
  cc_json_next(&json);
  assert_int_equal(cc_json_next_member(&json, &member), CC_EJSON);
}

static void finds_members(void **state) {
  (void)state;
  static const struct {
    const char *text, *path;
    int status;
    const char *value;
  } cases[] = {
      {"{\"a\":1}", "a", CC_OK, "1"},
      {"{\"a\":1}", "b", CC_ENOTFOUND, NULL},
      {"{\"a\":1,\"b\":2,\"a\":3}", "a", CC_OK, "3"},
      {"{\"a\":1,\"\\u0061\":2}", "a", CC_OK, "2"},
      {"{\"a\":{\"b\":{\"c\":[ 1 ]}}}", "a.b.c", CC_OK, "[ 1 ]"},
      {"{\"a\":{\"b\":1},\"a\":{}}", "a.b", CC_ENOTFOUND, NULL},
      {"{\"a\":[{\"b\":1}]}", "a.b", CC_ENOTFOUND, NULL},
      {"{\"a\":\"b\"}", "a.b", CC_ENOTFOUND, NULL},
      {"{\"x\":{\"a\":1}}", "a", CC_ENOTFOUND, NULL},
      {"{\"\":{\"\":5}}", ".", CC_OK, "5"},
      {"{\"\":5}", "", CC_OK, "5"},
      {"{}", "", CC_ENOTFOUND, NULL},
      {"[1]", "a", CC_EJSON_OBJECT, NULL},
      {"7", "a", CC_EJSON_OBJECT, NULL},
      {"[1", "a", CC_EJSON, NULL},
      {"{\"a\":1", "a", CC_EJSON, NULL},
      {"{\"a\":1}}", "a", CC_EJSON, NULL},
      {"{\"a\":1,\"b\":x}", "a", CC_EJSON, NULL},
      {"", "a", CC_EJSON, NULL},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_json_member member;
    const char *text = cases[i].text;
    int status = cc_json_find(text, strlen(text), cc_slice_text(cases[i].path), &member);
    if (status != cases[i].status) fail_msg("case %zu: %d", i, status);
    if (cases[i].value) assert_true(cc_slice_is(member.value, cases[i].value));
  }
}

static void tells_the_place_of_a_member_and_of_an_error(void **state) {
  (void)state;
  static const char text[] = "{\"a\":1, \"env\": {\"B\" : \"x\"}}";
  struct cc_json_place place;
  assert_int_equal(cc_json_place(text, sizeof text - 1, "env.B", 5, &place), CC_OK);
  assert_memory_equal(text + place.key, "\"B\" : \"x\"", 9);
  assert_int_equal(place.key_size, 3);
  assert_int_equal(place.value, place.key + 6);
  assert_int_equal(place.value_size, 3);
  assert_int_equal(cc_json_place(text, sizeof text - 1, "env.C", 5, &place), CC_ENOTFOUND);
  assert_int_equal(cc_json_place("{\"a\": tru}", 10, "a", 1, &place), CC_EJSON);
  assert_int_equal(place.value, 9);
  assert_int_equal(cc_json_place("[1]", 3, "a", 1, &place), CC_EJSON_OBJECT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tells_the_place_of_a_member_and_of_an_error),
      cmocka_unit_test(accepts_values),
      cmocka_unit_test(tells_where_it_breaks),
      cmocka_unit_test(knows_every_byte),
      cmocka_unit_test(knows_utf8),
      cmocka_unit_test(skips_plain_bytes),
      cmocka_unit_test(bounds_depth),
      cmocka_unit_test(remembers_what_is_open),
      cmocka_unit_test(returns_tokens_with_spans),
      cmocka_unit_test(refuses_missing_and_huge_text),
      cmocka_unit_test(skips_whole_values),
      cmocka_unit_test(reads_members),
      cmocka_unit_test(finds_members),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
