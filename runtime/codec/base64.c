// SPDX-License-Identifier: Apache-2.0
#include "codec/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The value of a digit plus one; 0: no digit.
static const uint8_t digits[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64};

// Four digits, the last missing ones padding, to 24 bits; false when one is no digit.
static bool read_group(const char *text, size_t count, uint32_t *bits) {
  *bits = 0;
  for (size_t i = 0; i < 4; i++) {
    uint8_t digit = i < count ? digits[(uint8_t)text[i]] : 1;
    if (!digit) return false;
    *bits = *bits << 6 | (digit - 1u);
  }
  return true;
}

static void write_bytes(char *out, uint32_t bits, size_t count) {
  for (size_t i = 0; i < count; i++)
    out[i] = (char)(bits >> (16 - 8 * i));
}

bool cc_base64_decode(struct cc_buffer *out, const char *text, size_t size) {
  if (size % 4) return false;
  if (!size) return true;
  size_t padding = text[size - 1] != '=' ? 0 : text[size - 2] != '=' ? 1 : 2;
  size_t last = size - 4;
  uint32_t bits;
  cc_buffer_reserve(out, size / 4 * 3);
  char *at = out->data + out->size;
  for (size_t i = 0; i < last; i += 4, at += 3) {
    if (!read_group(text + i, 4, &bits)) return false;
    write_bytes(at, bits, 3);
  }
  if (!read_group(text + last, 4 - padding, &bits)) return false;
  if (bits & ((1u << 8 * padding) - 1)) return false;
  write_bytes(at, bits, 3 - padding);
  out->size += size / 4 * 3 - padding;
  return true;
}

void cc_base64_encode(struct cc_buffer *out, const void *data, size_t size) {
  const uint8_t *in = data;
  if (!size) return;
  cc_buffer_reserve(out, (size + 2) / 3 * 4);
  char *at = out->data + out->size;
  for (size_t i = 0; i < size; i += 3, at += 4) {
    size_t left = size - i;
    uint32_t bits = (uint32_t)in[i] << 16 | (left > 1 ? in[i + 1] : 0u) << 8;
    bits |= left > 2 ? in[i + 2] : 0u;
    at[0] = alphabet[bits >> 18];
    at[1] = alphabet[bits >> 12 & 63];
    at[2] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
    at[3] = left > 2 ? alphabet[bits & 63] : '=';
  }
  out->size += (size + 2) / 3 * 4;
}

void cc_base64_encode_url(struct cc_buffer *out, const void *data, size_t size) {
  size_t start = out->size;
  cc_base64_encode(out, data, size);
  while (out->size > start && out->data[out->size - 1] == '=')
    out->size--;
  for (size_t i = start; i < out->size; i++) {
    if (out->data[i] == '+') out->data[i] = '-';
    if (out->data[i] == '/') out->data[i] = '_';
  }
}

int cc_base64(const char *data, uint32_t size, bool url, char **out, uint32_t *out_size) {
  struct cc_buffer text = {0};
  cc_buffer_reserve(&text, 1);
  if (url) {
    cc_base64_encode_url(&text, data, size);
  } else {
    cc_base64_encode(&text, data, size);
  }
  *out = text.data;
  *out_size = (uint32_t)text.size;
  return CC_OK;
}
