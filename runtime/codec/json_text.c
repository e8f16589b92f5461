// SPDX-License-Identifier: Apache-2.0
// Decodes, compares and writes JSON strings.
#include "api/error.h"
#include "api/json.h"
#include "codec/json.h"
#include "codec/json_scan.h"
#include <limits.h>
#include <string.h>

enum { REPLACEMENT = 0xfffd };

static bool is_surrogate(uint32_t code, uint32_t first) {
  return code >= first && code < first + 0x400;
}

static uint32_t hex4(const char *at) {
  uint32_t code = 0;
  for (int i = 0; i < 4; i++) {
    uint8_t c = (uint8_t)at[i];
    code = code << 4 | (c <= '9' ? c - '0' + 0u : (c | 0x20u) - 'a' + 10u);
  }
  return code;
}

// The code point of the escape at *at (behind its backslash), which is moved behind it. A lone
// surrogate comes out as it is.
static uint32_t read_escape(const char **at, const char *end) {
  static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
  char letter = *(*at)++;
  if (letter != 'u') {
    const char *known = strchr(letters, letter);
    return (uint8_t)(known ? meanings[known - letters] : letter);
  }
  uint32_t code = hex4(*at);
  *at += 4;
  if (!is_surrogate(code, 0xd800) || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
    return code;
  uint32_t low = hex4(*at + 2);
  if (!is_surrogate(low, 0xdc00)) return code;
  *at += 6;
  return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

static size_t write_utf8(uint32_t code, char out[4]) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = size - 1; i > 0; i--) {
    out[i] = (char)(0x80 | (code & 0x3f));
    code >>= 6;
  }
  out[0] = (char)((0xf00 >> size & 0xf0) | code);
  return size;
}

// The next run of decoded bytes of [*at, end): all up to the next escape, or what that escape
// means. lone tells that it was a lone surrogate.
static struct cc_slice next_run(const char **at, const char *end, char buffer[4], bool *lone) {
  const char *start = *at;
  *lone = false;
  if (*start != '\\') {
    const char *slash = memchr(start, '\\', (size_t)(end - start));
    *at = slash ? slash : end;
    return cc_slice(start, (size_t)(*at - start));
  }
  (*at)++;
  uint32_t code = read_escape(at, end);
  *lone = is_surrogate(code, 0xd800) || is_surrogate(code, 0xdc00);
  return cc_slice(buffer, write_utf8(*lone ? REPLACEMENT : code, buffer));
}

bool cc_json_same(struct cc_slice raw, struct cc_slice text) {
  if (raw.size < 2 || raw.size - 2 < text.size) return false;
  if (!text.size) return raw.size == 2;
  const char *at = raw.data + 1, *end = raw.data + raw.size - 1;
  const char *expected = text.data, *last = text.data + text.size;
  while (at < end) {
    char buffer[4];
    bool lone;
    struct cc_slice run = next_run(&at, end, buffer, &lone);
    if (lone || run.size > (size_t)(last - expected)) return false;
    if (memcmp(run.data, expected, run.size) != 0) return false;
    expected += run.size;
  }
  return expected == last;
}

// The longest part of text, not over limit bytes, that does not end inside a character.
static size_t whole_characters(struct cc_slice text, size_t limit) {
  if (text.size <= limit) return text.size;
  while (limit && cc_utf8_tail((uint8_t)text.data[limit]))
    limit--;
  return limit;
}

size_t cc_json_text(struct cc_slice raw, char *out, size_t capacity) {
  size_t total = 0, written = 0;
  bool cut = false;
  const char *at = raw.data + 1, *end = raw.data + raw.size - 1;
  while (at < end) {
    char buffer[4];
    bool lone;
    struct cc_slice run = next_run(&at, end, buffer, &lone);
    size_t fits = cut ? 0 : whole_characters(run, capacity - written);
    if (fits) memcpy(out + written, run.data, fits);
    cut = cut || fits < run.size;
    written += fits;
    total += run.size;
  }
  return total;
}

int cc_json_decode(const char *text, uint32_t size, char *out, uint32_t capacity) {
  struct cc_json json;
  cc_json_init(&json, text, size);
  int token = cc_json_next(&json);
  if (token < 0) return token;
  if (token != CC_JSON_STRING) return CC_EINVAL;
  struct cc_slice raw = json.raw;
  token = cc_json_next(&json);
  if (token < 0) return token;
  size_t total = cc_json_text(raw, out, capacity);
  return total > capacity || total > INT_MAX ? CC_ELIMIT : (int)total;
}

static void quote_byte(struct cc_buffer *out, uint8_t byte) {
  static const char meanings[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
  const char *known = byte ? strchr(meanings, byte) : NULL;
  if (byte >= 0x80)
    cc_buffer_add_text(out, "\xef\xbf\xbd");
  else if (known)
    cc_buffer_add(out, (char[]){'\\', letters[known - meanings]}, 2);
  else
    cc_buffer_printf(out, "\\u%04x", byte);
}

void cc_json_quote(struct cc_buffer *out, const char *text, size_t size) {
  cc_buffer_reserve(out, size + 2);
  cc_buffer_add(out, "\"", 1);
  const char *at = size ? text : "", *end = at + size;
  while (at < end) {
    const char *start = at;
    size_t wide;
    at = cc_json_plain(at, end);
    while (at < end && (uint8_t)*at >= 0x80 && (wide = cc_utf8_size(at, (size_t)(end - at))))
      at += wide;
    cc_buffer_add(out, start, (size_t)(at - start));
    if (at < end && !cc_json_is_plain((uint8_t)*at)) quote_byte(out, (uint8_t)*at++);
  }
  cc_buffer_add(out, "\"", 1);
}
