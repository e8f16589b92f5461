// SPDX-License-Identifier: Apache-2.0
// Credentials in an upstream's answer: found wherever pieces end, overwritten in the same length.
#include "attempt/redact.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KEY    "sk-sk-sk-secret/key"
#define HIDDEN "[redacted]*********"

static struct cc_redactor redactor;

static int setup(void **state) {
  (void)state;
  cc_redactor_add(&redactor, cc_slice_text(KEY));
  cc_redactor_add(&redactor, cc_slice_text("ollama"));
  return 0;
}

static int teardown(void **state) {
  (void)state;
  cc_redactor_free(&redactor);
  return 0;
}

static void push(struct cc_buffer *out, const char *data, size_t size) {
  struct cc_buffer copy = {0};
  struct cc_slice clean = cc_redactor_next(&redactor, cc_slice(data, size), &copy);
  cc_buffer_add(out, clean.data, clean.size);
  cc_buffer_wipe(&copy);
}

// Returns the text after redaction in pieces of a size, with what was held until the end.
static void check(const char *text, const char *expected, size_t piece) {
  struct cc_buffer out = {0};
  size_t size = strlen(text);
  for (size_t at = 0; at < size; at += piece)
    push(&out, text + at, size - at < piece ? size - at : piece);
  cc_buffer_add(&out, redactor.held.data, redactor.held.size);
  cc_buffer_clear(&redactor.held);
  assert_int_equal(strlen(expected), out.size);
  assert_memory_equal(expected, out.data, out.size);
  cc_buffer_free(&out);
}

static void test_pieces(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", ""},
      {"ollama is no secret", "ollama is no secret"},
      {KEY, HIDDEN},
      {"{\"key\":\"" KEY "\"}", "{\"key\":\"" HIDDEN "\"}"},
      {KEY KEY "sk-sk-" KEY "x" KEY, HIDDEN HIDDEN "sk-sk-" HIDDEN "x" HIDDEN},
      {"sk-sk-sk-sk-secret/key sk-sk", "sk-" HIDDEN " sk-sk"},
      {"sk-sk-sk-secret/ke", "sk-sk-sk-secret/ke"},
      {"\"sk-sk-sk-secret\\/key\"", "\"[redacted]**********\""},
      {"data: s\n\ndata: " KEY "\n\n", "data: s\n\ndata: " HIDDEN "\n\n"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (size_t piece = 1; piece <= 64; piece++)
      check(cases[i][0], cases[i][1], piece);
}

static void test_nothing_is_held_without_need(void **state) {
  (void)state;
  struct cc_buffer copy = {0};
  struct cc_slice event = cc_slice_text("data: {\"text\":\"sk-\"}\n\n");
  struct cc_slice clean = cc_redactor_next(&redactor, event, &copy);
  assert_ptr_equal(event.data, clean.data);
  assert_int_equal(event.size, clean.size);
  assert_int_equal(0, copy.capacity);
  assert_int_equal(0, redactor.held.size);
}

static void test_finds(void **state) {
  (void)state;
  assert_true(cc_redactor_finds(&redactor, cc_slice_text("Bearer " KEY)));
  assert_false(cc_redactor_finds(&redactor, cc_slice_text("Bearer ollama")));
  assert_false(cc_redactor_finds(&redactor, cc_slice("", 0)));
  struct cc_redactor none = {0};
  assert_false(cc_redactor_finds(&none, cc_slice_text(KEY)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
      cmocka_unit_test_setup_teardown(test_nothing_is_held_without_need, setup, teardown),
      cmocka_unit_test_setup_teardown(test_finds, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
