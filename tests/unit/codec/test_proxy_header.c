// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include "base/buffer.h"
#include "codec/proxy_header.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

// A header with this many bytes behind the fixed part, which count up from 1.
static struct cc_buffer make(unsigned version_command, unsigned family, size_t length) {
  struct cc_buffer bytes = {0};
  char fixed[] = {(char)version_command, (char)family, (char)(length >> 8), (char)length};
  cc_buffer_add(&bytes, signature, 12);
  cc_buffer_add(&bytes, fixed, sizeof fixed);
  for (size_t i = 0; i < length; i++)
    cc_buffer_add(&bytes, &(char){(char)(i + 1)}, 1);
  return bytes;
}

static int read_whole(unsigned version_command, unsigned family, size_t length,
                      struct cc_proxy_header *out) {
  struct cc_buffer bytes = make(version_command, family, length);
  int result = cc_proxy_header_read(bytes.data, bytes.size, out);
  for (size_t size = 0; size < bytes.size; size++) { // no prefix says something else
    struct cc_proxy_header early;
    int part = cc_proxy_header_read(bytes.data, size, &early);
    if (part) assert_int_equal(part, result);
    if (result > 0) assert_int_equal(part, 0);
  }
  cc_buffer_free(&bytes);
  return result;
}

static void the_source_is_told(void **state) {
  (void)state;
  struct cc_proxy_header header;
  assert_int_equal(read_whole(0x21, 0x11, 12, &header), 28);
  assert_int_equal(header.family, 4);
  assert_memory_equal(header.source, "\1\2\3\4", 4);
  assert_int_equal(read_whole(0x21, 0x21, 36, &header), 52);
  assert_int_equal(header.family, 6);
  assert_memory_equal(header.source, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20", 16);
  assert_int_equal(read_whole(0x21, 0x11, 12 + 300, &header), 328); // extensions
  assert_int_equal(header.family, 4);
}

static void what_follows_is_no_part_of_it(void **state) {
  (void)state;
  struct cc_proxy_header header;
  struct cc_buffer bytes = make(0x21, 0x11, 12);
  cc_buffer_add(&bytes, "GET /", 5);
  assert_int_equal(cc_proxy_header_read(bytes.data, bytes.size, &header), 28);
  cc_buffer_free(&bytes);
}

// LOCAL, and what is valid but not supported: the receiver falls back to the connection's own address.
static void no_source(void **state) {
  (void)state;
  static const struct {
    unsigned version_command, family;
    size_t length;
  } rows[] = {{0x20, 0x00, 0},  {0x20, 0x11, 12},  {0x20, 0x11, 3},  {0x21, 0x00, 0},
              {0x21, 0x00, 99}, {0x21, 0x12, 12},  {0x21, 0x10, 12}, {0x21, 0x22, 36},
              {0x21, 0x01, 0},  {0x21, 0x31, 216}, {0x21, 0x32, 216}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct cc_proxy_header header;
    assert_int_equal(read_whole(rows[i].version_command, rows[i].family, rows[i].length, &header),
                     16 + rows[i].length);
    assert_int_equal(header.family, 0);
  }
}

static void malformed(void **state) {
  (void)state;
  static const struct {
    unsigned version_command, family;
    size_t length;
  } rows[] = {{0x11, 0x11, 12},
              {0x31, 0x11, 12},
              {0x22, 0x11, 12},
              {0x2f, 0x11, 12},
              {0x21, 0x41, 12},
              {0x21, 0xf1, 255},
              {0x21, 0x13, 12},
              {0x20, 0x41, 0},
              {0x21, 0x11, 11},
              {0x21, 0x21, 35},
              {0x21, 0x31, 215},
              {0x21, 0x12, 0},
              {0x21, 0x11, CC_PROXY_HEADER_MOST - 15}};
  struct cc_proxy_header header;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_int_equal(read_whole(rows[i].version_command, rows[i].family, rows[i].length, &header),
                     CC_EPROXY_HEADER);
  assert_int_equal(read_whole(0x21, 0x11, CC_PROXY_HEADER_MOST - 16, &header),
                   CC_PROXY_HEADER_MOST);
}

static void other_protocols(void **state) {
  (void)state;
  struct cc_proxy_header header;
  struct {
    const char *text;
    int result;
  } rows[] = {{"GET / HTTP/1.1\r\n", CC_EPROXY_HEADER},
              {"\x16\x03\x01", CC_EPROXY_HEADER},
              {"\r\n\r\nx", CC_EPROXY_HEADER},
              {"\r\n", 0},
              {"PROX", 0},
              {"PROXY", CC_EPROXY_VERSION},
              {"PROXY TCP4 1.2.3.4", CC_EPROXY_VERSION},
              {"POST /", CC_EPROXY_HEADER}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_int_equal(cc_proxy_header_read(rows[i].text, strlen(rows[i].text), &header),
                     rows[i].result);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_source_is_told), cmocka_unit_test(what_follows_is_no_part_of_it),
      cmocka_unit_test(no_source),          cmocka_unit_test(malformed),
      cmocka_unit_test(other_protocols),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
