// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "codec/usage.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A struct cc_usage with its five figures is standard and not fast.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool read(const char *text, struct cc_usage *usage) {
  size_t size = strlen(text);
  char *copy = malloc(size + 1);
  memcpy(copy, text, size);
  bool found = cc_usage_read(cc_slice(copy, size), usage);
  free(copy);
  return found;
}

static void expect(const struct cc_usage *usage, struct cc_usage expected) {
  assert_true(usage->input == expected.input);
  assert_true(usage->output == expected.output);
  assert_true(usage->cache_read == expected.cache_read);
  assert_true(usage->cache_5m == expected.cache_5m);
  assert_true(usage->cache_1h == expected.cache_1h);
}

static void follows_a_stream(void **state) {
  (void)state;
  struct cc_usage usage = {0};
  assert_true(read("{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{"
                   "\"input_tokens\":10,\"cache_creation_input_tokens\":300,"
                   "\"cache_read_input_tokens\":4000,\"cache_creation\":{"
                   "\"ephemeral_5m_input_tokens\":100,\"ephemeral_1h_input_tokens\":200},"
                   "\"output_tokens\":1,\"service_tier\":\"standard\"}}}",
                   &usage));
  expect(&usage, (struct cc_usage){10, 1, 4000, 100, 200});
  assert_false(
      read("{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\\\"usage\\\"\"}}", &usage));
  assert_true(read("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
                   "\"usage\":{\"output_tokens\":42}}",
                   &usage));
  expect(&usage, (struct cc_usage){10, 42, 4000, 100, 200});
  // The total alone, repeated, does not undo the split.
  assert_true(read("{\"type\":\"message_delta\",\"usage\":{\"input_tokens\":12,"
                   "\"cache_creation_input_tokens\":300,\"cache_read_input_tokens\":4001,"
                   "\"output_tokens\":50}}",
                   &usage));
  expect(&usage, (struct cc_usage){12, 50, 4001, 100, 200});
}

static struct cc_usage after(struct cc_usage before, const char *usage) {
  char text[256];
  snprintf(text, sizeof text, "{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":1,%s}}",
           usage);
  assert_true(read(text, &before));
  return before;
}

static void reads_tier_and_speed(void **state) {
  (void)state;
  struct cc_usage usage =
      after((struct cc_usage){0}, "\"service_tier\":\"priority\",\"speed\":\"fast\"");
  assert_true(usage.tier == CC_PRIORITY && usage.fast);
  usage = after(usage, "\"service_tier\":null,\"speed\":null");
  assert_true(usage.tier == CC_PRIORITY && usage.fast);
  usage = after(usage, "\"service_tier\":\"flex\"");
  assert_true(usage.tier == CC_PRIORITY && usage.fast);
  usage = after(usage, "\"service_tier\":\"batch\",\"speed\":\"standard\"");
  assert_true(usage.tier == CC_BATCH && !usage.fast);
  usage = after(usage, "\"service_tier\":\"standard\"");
  assert_true(usage.tier == CC_STANDARD && !usage.fast);
}

static void reads_a_whole_answer(void **state) {
  (void)state;
  struct cc_usage usage = {0};
  assert_true(
      read("{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":"
           "\"{\\\"usage\\\":{\\\"input_tokens\\\":9}}\"}],\"us\\u0061ge\":{"
           "\"output_tokens\":5,\"input\\u005ftokens\":3}} ",
           &usage));
  expect(&usage, (struct cc_usage){3, 5, 0, 0, 0});
}

