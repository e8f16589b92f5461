// SPDX-License-Identifier: Apache-2.0
// The inner loops of the JSON reader: plain string bytes and UTF-8 characters.
#ifndef CC_CODEC_JSON_SCAN_H
#define CC_CODEC_JSON_SCAN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

// Whether it is ASCII that stands for itself inside a JSON string.
static inline bool cc_json_is_plain(uint8_t byte) {
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

// The first byte from at that is not plain, or end.
static inline const char *cc_json_plain_portable(const char *at, const char *end) {
  const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
  for (; end - at >= 8; at += 8) {
    uint64_t word;
    memcpy(&word, at, 8);
    uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
    uint64_t hits = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | (word - ones * 0x20);
    if ((hits | word) & tops) break;
  }
  while (at < end && cc_json_is_plain((uint8_t)*at))
    at++;
  return at;
}

#ifdef __SSE2__
static inline const char *cc_json_plain(const char *at, const char *end) {
  const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
  const __m128i space = _mm_set1_epi8(0x20);
  for (; end - at >= 16; at += 16) {
    __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
    // A signed comparison finds the controls and everything beyond ASCII at once.
    __m128i other = _mm_or_si128(_mm_cmplt_epi8(block, space), _mm_cmpeq_epi8(block, quote));
    unsigned hits = (unsigned)_mm_movemask_epi8(_mm_or_si128(other, _mm_cmpeq_epi8(block, slash)));
    if (hits) return at + __builtin_ctz(hits);
  }
  return cc_json_plain_portable(at, end);
}
#else
static inline const char *cc_json_plain(const char *at, const char *end) {
  return cc_json_plain_portable(at, end);
}
#endif

static inline bool cc_utf8_tail(uint8_t byte) {
  return (byte & 0xc0) == 0x80;
}

// The size of the UTF-8 character (RFC 3629) at the start of left bytes (at least one), or 0: overlong forms,
// surrogates and what is beyond U+10FFFF are no characters.
static inline size_t cc_utf8_size(const char *text, size_t left) {
  const uint8_t *at = (const uint8_t *)text;
  if (at[0] < 0x80) return 1;
  if (at[0] < 0xc2 || at[0] > 0xf4 || left < 2 || !cc_utf8_tail(at[1])) return 0;
  if (at[0] < 0xe0) return 2;
  if (left < 3 || !cc_utf8_tail(at[2])) return 0;
  if (at[0] < 0xf0) {
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f)) return 0;
    return 3;
  }
  if (left < 4 || !cc_utf8_tail(at[3])) return 0;
  if ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f)) return 0;
  return 4;
}
#endif
