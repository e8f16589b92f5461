// SPDX-License-Identifier: Apache-2.0
// What the two files of cc_edits share: json_edit.c makes the splices of top-level members, json_edit_nested.c
// those inside them.
#ifndef CC_CODEC_JSON_EDIT_INTERNAL_H
#define CC_CODEC_JSON_EDIT_INTERNAL_H
#include "codec/json.h"

struct cc_edit_field {
  char *name;
  size_t name_size;
  char *text; // ,"name":json or NULL to remove the field
  size_t text_size;
  size_t json_at;
  bool met; // while laying out: the text has it
};

enum { CC_EDIT_STEPS = 16 };

// A path to members that are removed. A step is a name, or an empty slice for every item of an
// array.
struct cc_edit_path {
  char *text; // what the steps point into
  size_t size;
  struct cc_slice steps[CC_EDIT_STEPS];
  uint32_t count;
};

// The members of one object while splices are laid out in their order: which comma goes with a
// removed member depends on which of its neighbours stay.
struct cc_edit_object {
  size_t first; // key of the first member
  size_t last;  // end of the last one so far; set by the caller behind each member
  bool any;
  bool kept;
};

// Reads the text once and keeps its members if they are few enough. CC_EINVAL when it is no JSON object.
int cc_edit_prepare(struct cc_edits *edits, const char *text, size_t size);

// What was asked for a top-level member, or NULL.
struct cc_edit_field *cc_edit_find(struct cc_edits *edits, struct cc_slice name);

// Whether it is valid UTF-8 of at least one byte.
bool cc_edit_is_name(struct cc_slice name);

// Adds a splice behind all others.
void cc_edit_add(struct cc_edits *edits, size_t start, size_t removed, const char *insert,
                 size_t insert_size);

// Takes the next member; to be called before anything is added for its value. end is only used if the
// member goes.
void cc_edit_member(struct cc_edits *edits, struct cc_edit_object *object, size_t key, size_t end,
                    bool gone);
// To be called after the last member.
void cc_edit_close(struct cc_edits *edits, const struct cc_edit_object *object);

// Whether cc_edits_remove_path accepts the path.
bool cc_edit_is_path(struct cc_slice path);

// Lays out what paths remove inside the value of a top-level member.
void cc_edit_nested(struct cc_edits *edits, struct cc_slice key, struct cc_slice value);
void cc_edit_free_paths(struct cc_edits *edits);
#endif