static void splits_the_cache(void **state) {
  (void)state;
  static const struct {
    struct cc_usage before;
    const char *figures;
    double five, hour;
  } cases[] = {
      {{0, 0, 0, 0, 0}, "\"cache_creation_input_tokens\":7", 7, 0},
      {{0, 0, 0, 0, 0}, "\"cache_creation_input_tokens\":7,\"cache_creation\":null", 7, 0},
      {{0, 0, 0, 0, 0}, "\"cache_creation_input_tokens\":7,\"cache_creation\":{}", 7, 0},
      {{0, 0, 0, 0, 0}, "\"cache_creation\":{\"ephemeral_1h_input_tokens\":7}", 0, 7},
      {{0, 0, 0, 0, 0},
       "\"cache_creation\":{\"ephemeral_1h_input_tokens\":7},\"cache_creation_input_tokens\":9",
       2,
       7},
      {{0, 0, 0, 0, 0},
       "\"cache_creation_input_tokens\":9,\"cache_creation\":{\"ephemeral_5m_input_tokens\":9,"
       "\"ephemeral_1h_input_tokens\":0}",
       9,
       0},
      {{0, 0, 0, 0, 0},
       "\"cache_creation_input_tokens\":5,\"cache_creation\":{\"ephemeral_5m_input_tokens\":4,"
       "\"ephemeral_1h_input_tokens\":4}",
       4,
       4},
      {{0, 0, 0, 1, 8}, "\"cache_creation_input_tokens\":20", 12, 8},
      {{0, 0, 0, 1, 8}, "\"cache_creation_input_tokens\":5", 0, 5},
      {{0, 0, 0, 1, 8}, "\"cache_creation_input_tokens\":0", 0, 0},
      {{0, 0, 0, 1, 8}, "\"output_tokens\":0", 1, 8},
      {{0, 0, 0, 1, 8}, "\"cache_creation\":{\"ephemeral_5m_input_tokens\":3}", 3, 8},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    char text[256] = "{\"usage\":{";
    struct cc_usage usage = cases[i].before;
    strcat(strcat(text, cases[i].figures), "}}");
    assert_true(read(text, &usage));
    if (usage.cache_5m != cases[i].five || usage.cache_1h != cases[i].hour)
      fail_msg("case %zu: %g %g", i, usage.cache_5m, usage.cache_1h);
  }
}

static void ignores_nonsense(void **state) {
  (void)state;
  static const char *const values[] = {"-1",
                                       "1.5",
                                       "1e400",
                                       "-1e400",
                                       "\"7\"",
                                       "null",
                                       "true",
                                       "[7]",
                                       "{}",
                                       "1e-5",
                                       "-0",
                                       "\"\"",
                                       "18446744073709551616",
                                       "9007199254740993000",
                                       "9007199254740991",
                                       "1000000001"};
  static const char *const names[] = {"input_tokens", "output_tokens", "cache_read_input_tokens",
                                      "cache_creation_input_tokens"};
  for (size_t i = 0; i < COUNT(values); i++)
    for (size_t k = 0; k < COUNT(names); k++) {
      char text[256] = "{\"usage\":{\"";
      struct cc_usage usage = {1, 2, 3, 4, 5};
      strcat(strcat(strcat(strcat(text, names[k]), "\":"), values[i]), "}}");
      assert_false(read(text, &usage));
      expect(&usage, (struct cc_usage){1, 2, 3, 4, 5});
    }
  struct cc_usage most = {0};
  assert_true(read("{\"usage\":{\"output_tokens\":1000000000}}", &most));
  expect(&most, (struct cc_usage){.output = 1e9});
}

static void leaves_other_text_alone(void **state) {
  (void)state;
  static const char *const texts[] = {
      "",
      "[]",
      "[{\"usage\":{\"input_tokens\":9}}]",
      "{}",
      "{\"usage\":7}",
      "{\"usage\":[{\"input_tokens\":9}]}",
      "{\"usage\":{\"x\":{\"input_tokens\":9}}}",
      "{\"usage\":{\"ephemeral_5m_input_tokens\":9}}",
      "{\"usage\":{\"cache_creation\":{\"input_tokens\":9}}}",
      "{\"usage\":{\"cache_creation\":[9]}}",
      "{\"usage\":{\"x\":{\"ephemeral_5m_input_tokens\":9}}}",
      "{\"x\":{\"usage\":{\"input_tokens\":9}}}",
      "{\"message\":{\"x\":{\"input_tokens\":9}}}",
      "{\"message\":{\"usage\":[9]}}",
      "{\"message\":{\"x\":{\"usage\":{\"input_tokens\":9}}}}",
      "{\"message\":{\"message\":{\"usage\":{\"input_tokens\":9}}}}",
      "{\"message\":[{\"usage\":{\"input_tokens\":9}}]}",
      "{\"input_tokens\":9}",
      "{\"usage\":{\"input_tokens\":9}",
      "{\"usage\":{\"input_tokens\":9}}}",
      "{\"usage\":{\"input_tokens\":9},\"x\":\"\xff\"}",
      "<html>",
  };
  for (size_t i = 0; i < COUNT(texts); i++) {
    struct cc_usage usage = {1, 2, 3, 4, 5};
    if (read(texts[i], &usage)) fail_msg("found in %s", texts[i]);
    expect(&usage, (struct cc_usage){1, 2, 3, 4, 5});
  }
}

