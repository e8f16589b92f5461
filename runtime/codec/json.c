// SPDX-License-Identifier: Apache-2.0
// Request bodies are megabytes of history of which the relay needs a dozen words, so the reader walks the text
// once, keeps one bit for each open container, and returns spans.
#include "api/json.h"
#include "api/error.h"
#include "codec/json.h"
#include "codec/json_scan.h"
#include <stdlib.h>
#include <string.h>

enum {
  STATE_VALUE,       // a value
  STATE_FIRST_VALUE, // a value or ]
  STATE_KEY,         // a key
  STATE_FIRST_KEY,   // a key or }
  STATE_AFTER,       // a comma or the end of the container
  STATE_DONE,        // white space
  STATE_BAD,
  STATE_DEEP
};

void cc_json_init(struct cc_json *json, const char *text, size_t size) {
  *json = (struct cc_json){.text = text ? text : "", .size = text ? size : 0};
  json->raw.data = json->text;
  if (size > UINT32_MAX) json->state = STATE_BAD;
}

static int fail(struct cc_json *json, const char *where) {
  json->at = (size_t)(where - json->text);
  json->state = STATE_BAD;
  return CC_EJSON;
}

static bool in_object(const struct cc_json *json) {
  uint32_t level = json->depth - 1;
  return json->nesting[level / 8] >> level % 8 & 1;
}

static int take(struct cc_json *json, const char *end, int token) {
  const char *start = json->text + json->at;
  json->raw = cc_slice(start, (size_t)(end - start));
  json->at = (size_t)(end - json->text);
  json->state = json->depth ? STATE_AFTER : STATE_DONE;
  return token;
}

static int open_container(struct cc_json *json, bool object) {
  if (json->depth == CC_JSON_DEPTH) {
    json->state = STATE_DEEP;
    return CC_EJSON_DEPTH;
  }
  uint32_t level = json->depth++;
  uint8_t bit = (uint8_t)(1u << level % 8);
  if (object)
    json->nesting[level / 8] |= bit;
  else
    json->nesting[level / 8] &= (uint8_t)~bit;
  take(json, json->text + json->at + 1, 0);
  json->state = object ? STATE_FIRST_KEY : STATE_FIRST_VALUE;
  return object ? CC_JSON_OBJECT : CC_JSON_ARRAY;
}

static int close_container(struct cc_json *json) {
  bool object = in_object(json);
  json->depth--;
  return take(json, json->text + json->at + 1, object ? CC_JSON_OBJECT_END : CC_JSON_ARRAY_END);
}

static bool is_digit(const char *at, const char *end) {
  return at < end && *at >= '0' && *at <= '9';
}

static bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// The end of the escape whose backslash is at at; *good is false at a byte at fault.
static const char *skip_escape(const char *at, const char *end, bool *good) {
  static const uint8_t digits[256] = {['"'] = 1, ['\\'] = 1, ['/'] = 1, ['b'] = 1, ['f'] = 1,
                                      ['n'] = 1, ['r'] = 1,  ['t'] = 1, ['u'] = 5};
  *good = false;
  if (++at == end || !digits[(uint8_t)*at]) return at;
  const char *last = at + digits[(uint8_t)*at];
  while (++at < last)
    if (at == end || !is_hex(*at)) return at;
  *good = true;
  return at;
}

// The end of the characters beyond ASCII at at; *good is false at one that is no UTF-8.
static const char *skip_wide(const char *at, const char *end, bool *good) {
  while (at < end && (uint8_t)*at >= 0x80) {
    size_t size = cc_utf8_size(at, (size_t)(end - at));
    *good = size > 0;
    if (!size) return at;
    at += size;
  }
  return at;
}

static int read_string(struct cc_json *json, int token) {
  const char *end = json->text + json->size;
  const char *at = json->text + json->at + 1;
  for (bool good = true; good;) {
    at = cc_json_plain(at, end);
    if (at == end) break;
    if (*at == '"') return take(json, at + 1, token);
    if (*at == '\\')
      at = skip_escape(at, end, &good);
    else if ((uint8_t)*at >= 0x80)
      at = skip_wide(at, end, &good);
    else
      good = false;
  }
  return fail(json, at);
}

