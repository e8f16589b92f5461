// SPDX-License-Identifier: Apache-2.0
// Edits JSON by splices. Which comma goes with a removed member depends on which of its neighbours stay, so the
// list keeps what was asked for each field and computes all splices when the view is needed.
#include "api/error.h"
#include "api/json.h"
#include "codec/json_edit_internal.h"
#include "codec/json_scan.h"
#include <stdlib.h>
#include <string.h>

enum { INDEX_LIMIT = 256 };

// ---- The members of the text -------------------------------------------------------------------

struct walk {
  const struct cc_edits *edits;
  struct cc_json json;
  uint32_t next;
};

static int read_member(struct cc_json *json, struct cc_edit_member *out) {
  struct cc_json_member member;
  int token = cc_json_next_member(json, &member);
  if (token != CC_JSON_KEY) return token;
  out->key = (uint32_t)(member.key.data - json->text);
  out->key_size = member.key.size;
  out->value = (uint32_t)(member.value.data - json->text);
  out->value_size = member.value.size;
  return token;
}

static void walk_start(struct walk *walk, const struct cc_edits *edits) {
  walk->edits = edits;
  walk->next = 0;
  if (edits->indexed) return;
  cc_json_init(&walk->json, edits->text, edits->size);
  cc_json_next(&walk->json);
}

static bool walk_next(struct walk *walk, struct cc_edit_member *out) {
  const struct cc_edits *edits = walk->edits;
  if (!edits->indexed) return read_member(&walk->json, out) == CC_JSON_KEY;
  if (walk->next == edits->member_count) return false;
  *out = edits->members[walk->next++];
  return true;
}

int cc_edit_prepare(struct cc_edits *edits, const char *text, size_t size) {
  if (edits->open) return CC_OK;
  struct cc_json json;
  cc_json_init(&json, text, size);
  if (cc_json_next(&json) != CC_JSON_OBJECT) return CC_EINVAL;
  uint32_t open = (uint32_t)json.at, count = 0;
  struct cc_edit_member index[INDEX_LIMIT], member;
  int token;
  while ((token = read_member(&json, &member)) == CC_JSON_KEY) {
    if (count < INDEX_LIMIT) index[count] = member;
    if (count <= INDEX_LIMIT) count++;
  }
  if (token < 0 || cc_json_next(&json) != CC_JSON_END) return CC_EINVAL;
  edits->text = text;
  edits->size = size;
  edits->open = open;
  edits->indexed = count <= INDEX_LIMIT;
  if (!edits->indexed) return CC_OK;
  edits->members = cc_alloc(count * sizeof *index);
  memcpy(edits->members, index, count * sizeof *index);
  edits->member_count = count;
  return CC_OK;
}

// ---- Laying out --------------------------------------------------------------------------------

void cc_edit_add(struct cc_edits *edits, size_t start, size_t removed, const char *insert,
                 size_t insert_size) {
  struct cc_edit *last = edits->count ? &edits->items[edits->count - 1] : NULL;
  size_t behind = last ? last->start + last->removed : 0;
  if (last && behind == start && !last->insert_size && !insert_size) {
    last->removed += removed;
    return;
  }
  size_t view = (last ? last->view + last->insert_size : 0) + (start - behind);
  if (edits->count == edits->capacity) {
    edits->capacity = edits->capacity ? edits->capacity * 2 : 8;
    edits->items = cc_realloc(edits->items, edits->capacity * sizeof *edits->items);
  }
  edits->items[edits->count++] = (struct cc_edit){start, removed, insert, insert_size, view};
}

static struct cc_edit_field *field_of(struct cc_edits *edits, struct cc_slice key) {
  for (uint32_t i = 0; i < edits->field_count; i++) {
    struct cc_edit_field *field = &edits->fields[i];
    if (cc_json_same(key, cc_slice(field->name, field->name_size))) return field;
  }
  return NULL;
}

static void replace(struct cc_edits *edits, const struct cc_edit_member *member,
                    const struct cc_edit_field *field) {
  const char *json = field->text + field->json_at;
  size_t size = field->text_size - field->json_at;
  if (size == member->value_size && memcmp(json, edits->text + member->value, size) == 0) return;
  cc_edit_add(edits, member->value, member->value_size, json, size);
}

