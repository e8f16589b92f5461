// SPDX-License-Identifier: Apache-2.0
#include "base/buffer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_bytes(const struct cc_buffer *buffer, const char *expected) {
  assert_int_equal(buffer->size, strlen(expected));
  assert_memory_equal(buffer->data, expected, buffer->size);
}

static void memory_is_zeroed_and_there(void **state) {
  (void)state;
  char *memory = cc_alloc(100);
  for (int i = 0; i < 100; i++)
    assert_int_equal(memory[i], 0);
  memory = cc_realloc(memory, 200);
  memory[199] = 1;
  free(memory);
  memory = cc_alloc(0);
  assert_non_null(memory);
  free(memory);
}

static void a_copied_text_ends_with_nul(void **state) {
  (void)state;
  char *copy = cc_copy_text("abcdef", 3);
  assert_string_equal(copy, "abc");
  free(copy);
  copy = cc_copy_text(NULL, 0);
  assert_string_equal(copy, "");
  free(copy);
}

static void a_buffer_takes_bytes(void **state) {
  (void)state;
  struct cc_buffer buffer = {0};
  cc_buffer_add(&buffer, NULL, 0);
  assert_null(buffer.data);
  cc_buffer_add(&buffer, "ab", 2);
  cc_buffer_add_text(&buffer, "cd");
  assert_bytes(&buffer, "abcd");
  cc_buffer_clear(&buffer);
  assert_int_equal(buffer.size, 0);
  assert_non_null(buffer.data);
  cc_buffer_free(&buffer);
  assert_null(buffer.data);
  assert_int_equal(buffer.capacity, 0);
}

static void a_buffer_grows(void **state) {
  (void)state;
  struct cc_buffer buffer = {0};
  for (int i = 0; i < 10000; i++) {
    char byte = (char)(i % 251);
    cc_buffer_add(&buffer, &byte, 1);
  }
  assert_int_equal(buffer.size, 10000);
  assert_true(buffer.capacity >= 10000 && buffer.capacity < 40000);
  for (int i = 0; i < 10000; i++)
    assert_int_equal((unsigned char)buffer.data[i], i % 251);
  char *before = buffer.data;
  cc_buffer_reserve(&buffer, buffer.capacity - buffer.size);
  assert_ptr_equal(buffer.data, before);
  cc_buffer_wipe(&buffer);
  assert_null(buffer.data);
}

static void a_number_is_its_digits(void **state) {
  (void)state;
  struct cc_buffer buffer = {0};
  cc_buffer_add_number(&buffer, 0);
  cc_buffer_add_text(&buffer, " ");
  cc_buffer_add_number(&buffer, 1050);
  cc_buffer_add_text(&buffer, " ");
  cc_buffer_add_number(&buffer, UINT64_MAX);
  assert_bytes(&buffer, "0 1050 18446744073709551615");
  cc_buffer_free(&buffer);
}

static void print_adds_text_of_any_size(void **state) {
  (void)state;
  struct cc_buffer buffer = {0};
  char longer[2001];
  memset(longer, 'x', 2000);
  longer[2000] = 0;
  cc_buffer_printf(&buffer, "%s", "");
  cc_buffer_printf(&buffer, "%d-%s;", 7, "seven");
  assert_bytes(&buffer, "7-seven;");
  for (int size = 505; size < 520; size++) {
    cc_buffer_clear(&buffer);
    cc_buffer_printf(&buffer, "%.*s", size, longer);
    assert_int_equal(buffer.size, size);
  }
  cc_buffer_clear(&buffer);
  cc_buffer_printf(&buffer, "a%sb", longer);
  assert_int_equal(buffer.size, 2002);
  assert_memory_equal(buffer.data + 2000, "xb", 2);
  cc_buffer_free(&buffer);
}

static void drop_takes_from_the_front(void **state) {
  (void)state;
  struct cc_buffer buffer = {0};
  cc_buffer_add_text(&buffer, "abcdef");
  cc_buffer_drop(&buffer, 0);
  assert_bytes(&buffer, "abcdef");
  cc_buffer_drop(&buffer, 2);
  assert_bytes(&buffer, "cdef");
  cc_buffer_drop(&buffer, 9);
  assert_int_equal(buffer.size, 0);
  cc_buffer_free(&buffer);
}

static void wiping_overwrites(void **state) {
  (void)state;
  char secret[] = "secret";
  cc_wipe(secret, sizeof secret);
  for (size_t i = 0; i < sizeof secret; i++)
    assert_int_equal(secret[i], 0);
  cc_wipe(NULL, 5);
}

static void slices_compare(void **state) {
  (void)state;
  struct cc_slice slice = cc_slice("Host: x", 4);
  assert_true(cc_slice_is(slice, "Host"));
  assert_false(cc_slice_is(slice, "host"));
  assert_false(cc_slice_is(slice, "Hos"));
  assert_false(cc_slice_is(slice, "Host:"));
  assert_true(cc_slice_is_nocase(slice, "hOST"));
  assert_false(cc_slice_is_nocase(slice, "hOS"));
  assert_true(cc_slice_same_nocase(cc_slice(NULL, 0), cc_slice_text("")));
  assert_false(cc_slice_same_nocase(slice, cc_slice_text("most")));
  assert_true(cc_slice_is(cc_slice("", 0), ""));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_is_zeroed_and_there),  cmocka_unit_test(a_copied_text_ends_with_nul),
      cmocka_unit_test(a_buffer_takes_bytes),        cmocka_unit_test(a_buffer_grows),
      cmocka_unit_test(print_adds_text_of_any_size), cmocka_unit_test(drop_takes_from_the_front),
      cmocka_unit_test(wiping_overwrites),           cmocka_unit_test(slices_compare),
      cmocka_unit_test(a_number_is_its_digits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
