// SPDX-License-Identifier: Apache-2.0
// Scans a request body in one pass. A place says what an open container is in the Messages API. What has no
// place (tool inputs, schemas, unknown fields) is only validated, so that words in it mean nothing.
#include "api/error.h"
#include "codec/messages.h"
#include <string.h>

enum place {
  PLACE_NONE,
  PLACE_BODY,
  PLACE_SYSTEM,
  PLACE_TOOLS,
  PLACE_ITEM,     // of system or tools: only its cache_control counts
  PLACE_CHOICE,   // tool_choice
  PLACE_THINKING, // thinking
  PLACE_MESSAGES,
  PLACE_MESSAGE,
  PLACE_BLOCKS, // content
  PLACE_BLOCK,
  PLACE_SOURCE, // source of a block
  PLACE_CACHE,  // cache_control
  PLACE_COUNT
};

// Ordered by size, as their names below.
enum key {
  KEY_OTHER,
  KEY_TYPE,
  KEY_DATA,
  KEY_MODEL,
  KEY_TOOLS,
  KEY_SCOPE,
  KEY_STREAM,
  KEY_SYSTEM,
  KEY_SOURCE,
  KEY_CONTENT,
  KEY_FILE_ID,
  KEY_MESSAGES,
  KEY_THINKING,
  KEY_SIGNATURE,
  KEY_MAX_TOKENS,
  KEY_SAFEGUARDS,
  KEY_TOOL_CHOICE,
  KEY_CACHE_CONTROL,
  KEY_COUNT
};

static const struct {
  const char *text;
  uint32_t size;
} key_names[KEY_COUNT] = {
    [KEY_TYPE] = {"type", 4},
    [KEY_DATA] = {"data", 4},
    [KEY_MODEL] = {"model", 5},
    [KEY_TOOLS] = {"tools", 5},
    [KEY_SCOPE] = {"scope", 5},
    [KEY_STREAM] = {"stream", 6},
    [KEY_SYSTEM] = {"system", 6},
    [KEY_SOURCE] = {"source", 6},
    [KEY_CONTENT] = {"content", 7},
    [KEY_FILE_ID] = {"file_id", 7},
    [KEY_MESSAGES] = {"messages", 8},
    [KEY_THINKING] = {"thinking", 8},
    [KEY_SIGNATURE] = {"signature", 9},
    [KEY_MAX_TOKENS] = {"max_tokens", 10},
    [KEY_SAFEGUARDS] = {"safeguards", 10},
    [KEY_TOOL_CHOICE] = {"tool_choice", 11},
    [KEY_CACHE_CONTROL] = {"cache_control", 13},
};

// The first key whose name is of a size, for the sizes there are.
static const uint8_t first_of_size[] = {
    [4] = KEY_TYPE,        [5] = KEY_MODEL,        [6] = KEY_STREAM,
    [7] = KEY_CONTENT,     [8] = KEY_MESSAGES,     [9] = KEY_SIGNATURE,
    [10] = KEY_MAX_TOKENS, [11] = KEY_TOOL_CHOICE, [13] = KEY_CACHE_CONTROL};

// What is known of an open block so far, in any order.
enum {
  SEEN_THINKING = 1,
  SEEN_DOCUMENT = 2,
  SEEN_IMAGE = 4,
  SEEN_SIGNED = 8,
  SEEN_PLAIN = 16, // source of type text or content
  SEEN_URL = 32,
  SEEN_OTHER = 64 // source of any other type
};

struct level {
  uint8_t place;
  uint8_t key; // the member under way, for an object
  uint8_t seen;
  uint32_t data; // bytes of the data of a block's source
};

struct scan {
  struct cc_json json;
  struct cc_scan *out;
  bool model_bad; // error_offset tells where
  bool model_met;
  struct level levels[CC_JSON_DEPTH + 1];
};

// The place of a container that opens as the value of a key, or as an item of an array (KEY_OTHER).
static const struct {
  uint8_t object, array;
} openings[PLACE_COUNT][KEY_COUNT] = {
    [PLACE_BODY] = {[KEY_SYSTEM] = {.array = PLACE_SYSTEM},
                    [KEY_TOOLS] = {.array = PLACE_TOOLS},
                    [KEY_MESSAGES] = {.array = PLACE_MESSAGES},
                    [KEY_TOOL_CHOICE] = {.object = PLACE_CHOICE},
                    [KEY_THINKING] = {.object = PLACE_THINKING},
                    [KEY_CACHE_CONTROL] = {.object = PLACE_CACHE}},
    [PLACE_SYSTEM] = {[KEY_OTHER] = {.object = PLACE_ITEM}},
    [PLACE_TOOLS] = {[KEY_OTHER] = {.object = PLACE_ITEM}},
    [PLACE_ITEM] = {[KEY_CACHE_CONTROL] = {.object = PLACE_CACHE}},
    [PLACE_MESSAGES] = {[KEY_OTHER] = {.object = PLACE_MESSAGE}},
    [PLACE_MESSAGE] = {[KEY_CONTENT] = {.object = PLACE_BLOCK, .array = PLACE_BLOCKS},
                       [KEY_CACHE_CONTROL] = {.object = PLACE_CACHE}},
    [PLACE_BLOCKS] = {[KEY_OTHER] = {.object = PLACE_BLOCK}},
    [PLACE_BLOCK] = {[KEY_CONTENT] = {.object = PLACE_BLOCK, .array = PLACE_BLOCKS},
                     [KEY_SOURCE] = {.object = PLACE_SOURCE},
                     [KEY_CACHE_CONTROL] = {.object = PLACE_CACHE}},
    [PLACE_SOURCE] = {[KEY_CONTENT] = {.object = PLACE_BLOCK, .array = PLACE_BLOCKS}},
};

