// SPDX-License-Identifier: Apache-2.0
#include "api/crypto.h"
#include "api/error.h"
#include "api/util.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "codec/base64.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define TEXT(literal) literal, sizeof(literal) - 1

static bool decode(struct cc_buffer *out, const char *text, size_t size) {
  char *copy = malloc(size ? size : 1);
  memcpy(copy, text, size);
  bool good = cc_base64_decode(out, copy, size);
  free(copy);
  return good;
}

static void knows_the_vectors(void **state) {
  (void)state;
  static const struct {
    const char *plain;
    size_t size;
    const char *encoded;
  } cases[] = {
      {TEXT(""), ""},
      {TEXT("f"), "Zg=="},
      {TEXT("fo"), "Zm8="},
      {TEXT("foo"), "Zm9v"},
      {TEXT("foob"), "Zm9vYg=="},
      {TEXT("fooba"), "Zm9vYmE="},
      {TEXT("foobar"), "Zm9vYmFy"},
      {TEXT("\0\0\0"), "AAAA"},
      {TEXT("\xfb\xef\xbe\xff\xff\xff"), "++++////"},
      {TEXT("\xff"), "/w=="},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_buffer out = {0};
    cc_buffer_add_text(&out, "<");
    cc_base64_encode(&out, cases[i].plain, cases[i].size);
    assert_true(cc_slice_is(cc_slice(out.data + 1, out.size - 1), cases[i].encoded));
    cc_buffer_clear(&out);
    cc_buffer_add_text(&out, "<");
    assert_true(decode(&out, cases[i].encoded, strlen(cases[i].encoded)));
    assert_int_equal(out.size, cases[i].size + 1);
    assert_int_equal(out.data[0], '<');
    assert_memory_equal(out.data + 1, cases[i].plain, cases[i].size);
    cc_buffer_free(&out);
  }
}

static void goes_both_ways(void **state) {
  (void)state;
  char plain[300];
  for (size_t i = 0; i < sizeof plain; i++)
    plain[i] = (char)(i * 167 + i / 7);
  for (size_t size = 0; size <= sizeof plain; size++) {
    struct cc_buffer encoded = {0}, decoded = {0};
    cc_base64_encode(&encoded, plain, size);
    assert_int_equal(encoded.size, (size + 2) / 3 * 4);
    assert_true(decode(&decoded, encoded.data ? encoded.data : "", encoded.size));
    assert_int_equal(decoded.size, size);
    if (size) assert_memory_equal(decoded.data, plain, size);
    cc_buffer_free(&encoded);
    cc_buffer_free(&decoded);
  }
}

static void refuses_what_is_not_canonical(void **state) {
  (void)state;
  static const char *const texts[] = {
      "Z",    "Zg",       "Zg=",      "Zm9vYg",   "Zm9vYg=", "====",   "=Zg=",
      "Z===", "Zg==Zg==", "Zh==",     "Zm9=",     "Zm9v ",   "Zm9v\n", " Zm9v",
      "Zm 9", "Zm-_",     "Zm9v====", "Zm=v",     "Z=9v",    "Zm9.",   "Zm9\xc3",
      "Zg=A", "Zm9vZg=v", "Zm9vZ.==", "Zm.vZm9v",
  };
  for (size_t i = 0; i < COUNT(texts); i++) {
    struct cc_buffer out = {0};
    cc_buffer_add_text(&out, "<");
    if (decode(&out, texts[i], strlen(texts[i]))) fail_msg("accepted: %s", texts[i]);
    assert_int_equal(out.size, 1);
    cc_buffer_free(&out);
  }
  struct cc_buffer out = {0};
  assert_false(decode(&out, "Zm9\0", 4));
  cc_buffer_free(&out);
}

// Every byte in every place of a group: a digit of the alphabet or refused.
static void knows_every_byte(void **state) {
  (void)state;
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int byte = 0; byte < 256; byte++)
    for (size_t place = 0; place < 4; place++) {
      char text[] = "AAAAAAAA";
      struct cc_buffer out = {0};
      text[place] = (char)byte;
      bool digit = byte && strchr(alphabet, byte);
      assert_int_equal(decode(&out, text, 8), digit);
      cc_buffer_free(&out);
    }
}

// A byte that is no digit, anywhere in a long text, is found, and nothing is appended then.
static void looks_at_every_place(void **state) {
  (void)state;
  static const char bad[] = "=-_ \n.\x80\xff";
  char text[64];
  for (size_t place = 0; place < sizeof text; place++)
    for (size_t i = 0; i < sizeof bad; i++) {
      struct cc_buffer out = {0};
      memset(text, 'Z', sizeof text);
      text[place] = bad[i];
      if (place == sizeof text - 1 && bad[i] == '=') text[place - 1] = 'Y';
      bool good = decode(&out, text, sizeof text);
      assert_int_equal(good, place == sizeof text - 1 && bad[i] == '=');
      assert_int_equal(out.size, good ? sizeof text / 4 * 3 - 1 : 0);
      cc_buffer_free(&out);
    }
}

// What lies before and behind in the buffer stays, to the byte, when there is room for no more.
static void writes_no_further(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *plain;
  } cases[] = {
      {"Zm9vYmFyYmF6", "foobarbaz"}, {"Zm9vYmFyYmE=", "foobarba"}, {"Zm9vYmFyYg==", "foobarb"}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_buffer out = {.data = malloc(5 + 9), .size = 5, .capacity = 5 + 9};
    memcpy(out.data, "<sse>", 5);
    assert_true(decode(&out, cases[i].text, 12));
    assert_int_equal(out.capacity, 14);
    assert_int_equal(out.size, 5 + strlen(cases[i].plain));
    assert_memory_equal(out.data, "<sse>", 5);
    assert_memory_equal(out.data + 5, cases[i].plain, strlen(cases[i].plain));
    cc_buffer_free(&out);
  }
}

static void border(const char *data, uint32_t size, bool url, const char *expected) {
  char *out = NULL;
  uint32_t got = 0;
  assert_int_equal(cc_base64(data, size, url, &out, &got), CC_OK);
  assert_non_null(out);
  assert_int_equal(got, strlen(expected));
  assert_memory_equal(out, expected, got);
  cc_free(out);
}

static void knows_the_alphabet_of_urls(void **state) {
  (void)state;
  border(TEXT(""), true, "");
  border(TEXT(""), false, "");
  border(TEXT("f"), true, "Zg");
  border(TEXT("f"), false, "Zg==");
  border(TEXT("fo"), true, "Zm8");
  border(TEXT("foo"), true, "Zm9v");
  border(TEXT("\xfb\xef\xbe\xff\xff\xff"), true, "----____");
  border(TEXT("\xfb\xef\xbe\xff\xff\xff"), false, "++++////");
  struct cc_buffer out = {0};
  cc_buffer_add_text(&out, "+/=");
  cc_base64_encode_url(&out, "", 0);
  cc_base64_encode_url(&out, "\xff", 1);
  assert_int_equal(out.size, 5);
  assert_memory_equal(out.data, "+/=_w", 5);
  cc_buffer_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(knows_the_vectors),
      cmocka_unit_test(goes_both_ways),
      cmocka_unit_test(refuses_what_is_not_canonical),
      cmocka_unit_test(knows_every_byte),
      cmocka_unit_test(looks_at_every_place),
      cmocka_unit_test(writes_no_further),
      cmocka_unit_test(knows_the_alphabet_of_urls),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
