// SPDX-License-Identifier: Apache-2.0
// Reads JSON in place (RFC 8259, strict UTF-8): tokens and spans, never a tree, never a copy.
#ifndef CC_CODEC_JSON_H
#define CC_CODEC_JSON_H
#include "base/buffer.h"

enum { CC_JSON_DEPTH = 1000 };

enum cc_json_token {
  CC_JSON_END = 0, // the value is complete and nothing but white space follows
  CC_JSON_OBJECT,  // {
  CC_JSON_OBJECT_END,
  CC_JSON_ARRAY, // [
  CC_JSON_ARRAY_END,
  CC_JSON_KEY, // the string before a colon
  CC_JSON_STRING,
  CC_JSON_NUMBER,
  CC_JSON_TRUE,
  CC_JSON_FALSE,
  CC_JSON_NULL
};

struct cc_json {
  const char *text;
  size_t size;
  size_t at;           // next byte; after an error: where it is
  struct cc_slice raw; // the token just returned, strings with their quotes
  uint32_t depth;      // containers open after it
  uint8_t state;
  uint8_t nesting[(CC_JSON_DEPTH + 8) / 8]; // a bit per level: object or array
};

void cc_json_init(struct cc_json *json, const char *text, size_t size);

// The next token (enum cc_json_token), or CC_EJSON, CC_EJSON_DEPTH.
int cc_json_next(struct cc_json *json);

// Skips the value whose first token has just been returned, with all inside. raw becomes its
// whole span. Returns CC_OK or an error.
int cc_json_skip(struct cc_json *json, int token);

// Does the raw string or key (with quotes) mean text, escapes decoded?
bool cc_json_is(struct cc_slice raw, const char *text);
bool cc_json_same(struct cc_slice raw, struct cc_slice text);

// A top-level member of an object with its spans, found by decoded name; of doubled ones the last.
struct cc_json_member {
  struct cc_slice key;   // with quotes
  struct cc_slice value;
};
// CC_OK, CC_ENOTFOUND, CC_EJSON*. path is dotted ("metadata.user_id"); only objects are entered.
int cc_json_find(const char *text, size_t size, struct cc_slice path, struct cc_json_member *out);

// Appends text as a JSON string with quotes and the escapes it needs; bytes that are not UTF-8
// become U+FFFD.
void cc_json_quote(struct cc_buffer *out, const char *text, size_t size);

// One edit of a text, and the list that makes the edited view. Positions are of the original.
struct cc_edit {
  size_t start;
  size_t removed;
  char *insert; // owned
  size_t insert_size;
};
struct cc_edits {
  struct cc_edit *items; // ordered by start, never overlapping
  uint32_t count;
};
// Adds the edit that sets the top-level member field to json (added as the last member when
// absent; all of doubled ones are replaced by one), or removes it with one comma. Doing it again
// for the same field replaces the earlier edit. CC_EJSON when json is no JSON value, CC_EINVAL
// when text is no object or field is "".
int cc_edits_set(struct cc_edits *edits, const char *text, size_t size, struct cc_slice field,
                 struct cc_slice json);
int cc_edits_remove(struct cc_edits *edits, const char *text, size_t size, struct cc_slice field);
void cc_edits_free(struct cc_edits *edits);
// The size of the edited view, the number of bytes that differ (removed + inserted), and its part
// that begins at offset: the longest piece that is contiguous in memory.
size_t cc_edits_size(const struct cc_edits *edits, size_t size);
size_t cc_edits_changed(const struct cc_edits *edits);
struct cc_slice cc_edits_piece(const struct cc_edits *edits, const char *text, size_t size,
                               size_t offset);
#endif