static enum key key_of(struct cc_slice raw) {
  char decoded[sizeof first_of_size];
  const char *name = raw.data + 1;
  size_t size = raw.size - 2;
  if (memchr(name, '\\', size)) {
    size = cc_json_text(raw, decoded, sizeof decoded);
    name = decoded;
  }
  if (size >= sizeof first_of_size || !first_of_size[size]) return KEY_OTHER;
  for (int i = first_of_size[size]; i < KEY_COUNT && key_names[i].size == size; i++)
    if (memcmp(name, key_names[i].text, size) == 0) return (enum key)i;
  return KEY_OTHER;
}

static size_t offset_of(const struct scan *scan) {
  return (size_t)(scan->json.raw.data - scan->json.text);
}

static void bad_model(struct scan *scan) {
  if (scan->model_bad) return;
  scan->model_bad = true;
  scan->out->error_offset = (uint32_t)offset_of(scan);
}

static void read_model(struct scan *scan, int token) {
  struct cc_slice raw = scan->json.raw;
  if (token != CC_JSON_STRING || raw.size == 2 || raw.size - 2 > CC_MODEL_BYTES) {
    bad_model(scan);
    return;
  }
  scan->out->model = cc_slice(raw.data + 1, raw.size - 2);
}

// A scalar or the start of a container as the value of a key of the body.
static void body_value(struct scan *scan, uint8_t key, int token) {
  struct cc_scan *out = scan->out;
  if (key == KEY_MODEL) read_model(scan, token);
  if (key == KEY_STREAM) out->stream = token == CC_JSON_TRUE;
  if (key == KEY_SAFEGUARDS && token != CC_JSON_NULL) out->features |= CC_HAS_SAFEGUARDS;
  if (key == KEY_MAX_TOKENS) {
    out->max_tokens = 0;
    if (token == CC_JSON_NUMBER) cc_json_whole(scan->json.raw, &out->max_tokens);
  }
}

static uint8_t block_type(struct cc_slice raw) {
  if (cc_json_is(raw, "text") || cc_json_is(raw, "tool_use")) return 0;
  if (cc_json_is(raw, "thinking") || cc_json_is(raw, "redacted_thinking")) return SEEN_THINKING;
  if (cc_json_is(raw, "document")) return SEEN_DOCUMENT;
  return cc_json_is(raw, "image") ? SEEN_IMAGE : 0;
}

static uint8_t source_type(struct cc_slice raw) {
  if (cc_json_is(raw, "text") || cc_json_is(raw, "content")) return SEEN_PLAIN;
  return cc_json_is(raw, "url") ? SEEN_URL : SEEN_OTHER;
}

// The value of "type" where it matters.
static void type_value(struct scan *scan, struct level *level, int token) {
  struct cc_slice raw = token == CC_JSON_STRING ? scan->json.raw : cc_slice("\"\"", 2);
  uint32_t *features = &scan->out->features;
  bool text = raw.size > 2;
  switch (level->place) {
  case PLACE_BLOCK:
    level->seen |= block_type(raw);
    break;
  case PLACE_SOURCE:
    level[-1].seen |= source_type(raw);
    break;
  case PLACE_CHOICE:
    if (cc_json_is(raw, "any") || cc_json_is(raw, "tool")) *features |= CC_HAS_TOOL_FORCED;
    break;
  case PLACE_THINKING:
    if (text && !cc_json_is(raw, "disabled")) *features |= CC_HAS_THINKING;
    break;
  default:
    break;
  }
}

// The first file that a block names, in its source or (container_upload) itself.
static void file_value(struct scan *scan, const struct level *level, int token) {
  struct cc_slice *file = &scan->out->file, raw = scan->json.raw;
  if (level->place != PLACE_BLOCK && level->place != PLACE_SOURCE) return;
  if (file->size || token != CC_JSON_STRING || raw.size - 2 > CC_FILE_BYTES) return;
  *file = cc_slice(raw.data + 1, raw.size - 2);
}