static const char *skip_digits(const char *at, const char *end) {
  while (is_digit(at, end))
    at++;
  return at;
}

static int read_number(struct cc_json *json) {
  const char *end = json->text + json->size;
  const char *at = json->text + json->at;
  if (*at == '-') at++;
  if (!is_digit(at, end)) return fail(json, at);
  at = *at == '0' ? at + 1 : skip_digits(at, end);
  if (at < end && *at == '.') {
    if (!is_digit(++at, end)) return fail(json, at);
    at = skip_digits(at, end);
  }
  if (at < end && (*at == 'e' || *at == 'E')) {
    at++;
    if (at < end && (*at == '+' || *at == '-')) at++;
    if (!is_digit(at, end)) return fail(json, at);
    at = skip_digits(at, end);
  }
  return take(json, at, CC_JSON_NUMBER);
}

static int read_word(struct cc_json *json, const char *word, int token) {
  const char *end = json->text + json->size;
  const char *at = json->text + json->at;
  while (*word && at < end && *at == *word) {
    at++;
    word++;
  }
  return *word ? fail(json, at) : take(json, at, token);
}

static int read_value(struct cc_json *json) {
  const char *at = json->text + json->at;
  switch (*at) {
  case '"':
    return read_string(json, CC_JSON_STRING);
  case '{':
    return open_container(json, true);
  case '[':
    return open_container(json, false);
  case 't':
    return read_word(json, "true", CC_JSON_TRUE);
  case 'f':
    return read_word(json, "false", CC_JSON_FALSE);
  case 'n':
    return read_word(json, "null", CC_JSON_NULL);
  default:
    return *at == '-' || is_digit(at, at + 1) ? read_number(json) : fail(json, at);
  }
}

static void skip_space(struct cc_json *json) {
  const char *at = json->text + json->at, *end = json->text + json->size;
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
    at++;
  json->at = (size_t)(at - json->text);
}

// The key and its colon, so that only a value can follow.
static int read_key(struct cc_json *json) {
  if (json->text[json->at] != '"') return fail(json, json->text + json->at);
  int token = read_string(json, CC_JSON_KEY);
  if (token < 0) return token;
  skip_space(json);
  if (json->at == json->size || json->text[json->at] != ':')
    return fail(json, json->text + json->at);
  json->at++;
  json->state = STATE_VALUE;
  return token;
}

// The end of the container, or past the comma to the next key or value.
static int read_after(struct cc_json *json) {
  bool object = in_object(json);
  char c = json->text[json->at];
  if (c == (object ? '}' : ']')) return close_container(json);
  if (c != ',') return fail(json, json->text + json->at);
  json->at++;
  skip_space(json);
  if (json->at == json->size) return fail(json, json->text + json->at);
  return object ? read_key(json) : read_value(json);
}

int cc_json_next(struct cc_json *json) {
  if (json->state == STATE_BAD) return CC_EJSON;
  if (json->state == STATE_DEEP) return CC_EJSON_DEPTH;
  skip_space(json);
  const char *at = json->text + json->at;
  if (json->at == json->size) return json->state == STATE_DONE ? CC_JSON_END : fail(json, at);
  switch (json->state) {
  case STATE_AFTER:
    return read_after(json);
  case STATE_FIRST_KEY:
    return *at == '}' ? close_container(json) : read_key(json);
  case STATE_FIRST_VALUE:
    return *at == ']' ? close_container(json) : read_value(json);
  case STATE_VALUE:
    return read_value(json);
  default:
    return fail(json, at);
  }
}

int cc_json_skip(struct cc_json *json, int token) {
  if (token < 0) return token;
  if (token != CC_JSON_OBJECT && token != CC_JSON_ARRAY) return CC_OK;
  const char *start = json->raw.data;
  uint32_t outside = json->depth - 1;
  while (json->depth > outside) {
    token = cc_json_next(json);
    if (token < 0) return token;
  }
  json->raw = cc_slice(start, (size_t)(json->text + json->at - start));
  return CC_OK;
}

