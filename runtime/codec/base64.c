// SPDX-License-Identifier: Apache-2.0
#include "codec/base64.h"
#include "api/crypto.h"
#include "api/error.h"
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { NO_DIGIT = 1 << 24 };

// The value of a byte at each place of a group of four digits; NO_DIGIT: it is none.
static uint32_t places[4][256];

__attribute__((constructor)) static void fill_places(void) {
  for (int place = 0; place < 4; place++) {
    for (int byte = 0; byte < 256; byte++)
      places[place][byte] = NO_DIGIT;
    for (uint32_t digit = 0; digit < 64; digit++)
      places[place][(uint8_t)alphabet[digit]] = digit << (18 - 6 * place);
  }
}

// Makes 24 bits of four digits; NO_DIGIT is among them when one is none.
static inline uint32_t read_group(const char *text) {
  const uint8_t *at = (const uint8_t *)text;
  return places[0][at[0]] | places[1][at[1]] | places[2][at[2]] | places[3][at[3]];
}

// Writes three bytes; the fourth is overwritten by the next group.
static inline void write_group(char *out, uint32_t bits) {
  bits <<= 8;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  bits = __builtin_bswap32(bits);
#endif
  memcpy(out, &bits, sizeof bits);
}

// Decodes the last group, which may be padded. False when it is not canonical.
static bool read_last(const char *text, size_t padding, char *out) {
  char digits[] = "AAAA";
  memcpy(digits, text, 4 - padding);
  uint32_t bits = read_group(digits);
  if (bits & (NO_DIGIT | ((1u << 8 * padding) - 1))) return false;
  for (size_t i = 0; i < 3 - padding; i++)
    out[i] = (char)(bits >> (16 - 8 * i));
  return true;
}

bool cc_base64_decode(struct cc_buffer *out, const char *text, size_t size) {
  if (size % 4) return false;
  if (!size) return true;
  size_t padding = text[size - 1] != '=' ? 0 : text[size - 2] != '=' ? 1 : 2;
  cc_buffer_reserve(out, size / 4 * 3);
  char *at = out->data + out->size;
  const char *last = text + size - 4;
  for (; text < last; text += 4, at += 3) {
    uint32_t bits = read_group(text);
    if (bits & NO_DIGIT) return false;
    write_group(at, bits);
  }
  if (!read_last(last, padding, at)) return false;
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
  if (url)
    cc_base64_encode_url(&text, data, size);
  else
    cc_base64_encode(&text, data, size);
  *out = text.data;
  *out_size = (uint32_t)text.size;
  return CC_OK;
}