// Takes the first token of any value in level.
static void take_value(struct scan *scan, struct level *level, int token) {
  if (level->place == PLACE_BODY) body_value(scan, level->key, token);
  if (level->place == PLACE_TOOLS) scan->out->features |= CC_HAS_TOOLS;
  switch (level->key) {
  case KEY_TYPE:
    type_value(scan, level, token);
    break;
  case KEY_CACHE_CONTROL:
    if (token != CC_JSON_NULL && openings[level->place][KEY_CACHE_CONTROL].object)
      scan->out->features |= CC_HAS_CACHE_CONTROL;
    break;
  case KEY_SCOPE:
    if (level->place == PLACE_CACHE) scan->out->features |= CC_HAS_CACHE_SCOPE;
    break;
  case KEY_FILE_ID:
    file_value(scan, level, token);
    break;
  case KEY_SIGNATURE:
  case KEY_DATA:
    if (level->place == PLACE_BLOCK && token == CC_JSON_STRING && scan->json.raw.size > 2)
      level->seen |= SEEN_SIGNED;
    if (level->place == PLACE_SOURCE && token == CC_JSON_STRING)
      level[-1].data = scan->json.raw.size - 2;
    break;
  default:
    break;
  }
}

static int take_container(struct scan *scan, int token) {
  struct level *level = &scan->levels[scan->json.depth - 1];
  take_value(scan, level, token);
  bool object = token == CC_JSON_OBJECT;
  uint8_t place =
      object ? openings[level->place][level->key].object : openings[level->place][level->key].array;
  if (place == PLACE_NONE) return cc_json_skip(&scan->json, token);
  level[1] = (struct level){.place = place};
  return CC_OK;
}

static void end_block(struct scan *scan, const struct level *block) {
  uint8_t seen = block->seen;
  struct cc_scan *out = scan->out;
  uint32_t *features = &out->features;
  if (seen & SEEN_THINKING && seen & SEEN_SIGNED) *features |= CC_HAS_SIGNATURES;
  if (seen & SEEN_IMAGE && seen & SEEN_URL) *features |= CC_HAS_IMAGE_URL;
  bool plain = seen & SEEN_PLAIN && !(seen & (SEEN_URL | SEEN_OTHER));
  if (seen & SEEN_DOCUMENT && !plain) *features |= CC_HAS_PDF;
  if (seen & SEEN_DOCUMENT && !plain) out->document_bytes += block->data;
  if (!(seen & SEEN_IMAGE) || !block->data) return;
  out->images++;
  out->image_bytes += block->data;
}

static void take_key(struct scan *scan, struct level *level) {
  level->key = (uint8_t)key_of(scan->json.raw);
  if (level->place != PLACE_BODY || level->key != KEY_MODEL) return;
  if (scan->model_met) bad_model(scan);
  scan->model_met = true;
}

static int take_token(struct scan *scan, int token) {
  struct level *level = &scan->levels[scan->json.depth];
  switch (token) {
  case CC_JSON_KEY:
    take_key(scan, level);
    return CC_OK;
  case CC_JSON_OBJECT:
  case CC_JSON_ARRAY:
    return take_container(scan, token);
  case CC_JSON_OBJECT_END:
    if (level[1].place == PLACE_BLOCK) end_block(scan, &level[1]);
    return CC_OK;
  case CC_JSON_ARRAY_END:
    return CC_OK;
  default:
    take_value(scan, level, token);
    return CC_OK;
  }
}

static int read_body(struct scan *scan) {
  struct cc_json *json = &scan->json;
  int token = cc_json_next(json);
  bool object = token == CC_JSON_OBJECT;
  scan->levels[1].place = object ? PLACE_BODY : PLACE_NONE;
  while (object && (token = cc_json_next(json)) > CC_JSON_END) {
    int status = take_token(scan, token);
    if (status < 0) return status;
  }
  if (object || token < 0) return token;
  scan->out->error_offset = (uint32_t)offset_of(scan);
  token = cc_json_skip(json, token);
  if (token == CC_OK) token = cc_json_next(json);
  return token < 0 ? token : CC_EJSON_OBJECT;
}

static int refuse(struct cc_scan *out, int error, size_t offset) {
  *out = (struct cc_scan){.error_offset = (uint32_t)offset};
  return error;
}

int cc_messages_scan(const char *body, size_t size, struct cc_scan *out) {
  struct scan scan = {.out = out};
  *out = (struct cc_scan){0};
  cc_json_init(&scan.json, body, size);
  int status = read_body(&scan);
  if (status == CC_EJSON_OBJECT) return refuse(out, status, out->error_offset);
  if (status < 0) return refuse(out, status, scan.json.at);
  if (!scan.model_met) return refuse(out, CC_EMODEL, offset_of(&scan));
  return scan.model_bad ? refuse(out, CC_EMODEL, out->error_offset) : CC_OK;
}