int cc_json_next_member(struct cc_json *json, struct cc_json_member *out) {
  int token = cc_json_next(json);
  if (token != CC_JSON_KEY) return token;
  struct cc_slice key = json->raw;
  int status = cc_json_skip(json, cc_json_next(json));
  if (status < 0) return status;
  *out = (struct cc_json_member){key, json->raw};
  return CC_JSON_KEY;
}

static int finish(struct cc_json *json) {
  int token;
  do {
    token = cc_json_next(json);
  } while (token > CC_JSON_END);
  return token;
}

static int find_member(struct cc_slice text, struct cc_slice name, struct cc_json_member *out) {
  struct cc_json json;
  struct cc_json_member member, last = {0};
  cc_json_init(&json, text.data, text.size);
  int token = cc_json_next(&json);
  if (token != CC_JSON_OBJECT) {
    int status = token < 0 ? token : finish(&json);
    return status < 0 ? status : CC_EJSON_OBJECT;
  }
  while ((token = cc_json_next_member(&json, &member)) == CC_JSON_KEY)
    if (cc_json_same(member.key, name)) last = member;
  if (token > 0) token = finish(&json);
  if (token < 0) return token;
  if (!last.key.data) return CC_ENOTFOUND;
  *out = last;
  return CC_OK;
}

int cc_json_find(const char *text, size_t size, struct cc_slice path, struct cc_json_member *out) {
  if (size > UINT32_MAX) return CC_EJSON;
  struct cc_slice inside = cc_slice(text, size);
  for (bool top = true;; top = false) {
    const char *dot = path.size ? memchr(path.data, '.', path.size) : NULL;
    size_t length = dot ? (size_t)(dot - path.data) : path.size;
    int status = find_member(inside, cc_slice(path.data, length), out);
    if (status == CC_EJSON_OBJECT && !top) return CC_ENOTFOUND;
    if (status < 0 || !dot) return status;
    inside = out->value;
    path = cc_slice(dot + 1, path.size - length - 1);
  }
}

static uint32_t first_wrong(const char *text, uint32_t size) {
  struct cc_json json;
  cc_json_init(&json, text, size);
  finish(&json);
  return (uint32_t)json.at;
}

int cc_json_place(const char *text, uint32_t size, const char *path, uint32_t path_size,
                  struct cc_json_place *out) {
  struct cc_json_member member;
  *out = (struct cc_json_place){0};
  int status = cc_json_find(text, size, cc_slice(path, path_size), &member);
  if (status == CC_EJSON || status == CC_EJSON_DEPTH) out->value = first_wrong(text, size);
  if (status != CC_OK) return status;
  *out = (struct cc_json_place){(uint32_t)(member.key.data - text), member.key.size,
                                (uint32_t)(member.value.data - text), member.value.size};
  return CC_OK;
}

bool cc_json_valid(const char *text, uint32_t size) {
  struct cc_json json;
  cc_json_init(&json, text, size);
  return finish(&json) == CC_JSON_END;
}

// Up to 15 digits and nothing else, as nearly all are.
static bool read_digits(struct cc_slice raw, double *out) {
  uint64_t value = 0;
  if (raw.size == 0 || raw.size > 15) return false;
  for (uint32_t i = 0; i < raw.size; i++) {
    if (!is_digit(raw.data + i, raw.data + raw.size)) return false;
    value = value * 10 + (uint64_t)(raw.data[i] - '0');
  }
  *out = (double)value;
  return true;
}

bool cc_json_whole(struct cc_slice raw, double *out) {
  char copy[40];
  if (read_digits(raw, out)) return true;
  if (raw.size == 0 || raw.size >= sizeof copy) return false;
  memcpy(copy, raw.data, raw.size);
  copy[raw.size] = 0;
  char *end;
  double value = strtod(copy, &end);
  if (*end || !(value >= 0 && value <= 9007199254740992.0)) return false;
  if (value != (double)(uint64_t)value) return false;
  *out = value + 0.0;
  return true;
}
