// SPDX-License-Identifier: Apache-2.0
// JSON (RFC 8259) and TOML texts.
#ifndef CC_API_JSON_H
#define CC_API_JSON_H
#include "api/types.h"
#pragma GCC visibility push(default)

// Whether a text is one JSON value in strict UTF-8 and nothing else.
bool cc_json_valid(const char *text, uint32_t size);

// Decodes a JSON string (with its quotes) into out: returns its size, or CC_EJSON, CC_ELIMIT. A lone
// surrogate becomes U+FFFD.
int cc_json_decode(const char *text, uint32_t size, char *out, uint32_t capacity);

// A JSON object without the members at a path (see cc_attempt_remove; all of a doubled name), allocated for
// the caller; the same bytes when it has none. CC_EJSON when it is no object, CC_EINVAL for a malformed
// path.
int cc_json_without(const char *text, uint32_t size, const char *path, uint32_t path_size,
                    char **out, uint32_t *out_size);

// The number of items of the array at a dotted path of a JSON object, the last one of a doubled name: 0
// when there is no array, CC_EJSON, CC_EJSON_DEPTH or CC_EJSON_OBJECT when the text is no JSON object.
int cc_json_count(const char *text, uint32_t size, const char *path, uint32_t path_size);

// The offsets of a member in its text, and the sizes with quotes.
struct cc_json_place {
  uint32_t key;
  uint32_t key_size;
  uint32_t value;
  uint32_t value_size;
};

// Finds the member at a dotted path of a JSON object, the last one of a doubled name. CC_ENOTFOUND;
// CC_EJSON or CC_EJSON_DEPTH with value at the first byte that does not fit; CC_EJSON_OBJECT when the text
// is no JSON object.
int cc_json_place(const char *text, uint32_t size, const char *path, uint32_t path_size,
                  struct cc_json_place *out);

// Parses TOML 1.0 (https://toml.io/en/v1.0.0) into JSON in which every value has its line (0: unknown):
// {"line":n,"table":{name:value}}, {"line":n,"list":[value]} or {"line":n,"type":t,"text":"..."}, where t
// is string, integer (exact decimal), float, boolean or date. CC_EINVAL, or CC_ELIMIT for more than 65536
// values, 20000 tables, 16384 members of one table or 32 levels, with the reason as text and its *line
// (0: unknown). The text is allocated for the caller in every case.
int cc_toml(const char *text, uint32_t size, char **out, uint32_t *out_size, uint32_t *line);

#pragma GCC visibility pop
#endif