// Members ahead of the first that stays go with the comma behind them, later ones with the comma
// before them, and if none stays they go with all the commas between them.
void cc_edit_member(struct cc_edits *edits, struct cc_edit_object *object, size_t key, size_t end,
                    bool gone) {
  if (!object->any) object->first = key;
  object->any = true;
  if (gone && object->kept) cc_edit_add(edits, object->last, end - object->last, NULL, 0);
  if (!gone && !object->kept && key > object->first)
    cc_edit_add(edits, object->first, key - object->first, NULL, 0);
  object->kept = object->kept || !gone;
}

void cc_edit_close(struct cc_edits *edits, const struct cc_edit_object *object) {
  if (object->kept || object->last == object->first) return;
  cc_edit_add(edits, object->first, object->last - object->first, NULL, 0);
}

static void lay_out_member(struct cc_edits *edits, struct cc_edit_object *object,
                           const struct cc_edit_member *member) {
  struct cc_slice key = cc_slice(edits->text + member->key, member->key_size);
  struct cc_edit_field *field = field_of(edits, key);
  bool gone = field && (!field->text || field->met);
  size_t end = (size_t)member->value + member->value_size;
  cc_edit_member(edits, object, member->key, end, gone);
  if (!field) cc_edit_nested(edits, key, cc_slice(edits->text + member->value, member->value_size));
  if (!gone && field) replace(edits, member, field);
  if (field) field->met = true;
  object->last = end;
}

static void lay_out(struct cc_edits *edits) {
  if (!edits->stale) return;
  struct walk walk;
  struct cc_edit_member member;
  struct cc_edit_object object = {.first = edits->open, .last = edits->open};
  edits->stale = false;
  edits->count = 0;
  for (uint32_t i = 0; i < edits->field_count; i++)
    edits->fields[i].met = false;
  walk_start(&walk, edits);
  while (walk_next(&walk, &member))
    lay_out_member(edits, &object, &member);
  cc_edit_close(edits, &object);
  for (uint32_t i = 0; i < edits->field_count; i++) {
    struct cc_edit_field *field = &edits->fields[i];
    if (field->met || !field->text) continue;
    cc_edit_add(edits, object.last, 0, field->text + !object.kept, field->text_size - !object.kept);
    object.kept = true;
  }
}

// ---- Asking ------------------------------------------------------------------------------------

bool cc_edit_is_name(struct cc_slice name) {
  size_t at = 0, size;
  while (at < name.size && (size = cc_utf8_size(name.data + at, name.size - at)))
    at += size;
  return name.size && at == name.size;
}

struct cc_edit_field *cc_edit_find(struct cc_edits *edits, struct cc_slice name) {
  for (uint32_t i = 0; i < edits->field_count; i++) {
    struct cc_edit_field *field = &edits->fields[i];
    if (field->name_size == name.size && !memcmp(field->name, name.data, name.size)) return field;
  }
  return NULL;
}

// The entry of a field, made when new, without its text.
static struct cc_edit_field *claim(struct cc_edits *edits, struct cc_slice name) {
  struct cc_edit_field *field = cc_edit_find(edits, name);
  if (field) {
    free(field->text);
    field->text = NULL;
    return field;
  }
  size_t size = (edits->field_count + 1) * sizeof *edits->fields;
  edits->fields = cc_realloc(edits->fields, size);
  field = &edits->fields[edits->field_count++];
  *field =
      (struct cc_edit_field){.name = cc_copy_text(name.data, name.size), .name_size = name.size};
  return field;
}

// Whether json is a value that may stand one level down.
static int check_value(struct cc_slice value) {
  struct cc_json json;
  cc_json_init(&json, value.data, value.size);
  int token;
  bool deep = false;
  while ((token = cc_json_next(&json)) > CC_JSON_END)
    deep = deep || json.depth == CC_JSON_DEPTH;
  return token == CC_JSON_END && deep ? CC_EJSON_DEPTH : token;
}

int cc_edits_set(struct cc_edits *edits, const char *text, size_t size, struct cc_slice field,
                 struct cc_slice json) {
  if (!cc_edit_is_name(field)) return CC_EINVAL;
  int status = check_value(json);
  if (status == CC_OK) status = cc_edit_prepare(edits, text, size);
  if (status < 0) return status;
  struct cc_buffer insert = {0};
  cc_buffer_add(&insert, ",", 1);
  cc_json_quote(&insert, field.data, field.size);
  cc_buffer_add(&insert, ":", 1);
  struct cc_edit_field *entry = claim(edits, field);
  entry->json_at = insert.size;
  cc_buffer_add(&insert, json.data, json.size);
  entry->text = insert.data;
  entry->text_size = insert.size;
  edits->stale = true;
  return CC_OK;
}

