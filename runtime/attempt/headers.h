// SPDX-License-Identifier: Apache-2.0
// A small list of header fields with their text.
#ifndef CC_FIELDS_H
#define CC_FIELDS_H
#include "codec/http1.h"

struct cc_field {
  uint32_t name, name_size, value, value_size; // offsets into text
};

struct cc_fields { // zeroed is empty
  struct cc_buffer text;
  struct cc_field *items;
  uint32_t count, capacity;
};

void cc_fields_add(struct cc_fields *fields, struct cc_slice name, struct cc_slice value);
// Replaces all of that name, or adds.
void cc_fields_set(struct cc_fields *fields, struct cc_slice name, struct cc_slice value);
// The index of the first of that name (any case), or -1.
int cc_fields_find(const struct cc_fields *fields, struct cc_slice name);
struct cc_slice cc_fields_name(const struct cc_fields *fields, uint32_t index);
struct cc_slice cc_fields_value(const struct cc_fields *fields, uint32_t index);
// Values may be credentials: the memory is overwritten.
void cc_fields_free(struct cc_fields *fields);

// Fields of one connection only (RFC 9110 7.6.1): hop-by-hop, and those named by Connection.
bool cc_fields_is_hop(struct cc_slice name);
// Fields that carry a credential.
bool cc_fields_is_credential(struct cc_slice name);
// A client's field that may travel upstream, where no list says which; an upstream's that may travel
// to the client.
bool cc_fields_may_go_up(struct cc_slice name);
bool cc_fields_may_go_down(struct cc_slice name);
// Is name one of those in a list, as the value of a Connection field is one?
bool cc_fields_listed(struct cc_slice list, struct cc_slice name);
#endif
