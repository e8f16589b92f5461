// SPDX-License-Identifier: Apache-2.0
// A small list of header fields with their text.
#ifndef CC_HEADERS_H
#define CC_HEADERS_H
#include "codec/http1.h"

struct cc_header_span {
  uint32_t name, name_size, value, value_size; // offsets into text
};

struct cc_headers { // zeroed is empty
  struct cc_buffer text;
  struct cc_header_span *items;
  uint32_t count, capacity;
};

void cc_headers_add(struct cc_headers *headers, struct cc_slice name, struct cc_slice value);
// Replaces all of that name, or adds.
void cc_headers_set(struct cc_headers *headers, struct cc_slice name, struct cc_slice value);
// The index of the first of that name (any case), or -1.
int cc_headers_find(const struct cc_headers *headers, struct cc_slice name);
struct cc_slice cc_headers_name(const struct cc_headers *headers, uint32_t index);
struct cc_slice cc_headers_value(const struct cc_headers *headers, uint32_t index);
// Values may be credentials: the memory is overwritten.
void cc_headers_free(struct cc_headers *headers);

// Fields of one connection only (RFC 9110 7.6.1): hop-by-hop, and those named by Connection.
bool cc_headers_is_hop(struct cc_slice name);
// Fields that carry a credential.
bool cc_headers_is_credential(struct cc_slice name);
// A client's field that may travel upstream, where no list says which; an upstream's that may travel
// to the client.
bool cc_headers_may_go_up(struct cc_slice name);
bool cc_headers_may_go_down(struct cc_slice name);
// Is name one of those in a list, as the value of a Connection field is one?
bool cc_headers_listed(struct cc_slice list, struct cc_slice name);
#endif
