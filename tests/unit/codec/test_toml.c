// SPDX-License-Identifier: Apache-2.0
// Description: cc_toml gives typed JSON with lines, refuses what is no TOML, and bounds what it
// builds.
#include "api/error.h"
#include "api/json.h"
#include "api/util.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *text, int status, const char *out, uint32_t line) {
  char *got;
  uint32_t size, at;
  assert_int_equal(cc_toml(text, (uint32_t)strlen(text), &got, &size, &at), status);
  assert_int_equal(size, strlen(got));
  if (out) assert_string_equal(got, out);
  assert_int_equal(at, line);
  cc_free(got);
}

static void test_values_have_type_text_and_line(void **state) {
  (void)state;
  expect("a = 1\nb = 'x\"'\n", CC_OK,
         "{\"line\":1,\"table\":{\"a\":{\"line\":1,\"type\":\"integer\",\"text\":\"1\"},"
         "\"b\":{\"line\":2,\"type\":\"string\",\"text\":\"x\\u0022\"}}}",
         0);
  expect("\n[t]\nl = [true, 1.5]", CC_OK,
         "{\"line\":1,\"table\":{\"t\":{\"line\":2,\"table\":{\"l\":{\"line\":3,\"list\":["
         "{\"line\":3,\"type\":\"boolean\",\"text\":\"true\"},"
         "{\"line\":3,\"type\":\"float\",\"text\":\"1.5\"}]}}}}}",
         0);
}

static void text_of(const char *value, char *out, size_t capacity) {
  char text[128], *json;
  uint32_t size, line;
  snprintf(text, sizeof text, "a = %s", value);
  assert_int_equal(cc_toml(text, (uint32_t)strlen(text), &json, &size, &line), CC_OK);
  const char *from = strstr(json, "\"text\":\"");
  assert_non_null(from);
  snprintf(out, capacity, "%.*s", (int)strcspn(from + 8, "\""), from + 8);
  cc_free(json);
}

static void test_scalars_are_exact(void **state) {
  (void)state;
  static const char *const pairs[][2] = {
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"0xff", "255"},
      {"1_000", "1000"},
      {"2024-06-01", "2024-06-01"},
      {"nan", "nan"},
      {"-inf", "-inf"},
      {"\"\\u0001\\n\"", "\\u0001\\u000a"},
      {"\"\\u00e9\"", "\xc3\xa9"},
      {"\"\"\"x \\\n  \xc3\xa9y\"\"\"", "x \xc3\xa9y"},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    char out[64];
    text_of(pairs[i][0], out, sizeof out);
    assert_string_equal(out, pairs[i][1]);
  }
}

static void test_faults_have_words_and_line(void **state) {
  (void)state;
  expect("a = 1\na = 2\n", CC_EINVAL, NULL, 2);
  expect("[\n", CC_EINVAL, NULL, 1);
  expect("\xce\xbc = 1", CC_EINVAL, NULL, 1);
  expect("a = 9223372036854775808", CC_EINVAL, NULL, 1);
  expect("\n\na = \"\xff\"", CC_EINVAL, NULL, 3);
  expect("a", CC_EINVAL, NULL, 1);
  expect("", CC_OK, "{\"line\":1,\"table\":{}}", 0);
}

static char *repeat(const char *head, const char *unit, size_t count, const char *tail) {
  size_t each = strlen(unit), first = strlen(head), last = strlen(tail);
  char *text = malloc(first + each * count + last + 1);
  assert_non_null(text);
  memcpy(text, head, first);
  for (size_t i = 0; i < count; i++)
    memcpy(text + first + i * each, unit, each);
  memcpy(text + first + each * count, tail, last + 1);
  return text;
}

static void expect_many(const char *head, const char *unit, size_t count, const char *tail,
                        int status, const char *out) {
  char *text = repeat(head, unit, count, tail), *got;
  uint32_t size, line;
  assert_int_equal(cc_toml(text, (uint32_t)strlen(text), &got, &size, &line), status);
  if (out) assert_string_equal(got, out);
  cc_free(got);
  free(text);
}

static void test_sizes_are_bounded(void **state) {
  (void)state;
  const char *values = "more than 65536 values", *dots = "a key with more than 32 dots";
  const char *members = "more than 16384 members", *deep = "values nested deeper than 32 levels";
  expect_many("a = [", "1,", 70000, "]", CC_ELIMIT, values);
  expect_many("a = [", "1,", 16384, "]", CC_OK, NULL);
  expect_many("a = [", "1,", 16385, "]", CC_ELIMIT, members);
  expect_many("[", "a.", 32, "a]", CC_ELIMIT, deep);
  expect_many("[", "a.", 1000000, "a]", CC_ELIMIT, dots);
  expect_many("", "\"]=\" . ", 1000000, "a = 1", CC_ELIMIT, dots);
  expect_many("", "'\"' . ", 1000000, "a = 1", CC_ELIMIT, dots);
  expect_many("a = {", "a.a.a.a.a.a.a.a = {", 60, "", CC_EINVAL, NULL);
  expect_many("a = ", "[", 31, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", CC_OK, NULL);
  expect_many("a = ", "[", 60, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
              CC_ELIMIT, deep);
  expect_many("a = ", "[", 65000, "", CC_EINVAL, NULL);
  expect_many("", "[[a]]\n", 20001, "", CC_ELIMIT, "more than 20000 tables");
  expect_many("", "# a.a.a, [[ = \n", 70000, "a = 1", CC_OK, NULL);
  expect_many("a = \"\"\"", "a.a,=[\\\\\n", 70000, "\"\"\"\"\"\nb = 1", CC_OK, NULL);
  expect_many("a = '''", "a.a,=[\n", 70000, "'''''\nb = ''", CC_OK, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values_have_type_text_and_line),
      cmocka_unit_test(test_scalars_are_exact),
      cmocka_unit_test(test_faults_have_words_and_line),
      cmocka_unit_test(test_sizes_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