static void takes_the_last(void **state) {
  (void)state;
  struct cc_usage usage = {0};
  assert_true(
      read("{\"usage\":{\"input_tokens\":1,\"input_tokens\":2,\"output_tokens\":1e3}}", &usage));
  expect(&usage, (struct cc_usage){2, 1000, 0, 0, 0});
  assert_true(read("{\"usage\":{\"input_tokens\":3,\"input_tokens\":-4}}", &usage));
  expect(&usage, (struct cc_usage){3, 1000, 0, 0, 0});
  assert_true(read("{\"usage\":{\"input_tokens\":0}}", &usage));
  expect(&usage, (struct cc_usage){0, 1000, 0, 0, 0});
}

static int judge(const char *text, enum cc_success success, struct cc_usage *usage, bool *known) {
  *usage = (struct cc_usage){1, 2, 3, 4, 5};
  *known = false;
  return cc_usage_judge(cc_slice_text(text), success, usage, known);
}

static void judges_answers(void **state) {
  (void)state;
  static const struct {
    int result;
    const char *text;
  } cases[] = {
      {CC_ESTREAM_ERROR,
       "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}"},
      {CC_ESTREAM_ERROR, " {\"error\":{},\"request_id\":null,\"t\\u0079pe\":\"\\u0065rror\"} "},
      {CC_ESTREAM_ERROR, "{\"type\":\"error\",\"error\":{},\"usage\":{\"input_tokens\":9}}"},
      {CC_ENOTJSON, ""},
      {CC_ENOMESSAGE, "{}"},
      {CC_ENOTJSON, "[]"},
      {CC_ENOMESSAGE, "{\"type\":\"error\"}"},
      {CC_ENOMESSAGE, "{\"type\":\"error\",\"error\":\"x\"}"},
      {CC_ENOMESSAGE, "{\"error\":{}}"},
      {CC_ENOMESSAGE, "{\"error\":{\"code\":\"1302\",\"message\":\"m\"}}"},
      {CC_ENOMESSAGE, "{\"code\":500,\"msg\":\"404 NOT_FOUND\",\"success\":false}"},
      {CC_ENOMESSAGE, "{\"base_resp\":{\"status_code\":1004,\"status_msg\":\"login fail\"}}"},
      {CC_ENOMESSAGE, "{\"type\":\"errors\",\"error\":{}}"},
      {CC_ENOMESSAGE, "{\"type\":[\"error\"],\"error\":{}}"},
      {CC_ENOMESSAGE, "{\"type\":[\"message\"],\"content\":[]}"},
      {CC_ENOMESSAGE, "{\"type\":\"messages\",\"content\":[]}"},
      {CC_ENOMESSAGE, "{\"content\":\"text\"}"},
      {CC_OK, "{\"content\":[]}"},
      {CC_OK, "{\"type\":null,\"content\":[],\"error\":null}"},
      {CC_OK, "{\"type\":\"message\"}"},
      {CC_OK, "{\"t\\u0079pe\":\"\\u006dessage\",\"base_resp\":{\"status_code\":0}}"},
      {CC_ENOTJSON, "{\"type\":\"error\",\"error\":{}}x"},
      {CC_ENOTJSON, "{\"type\":\"error\",\"error\":{}"},
      {CC_ENOTJSON, "{\"usage\":{\"input_tokens\":9},\"x\":\"\xff\"}"},
      {CC_ENOMESSAGE, "{\"message\":\"m\"}"},
      {CC_OK, "{\"type\":\"error\",\"error\":{},\"type\":\"message\"}"},
      {CC_ENOMESSAGE, "{\"type\":\"error\",\"error\":{},\"error\":null}"},
      {CC_ENOTJSON, "<html>"},
      {CC_OK, "\xef\xbb\xbf{\"type\":\"message\"}"},
      {CC_ENOTJSON, "\xef\xbb{\"type\":\"message\"}"},
  };
  struct cc_usage usage;
  bool known;
  for (size_t i = 0; i < COUNT(cases); i++) {
    if (judge(cases[i].text, CC_SUCCESS_MESSAGE, &usage, &known) != cases[i].result)
      fail_msg("%s", cases[i].text);
    assert_false(known);
    expect(&usage, (struct cc_usage){1, 2, 3, 4, 5});
  }
  static const char used[] = "{\"content\":[],\"usage\":{\"input_tokens\":9}}";
  assert_int_equal(judge(used, CC_SUCCESS_MESSAGE, &usage, &known), CC_OK);
  assert_true(known);
  expect(&usage, (struct cc_usage){9, 2, 3, 4, 5});
  static const struct cc_slice bare = {"{\"type\":\"message\"}", 18};
  assert_int_equal(cc_usage_judge(bare, CC_SUCCESS_MESSAGE, &usage, &known), CC_OK);
  assert_true(known);
}