int cc_edits_remove(struct cc_edits *edits, const char *text, size_t size, struct cc_slice field) {
  if (!cc_edit_is_name(field)) return CC_EINVAL;
  int status = cc_edit_prepare(edits, text, size);
  if (status < 0) return status;
  claim(edits, field);
  edits->stale = true;
  return CC_OK;
}

void cc_edits_free(struct cc_edits *edits) {
  for (uint32_t i = 0; i < edits->field_count; i++) {
    free(edits->fields[i].name);
    free(edits->fields[i].text);
  }
  cc_edit_free_paths(edits);
  free(edits->fields);
  free(edits->members);
  free(edits->items);
  *edits = (struct cc_edits){0};
}

// ---- The edited view ---------------------------------------------------------------------------

size_t cc_edits_size(struct cc_edits *edits, size_t size) {
  lay_out(edits);
  if (!edits->count) return size;
  const struct cc_edit *last = &edits->items[edits->count - 1];
  return last->view + last->insert_size + (size - last->start - last->removed);
}

size_t cc_edits_changed(struct cc_edits *edits) {
  lay_out(edits);
  size_t changed = 0;
  for (uint32_t i = 0; i < edits->count; i++)
    changed += edits->items[i].removed + edits->items[i].insert_size;
  return changed;
}

// The number of edits whose place in the view is at offset or before it.
static uint32_t edits_until(const struct cc_edits *edits, size_t offset) {
  uint32_t low = 0, high = edits->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (edits->items[middle].view <= offset)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

struct cc_slice cc_edits_piece(struct cc_edits *edits, const char *text, size_t size,
                               size_t offset) {
  if (offset >= cc_edits_size(edits, size)) return cc_slice("", 0);
  uint32_t next = edits_until(edits, offset);
  size_t start = offset, end = next < edits->count ? edits->items[next].start : size;
  if (next) {
    const struct cc_edit *edit = &edits->items[next - 1];
    size_t into = offset - edit->view;
    if (into < edit->insert_size) return cc_slice(edit->insert + into, edit->insert_size - into);
    start = edit->start + edit->removed + (into - edit->insert_size);
  }
  return cc_slice(text + start, end - start);
}

void cc_edits_view(struct cc_edits *edits, const char *text, size_t size, struct cc_buffer *out) {
  size_t whole = cc_edits_size(edits, size);
  cc_buffer_reserve(out, whole + 1); // there is memory even for nothing
  for (size_t done = 0; done < whole;) {
    struct cc_slice piece = cc_edits_piece(edits, text, size, done);
    cc_buffer_add(out, piece.data, piece.size);
    done += piece.size;
  }
}

int cc_json_without(const char *text, uint32_t size, const char *path, uint32_t path_size,
                    char **out, uint32_t *out_size) {
  struct cc_edits edits = {0};
  struct cc_buffer view = {0};
  *out = NULL;
  *out_size = 0;
  if (!cc_edit_is_path(cc_slice(path, path_size))) return CC_EINVAL;
  if (cc_edits_remove_path(&edits, text, size, cc_slice(path, path_size))) return CC_EJSON;
  cc_edits_view(&edits, text, size, &view);
  cc_edits_free(&edits);
  *out = view.data;
  *out_size = (uint32_t)view.size;
  return CC_OK;
}

int cc_json_count(const char *text, uint32_t size, const char *path, uint32_t path_size) {
  struct cc_json_member member;
  struct cc_json json;
  int count = 0, token = cc_json_find(text, size, cc_slice(path, path_size), &member);
  if (token == CC_ENOTFOUND) return 0;
  if (token != CC_OK) return token;
  cc_json_init(&json, member.value.data, member.value.size);
  if (cc_json_next(&json) != CC_JSON_ARRAY) return 0;
  while ((token = cc_json_next(&json)) != CC_JSON_ARRAY_END) {
    token = cc_json_skip(&json, token);
    if (token != CC_OK) return token;
    count++;
  }
  return count;
}
