// SPDX-License-Identifier: Apache-2.0
// Removes members deep inside a text, by paths. All paths are followed in one pass over the members they begin
// with, so that neighbours that are both removed take the right commas with them.
#include "api/error.h"
#include "codec/json_edit_internal.h"
#include <stdlib.h>
#include <string.h>

enum { PATH_LIMIT = 64 }; // a bit each

static bool split(struct cc_slice path, struct cc_edit_path *out) {
  const char *at = path.data, *end = at + path.size, *stop;
  do {
    stop = path.size ? memchr(at, '.', (size_t)(end - at)) : NULL;
    if (!stop) stop = end;
    size_t size = (size_t)(stop - at);
    uint32_t items = 0;
    for (; size >= 2 && memcmp(at + size - 2, "[]", 2) == 0; size -= 2)
      items++;
    if (!cc_edit_is_name(cc_slice(at, size))) return false;
    if (out->count + 1 + items > CC_EDIT_STEPS) return false;
    out->steps[out->count++] = cc_slice(at, size);
    for (; items; items--)
      out->steps[out->count++] = cc_slice("", 0);
    at = stop + 1;
  } while (stop < end);
  return out->steps[out->count - 1].size > 0;
}

bool cc_edit_is_path(struct cc_slice path) {
  struct cc_edit_path steps = {0};
  return split(path, &steps);
}

// Of the paths in mask those whose step at depth is key, or "every item" for an empty key: the ones
// that go on from there, and in *ends the ones that end there.
static uint64_t follow(const struct cc_edits *edits, uint64_t mask, uint32_t depth,
                       struct cc_slice key, uint64_t *ends) {
  uint64_t on = 0;
  for (uint32_t i = 0; i < edits->path_count; i++) {
    const struct cc_edit_path *path = &edits->paths[i];
    uint64_t bit = (uint64_t)1 << i;
    if (!(mask & bit)) continue;
    struct cc_slice step = path->steps[depth];
    bool same = key.size && step.size ? cc_json_same(key, step) : key.size == step.size;
    if (!same) continue;
    if (depth + 1 == path->count)
      *ends |= bit;
    else
      on |= bit;
  }
  return on;
}

static size_t end_of(const struct cc_edits *edits, const struct cc_json *json) {
  return (size_t)(json->raw.data - edits->text) + json->raw.size;
}

static void lay_out_value(struct cc_edits *edits, struct cc_json *json, int token, uint32_t depth,
                          uint64_t mask);

static void lay_out_object(struct cc_edits *edits, struct cc_json *json, uint32_t depth,
                           uint64_t mask) {
  struct cc_edit_object object = {0};
  while (cc_json_next(json) == CC_JSON_KEY) {
    size_t key = (size_t)(json->raw.data - edits->text);
    uint64_t ends = 0, on = follow(edits, mask, depth, json->raw, &ends);
    int token = cc_json_next(json);
    if (ends) cc_json_skip(json, token);
    cc_edit_member(edits, &object, key, end_of(edits, json), ends != 0);
    if (!ends) lay_out_value(edits, json, token, depth + 1, on);
    object.last = end_of(edits, json);
  }
  cc_edit_close(edits, &object);
}

static void lay_out_array(struct cc_edits *edits, struct cc_json *json, uint32_t depth,
                          uint64_t mask) {
  uint64_t none = 0, on = follow(edits, mask, depth, cc_slice("", 0), &none);
  int token;
  while ((token = cc_json_next(json)) > CC_JSON_END && token != CC_JSON_ARRAY_END)
    lay_out_value(edits, json, token, depth + 1, on);
}

// The value whose first token was returned, to which the paths of mask lead by their first depth
// steps. The recursion ends with the steps.
static void lay_out_value(struct cc_edits *edits, struct cc_json *json, int token, uint32_t depth,
                          uint64_t mask) {
  if (mask && token == CC_JSON_OBJECT)
    lay_out_object(edits, json, depth, mask);
  else if (mask && token == CC_JSON_ARRAY)
    lay_out_array(edits, json, depth, mask);
  else
    cc_json_skip(json, token);
}

void cc_edit_nested(struct cc_edits *edits, struct cc_slice key, struct cc_slice value) {
  uint64_t ends = 0, on = follow(edits, UINT64_MAX, 0, key, &ends);
  if (!on) return;
  struct cc_json json;
  cc_json_init(&json, value.data, value.size);
  lay_out_value(edits, &json, cc_json_next(&json), 1, on);
}

// A member that was set is edited in what it was set to.
static int remove_inside(struct cc_edit_field *field, struct cc_slice path) {
  struct cc_buffer object = {0}, view = {0};
  struct cc_edits edits = {0};
  cc_buffer_add(&object, "{", 1);
  cc_buffer_add(&object, field->text + 1, field->text_size - 1);
  cc_buffer_add(&object, "}", 1);
  int status = cc_edits_remove_path(&edits, object.data, object.size, path);
  if (status == CC_OK) {
    cc_edits_view(&edits, object.data, object.size, &view);
    free(field->text);
    field->text = view.data;
    field->text_size = view.size - 1;
    field->text[0] = ',';
  }
  cc_edits_free(&edits);
  cc_buffer_free(&object);
  return status;
}

static bool has_path(const struct cc_edits *edits, struct cc_slice path) {
  for (uint32_t i = 0; i < edits->path_count; i++) {
    const struct cc_edit_path *known = &edits->paths[i];
    if (known->size == path.size && memcmp(known->text, path.data, path.size) == 0) return true;
  }
  return false;
}

static int add_path(struct cc_edits *edits, struct cc_slice path) {
  if (has_path(edits, path)) return CC_OK;
  if (edits->path_count == PATH_LIMIT) return CC_ELIMIT;
  edits->paths = cc_realloc(edits->paths, (edits->path_count + 1) * sizeof *edits->paths);
  struct cc_edit_path *added = &edits->paths[edits->path_count++];
  *added = (struct cc_edit_path){.text = cc_copy_text(path.data, path.size), .size = path.size};
  split(cc_slice(added->text, added->size), added);
  edits->stale = true;
  return CC_OK;
}

int cc_edits_remove_path(struct cc_edits *edits, const char *text, size_t size,
                         struct cc_slice path) {
  struct cc_edit_path steps = {0};
  if (!split(path, &steps)) return CC_EINVAL;
  if (steps.count == 1) return cc_edits_remove(edits, text, size, path);
  int status = cc_edit_prepare(edits, text, size);
  if (status < 0) return status;
  struct cc_edit_field *field = cc_edit_find(edits, steps.steps[0]);
  if (!field) return add_path(edits, path);
  edits->stale = true;
  return field->text ? remove_inside(field, path) : CC_OK;
}

void cc_edit_free_paths(struct cc_edits *edits) {
  for (uint32_t i = 0; i < edits->path_count; i++)
    free(edits->paths[i].text);
  free(edits->paths);
}
