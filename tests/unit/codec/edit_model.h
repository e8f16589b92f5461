// SPDX-License-Identifier: Apache-2.0
// Splices against the plain way: take the object apart into a list of members, edit the list, and
// compare with what the edited view comes apart into.
#ifndef TEST_EDIT_MODEL_H
#define TEST_EDIT_MODEL_H
#include "api/error.h"
#include "codec/json.h"
#include <stdlib.h>
#include <string.h>

struct model_op {
  bool remove;
  struct cc_slice field;
  struct cc_slice json;
};

struct model {
  struct cc_json_member *items;
  size_t count;
};

static bool model_read(struct model *model, struct cc_slice text) {
  struct cc_json json;
  struct cc_json_member member;
  int token;
  *model = (struct model){0};
  cc_json_init(&json, text.data, text.size);
  if (cc_json_next(&json) != CC_JSON_OBJECT) return false;
  while ((token = cc_json_next_member(&json, &member)) == CC_JSON_KEY) {
    if (model->count % 64 == 0) {
      size_t size = (model->count + 64) * sizeof member;
      model->items = cc_realloc(model->items, size);
    }
    model->items[model->count++] = member;
  }
  return token > 0 && cc_json_next(&json) == CC_JSON_END;
}

// One operation; a key that is added is quoted into memory the caller frees.
static void model_apply(struct model *model, const struct model_op *op, struct cc_buffer *key) {
  size_t kept = 0;
  bool met = op->remove;
  for (size_t i = 0; i < model->count; i++) {
    struct cc_json_member member = model->items[i];
    bool same = cc_json_same(member.key, op->field);
    if (same && met) continue;
    if (same) member.value = op->json;
    met = met || same;
    model->items[kept++] = member;
  }
  model->count = kept;
  if (met) return;
  cc_json_quote(key, op->field.data, op->field.size);
  model->items = cc_realloc(model->items, (kept + 65) * sizeof *model->items);
  model->items[model->count++] = (struct cc_json_member){cc_slice(key->data, key->size), op->json};
}

static bool model_same_slice(struct cc_slice a, struct cc_slice b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

// White space around a value that was set is part of the splice, not of the member.
static struct cc_slice model_trim(struct cc_slice value) {
  while (value.size && strchr(" \t\r\n", value.data[0]))
    value = cc_slice(value.data + 1, value.size - 1);
  while (value.size && strchr(" \t\r\n", value.data[value.size - 1]))
    value.size--;
  return value;
}

static const char *model_compare(const struct model *expected, struct cc_slice view) {
  struct model got;
  const char *fault = NULL;
  if (!model_read(&got, view)) fault = "the view is no valid object";
  if (!fault && got.count != expected->count) fault = "another number of members";
  for (size_t i = 0; !fault && i < got.count; i++) {
    if (!model_same_slice(got.items[i].key, expected->items[i].key)) fault = "another key";
    struct cc_slice value = model_trim(expected->items[i].value);
    if (!model_same_slice(got.items[i].value, value)) fault = "another value";
  }
  free(got.items);
  return fault;
}

// Puts the view together from its pieces and checks what the list says of itself.
static const char *model_view(struct cc_edits *edits, struct cc_slice text,
                              struct cc_buffer *view) {
  size_t size = cc_edits_size(edits, text.size), changed = 0, behind = 0;
  while (view->size < size) {
    struct cc_slice piece = cc_edits_piece(edits, text.data, text.size, view->size);
    if (!piece.size) return "an empty piece before the end";
    cc_buffer_add(view, piece.data, piece.size);
  }
  if (view->size != size) return "pieces beyond the size";
  if (cc_edits_piece(edits, text.data, text.size, size).size) return "a piece behind the end";
  for (uint32_t i = 0; i < edits->count; i++) {
    const struct cc_edit *edit = &edits->items[i];
    if (edit->start < behind) return "edits overlap";
    behind = edit->start + edit->removed;
    changed += edit->removed + edit->insert_size;
  }
  if (behind > text.size) return "an edit behind the end";
  if (changed != cc_edits_changed(edits)) return "another number of changed bytes";
  for (size_t offset = 0; offset < size; offset += 1 + size / 61) {
    struct cc_slice piece = cc_edits_piece(edits, text.data, text.size, offset);
    if (!piece.size || piece.size > size - offset) return "a piece of a wrong size";
    if (memcmp(piece.data, view->data + offset, piece.size)) return "a piece of other bytes";
  }
  return NULL;
}

// The last operation for a field counts, at the place of the first.
static size_t model_note(struct model_op *ops, size_t count, const struct model_op *op) {
  for (size_t i = 0; i < count; i++) {
    if (!model_same_slice(ops[i].field, op->field)) continue;
    ops[i] = *op;
    return count;
  }
  ops[count] = *op;
  return count + 1;
}

// Asks for the operations (16 at most) and returns what is wrong with the outcome, or NULL.
static const char *model_check(struct cc_slice text, const struct model_op *ops, size_t count) {
  struct model model;
  struct model_op noted[16];
  struct cc_edits edits = {0};
  struct cc_buffer view = {0}, keys[16] = {{0}};
  const char *fault = NULL;
  bool object = model_read(&model, text);
  size_t asked = 0;
  for (size_t i = 0; !fault && i < count; i++) {
    const struct model_op *op = &ops[i];
    int status = op->remove ? cc_edits_remove(&edits, text.data, text.size, op->field)
                            : cc_edits_set(&edits, text.data, text.size, op->field, op->json);
    if (status == CC_OK && !object) fault = "an edit of what is no object";
    if (status == CC_OK) asked = model_note(noted, asked, op);
    if (!fault && i % 2) fault = model_view(&edits, text, &view);
    cc_buffer_clear(&view);
  }
  for (size_t i = 0; object && i < asked; i++)
    model_apply(&model, &noted[i], &keys[i]);
  if (!fault && object) fault = model_view(&edits, text, &view);
  if (!fault && object) fault = model_compare(&model, cc_slice(view.data, view.size));
  for (size_t i = 0; i < asked; i++)
    cc_buffer_free(&keys[i]);
  cc_buffer_free(&view);
  free(model.items);
  cc_edits_free(&edits);
  return fault;
}
#endif