static void judges_counts(void **state) {
  (void)state;
  struct cc_usage usage;
  bool known;
  assert_int_equal(judge("{\"input_tokens\":14,\"x\":{}}", CC_SUCCESS_COUNT, &usage, &known),
                   CC_OK);
  assert_int_equal(judge("{\"input_tokens\":0}", CC_SUCCESS_COUNT, &usage, &known), CC_OK);
  assert_int_equal(judge("{\"input_tokens\":\"1\"}", CC_SUCCESS_COUNT, &usage, &known),
                   CC_ENOMESSAGE);
  assert_int_equal(judge("{\"inputTokens\":1}", CC_SUCCESS_COUNT, &usage, &known), CC_ENOMESSAGE);
  assert_int_equal(judge("{\"type\":\"error\",\"error\":{}}", CC_SUCCESS_COUNT, &usage, &known),
                   CC_ESTREAM_ERROR);
  assert_int_equal(judge("{\"inputTokens\":1}", CC_SUCCESS_OBJECT, &usage, &known), CC_OK);
  assert_int_equal(judge("[]", CC_SUCCESS_OBJECT, &usage, &known), CC_ENOTJSON);
}

static void judges_beginnings(void **state) {
  (void)state;
  static const struct {
    int result;
    const char *text;
  } cases[] = {
      {CC_OK, "{\"id\":\"m\",\"type\":\"message\",\"content\":[{\"type\":\"error\",\"te"},
      {CC_OK, "{\"content\":[{\"type\":\"text\",\"text\":\"lon"},
      {CC_OK, "{\"error\":{\"message\":\"lon"},
      {CC_OK, "{\"type\":null,\"content\":[\"lon"},
      {CC_OK, "{\"type\":\"mess"},
      {CC_ENOMESSAGE, "{\"type\":\"list\",\"data\":[\"lon"},
      {CC_ENOMESSAGE, "{\"type\":5,\"data\":[\"lon"},
      {CC_ESTREAM_ERROR, "{\"type\":\"error\",\"error\":{\"message\":\"lon"},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    if (cc_usage_judge_start(cc_slice_text(cases[i].text), CC_SUCCESS_MESSAGE) != cases[i].result)
      fail_msg("%s", cases[i].text);
  assert_int_equal(cc_usage_judge_start(cc_slice_text("{\"type\":\"x\","), CC_SUCCESS_OBJECT),
                   CC_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(follows_a_stream),     cmocka_unit_test(reads_tier_and_speed),
      cmocka_unit_test(reads_a_whole_answer), cmocka_unit_test(splits_the_cache),
      cmocka_unit_test(ignores_nonsense),     cmocka_unit_test(leaves_other_text_alone),
      cmocka_unit_test(takes_the_last),       cmocka_unit_test(judges_answers),
      cmocka_unit_test(judges_counts),        cmocka_unit_test(judges_beginnings),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
