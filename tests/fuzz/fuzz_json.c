// SPDX-License-Identifier: Apache-2.0
// Compares the JSON reader with a simple recursive one, and the decoding and quoting of strings.
#include "api/error.h"
#include "api/json.h"
#include "codec/json.h"
#include "codec/json_scan.h"
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) abort();                                                                     \
  } while (0)

struct plain {
  const uint8_t *at, *end;
  int depth;
};

static bool plain_value(struct plain *plain);

static void plain_space(struct plain *plain) {
  while (plain->at < plain->end && memchr(" \t\r\n", *plain->at, 4))
    plain->at++;
}

static bool plain_take(struct plain *plain, const char *text) {
  size_t size = strlen(text);
  if ((size_t)(plain->end - plain->at) < size || memcmp(plain->at, text, size)) return false;
  plain->at += size;
  return true;
}

static bool plain_digits(struct plain *plain) {
  const uint8_t *start = plain->at;
  while (plain->at < plain->end && *plain->at >= '0' && *plain->at <= '9')
    plain->at++;
  return plain->at > start;
}

static bool plain_number(struct plain *plain) {
  plain_take(plain, "-");
  if (!plain_take(plain, "0") && !plain_digits(plain)) return false;
  if (plain_take(plain, ".") && !plain_digits(plain)) return false;
  if (!plain_take(plain, "e") && !plain_take(plain, "E")) return true;
  if (!plain_take(plain, "+")) plain_take(plain, "-");
  return plain_digits(plain);
}

// Reads one character beyond ASCII by its code point.
static bool plain_wide(struct plain *plain) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  uint8_t first = *plain->at;
  int size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc0 || first > 0xf7 || plain->end - plain->at < size) return false;
  uint32_t code = first & (0x7fu >> size);
  for (int i = 1; i < size; i++) {
    if (plain->at[i] >> 6 != 2) return false;
    code = code << 6 | (plain->at[i] & 63);
  }
  plain->at += size;
  return code >= least[size] && code < 0x110000 && code >> 11 != 0x1b;
}

static bool plain_string(struct plain *plain) {
  if (!plain_take(plain, "\"")) return false;
  while (plain->at < plain->end && *plain->at != '"') {
    if (*plain->at < 0x20) return false;
    if (*plain->at >= 0x80) {
      if (!plain_wide(plain)) return false;
    } else if (*plain->at++ == '\\') {
      if (plain->at == plain->end || !memchr("\"\\/bfnrtu", *plain->at, 9)) return false;
      if (*plain->at++ != 'u') continue;
      for (int i = 0; i < 4; i++, plain->at++)
        if (plain->at == plain->end || !memchr("0123456789abcdefABCDEF", *plain->at, 22))
          return false;
    }
  }
  return plain_take(plain, "\"");
}

static bool plain_members(struct plain *plain, bool object, const char *close) {
  plain_space(plain);
  if (plain_take(plain, close)) return true;
  do {
    plain_space(plain);
    if (object) {
      if (!plain_string(plain)) return false;
      plain_space(plain);
      if (!plain_take(plain, ":")) return false;
    }
    if (!plain_value(plain)) return false;
  } while (plain_take(plain, ","));
  return plain_take(plain, close);
}

static bool plain_value(struct plain *plain) {
  bool good;
  plain_space(plain);
  if (plain->at == plain->end) return false;
  if (*plain->at == '{' || *plain->at == '[') {
    bool object = *plain->at++ == '{';
    if (++plain->depth > CC_JSON_DEPTH) return false;
    good = plain_members(plain, object, object ? "}" : "]");
    plain->depth--;
  } else if (*plain->at == '"') {
    good = plain_string(plain);
  } else {
    good = plain_take(plain, "true") || plain_take(plain, "false") || plain_take(plain, "null") ||
           plain_number(plain);
  }
  plain_space(plain);
  return good;
}

static bool plain_valid(const uint8_t *data, size_t size) {
  struct plain plain = {data, data + size, 0};
  return plain_value(&plain) && plain.at == plain.end;
}

// The text of a string, quoted and decoded again, must be the same text and equal the string, except for
// lone surrogates.
static void check_string(struct cc_slice raw) {
  char *out = cc_alloc(raw.size), *again = cc_alloc(raw.size * 3);
  int size = cc_json_decode(raw.data, raw.size, out, raw.size);
  CHECK(size >= 0 && (uint32_t)size + 2 <= raw.size);
  struct cc_buffer quoted = {0};
  cc_json_quote(&quoted, out, (size_t)size);
  CHECK(cc_json_valid(quoted.data, (uint32_t)quoted.size));
  CHECK(cc_json_same(cc_slice(quoted.data, quoted.size), cc_slice(out, (size_t)size)));
  CHECK(cc_json_decode(quoted.data, (uint32_t)quoted.size, again, (uint32_t)quoted.size) == size);
  CHECK(memcmp(out, again, (size_t)size) == 0);
  bool lone = memmem(out, (size_t)size, "\xef\xbf\xbd", 3);
  CHECK(lone || cc_json_same(raw, cc_slice(out, (size_t)size)));
  for (size_t cut = 0; cut < (size_t)size; cut += 1 + (size_t)size / 5) {
    memset(again, 0, raw.size);
    CHECK(cc_json_text(raw, again, cut) == (size_t)size);
    CHECK(memcmp(again, out, strnlen(again, cut)) == 0 && again[cut] == 0);
  }
  cc_buffer_free(&quoted);
  free(out);
  free(again);
}

static int read_all(const char *text, size_t size) {
  struct cc_json json;
  const char *behind = text;
  int token;
  cc_json_init(&json, text, size);
  while ((token = cc_json_next(&json)) > CC_JSON_END) {
    CHECK(json.raw.data >= behind && json.raw.size > 0 && json.depth <= CC_JSON_DEPTH);
    behind = json.raw.data + json.raw.size;
    CHECK(behind <= text + json.at && json.at <= size);
    if (token == CC_JSON_KEY || token == CC_JSON_STRING) check_string(json.raw);
    double value;
    if (token == CC_JSON_NUMBER && cc_json_whole(json.raw, &value)) CHECK(value >= 0);
  }
  CHECK(json.at <= size && (token < 0 || json.at == size));
  return token;
}

// Skipping a value must end where reading it ends.
static void check_skip(const char *text, size_t size, int expected) {
  struct cc_json json;
  cc_json_init(&json, text, size);
  int status = cc_json_skip(&json, cc_json_next(&json));
  if (status == CC_OK) status = cc_json_next(&json);
  CHECK(status == expected);
}

static void check_quote(const char *text, size_t size) {
  struct cc_buffer quoted = {0};
  cc_json_quote(&quoted, text, size);
  CHECK(cc_json_valid(quoted.data, (uint32_t)quoted.size));
  check_string(cc_slice(quoted.data, quoted.size));
  cc_buffer_free(&quoted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  int token = read_all(text, size);
  CHECK((token == CC_JSON_END) == plain_valid(data, size));
  CHECK(cc_json_valid(text, (uint32_t)size) == (token == CC_JSON_END));
  check_skip(text, size, token);
  check_quote(text, size);
  struct cc_json_member member;
  int status = cc_json_find(text, size, cc_slice_text("a.b"), &member);
  CHECK((status == CC_EJSON || status == CC_EJSON_DEPTH) == (token < 0));
  if (status == CC_OK) CHECK(cc_json_valid(member.value.data, member.value.size));
  CHECK(cc_json_plain(text, text + size) == cc_json_plain_portable(text, text + size));
  return 0;
}
