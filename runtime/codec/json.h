// SPDX-License-Identifier: Apache-2.0
// Reads JSON (RFC 8259, strict UTF-8) in place: tokens and spans, no tree, no copies. Edits it by splices.
#ifndef CC_CODEC_JSON_H
#define CC_CODEC_JSON_H
#include "base/buffer.h"
#include <string.h>

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
  size_t at;           // next byte; after an error the first byte at fault
  struct cc_slice raw; // the token just returned, strings with their quotes
  uint32_t depth;      // containers open after it
  uint8_t state;
  uint8_t nesting[(CC_JSON_DEPTH + 8) / 8]; // a bit per level: object or array
};

// Starts to read a text. For 4 GiB and more the first cc_json_next fails.
void cc_json_init(struct cc_json *json, const char *text, size_t size);

// The next token (enum cc_json_token), or CC_EJSON, CC_EJSON_DEPTH. After an error or END it returns the same
// again.
int cc_json_next(struct cc_json *json);

// Skips the value whose first token has just been returned; raw becomes its span. Returns CC_OK or an error; a
// token that is an error is returned as it is.
int cc_json_skip(struct cc_json *json, int token);

// Whether a raw string or key (with quotes), decoded, equals text. A lone surrogate equals nothing. cc_json_is
// is for words: its text must not be "".
bool cc_json_same(struct cc_slice raw, struct cc_slice text);
static inline bool cc_json_is(struct cc_slice raw, const char *text) {
  bool starts = raw.size > 2 && (raw.data[1] == *text || raw.data[1] == '\\');
  return starts && cc_json_same(raw, (struct cc_slice){text, (uint32_t)strlen(text)});
}

// Decodes a raw string (with quotes, as the reader returned it) into out, as many whole characters as fit,
// without NUL. Returns the decoded size of all of it. A lone surrogate becomes U+FFFD.
size_t cc_json_text(struct cc_slice raw, char *out, size_t capacity);

// The value of a raw number that is a whole number from 0 to 2^53. False for all others.
bool cc_json_whole(struct cc_slice raw, double *out);

// A member of an object with its spans.
struct cc_json_member {
  struct cc_slice key; // with quotes
  struct cc_slice value;
};

// Within an object: the next member, with its value skipped. CC_JSON_KEY, CC_JSON_OBJECT_END, or an error.
int cc_json_next_member(struct cc_json *json, struct cc_json_member *out);

// Finds the member at a dotted path ("metadata.user_id") by decoded names; of a doubled name the last one. Only
// objects are entered. Validates the whole text. CC_OK, CC_ENOTFOUND, CC_EJSON, CC_EJSON_DEPTH.
int cc_json_find(const char *text, size_t size, struct cc_slice path, struct cc_json_member *out);

// Appends text as a JSON string, quoted and escaped. Each byte that is not UTF-8 becomes U+FFFD.
void cc_json_quote(struct cc_buffer *out, const char *text, size_t size);

// One edit of a text, and the list that makes the edited view. Positions are of the original.
struct cc_edit {
  size_t start;
  size_t removed;
  const char *insert; // borrowed from the list's fields
  size_t insert_size;
  size_t view; // where insert begins in the edited view
};

// The edit asked for one field, and the first top-level members of the text, so that later edits need not read
// it again. Private to the list.
struct cc_edit_field;
struct cc_edit_path;
struct cc_edit_member {
  uint32_t key;
  uint32_t key_size;
  uint32_t value;
  uint32_t value_size;
};

struct cc_edits {
  struct cc_edit *items; // ordered by start, never overlapping; laid out when first looked at
  uint32_t count;
  uint32_t capacity;
  struct cc_edit_field *fields;
  uint32_t field_count;
  struct cc_edit_path *paths;
  uint32_t path_count;
  struct cc_edit_member *members;
  uint32_t member_count;
  const char *text;
  size_t size;
  uint32_t open; // the byte behind the object's brace
  bool indexed;  // members are all there are
  bool stale;    // items are not what was asked for last
};

// Zeroed is an empty list. All calls for one list get the same text, which must not move.
// cc_edits_set sets the top-level member field to json: an absent one is added as the last member; of a
// doubled name the first is set and the others are removed. cc_edits_remove removes it, all of a doubled name,
// each with one comma; an absent one changes nothing. Either replaces an earlier edit of the same field. Valid
// text stays valid. CC_EJSON when json is no JSON value, CC_EJSON_DEPTH when it would be too deep inside text,
// CC_EINVAL when text is no JSON object or field is "" or not UTF-8.
int cc_edits_set(struct cc_edits *edits, const char *text, size_t size, struct cc_slice field,
                 struct cc_slice json);
int cc_edits_remove(struct cc_edits *edits, const char *text, size_t size, struct cc_slice field);

// Removes members deeper down. path is names joined by "."; "[]" behind a name stands for every item of that
// array: "output_config.task_budget", "messages[].content[].cache_control.scope". If a top-level member was
// set before, its new value is edited; one that is set later stays as it is set. CC_EINVAL also for a
// malformed path (an empty name, more than 16 steps, "[]" at its end), CC_ELIMIT for the 65th path.
int cc_edits_remove_path(struct cc_edits *edits, const char *text, size_t size,
                         struct cc_slice path);
void cc_edits_free(struct cc_edits *edits);

// The size of the edited view; the number of bytes that differ (removed and inserted); the longest piece of the
// view at offset that is contiguous in memory, empty at the end.
size_t cc_edits_size(struct cc_edits *edits, size_t size);
size_t cc_edits_changed(struct cc_edits *edits);
struct cc_slice cc_edits_piece(struct cc_edits *edits, const char *text, size_t size,
                               size_t offset);
// Appends the whole view to out.
void cc_edits_view(struct cc_edits *edits, const char *text, size_t size, struct cc_buffer *out);
#endif
