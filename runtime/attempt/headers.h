// SPDX-License-Identifier: Apache-2.0
// A list of headers that owns their text, and the rules which headers are passed on.
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
// Replaces all headers of that name (any case), or adds one.
void cc_headers_set(struct cc_headers *headers, struct cc_slice name, struct cc_slice value);
// Returns the index of the first header of that name (any case), or -1.
int cc_headers_find(const struct cc_headers *headers, struct cc_slice name);
struct cc_slice cc_headers_name(const struct cc_headers *headers, uint32_t index);
struct cc_slice cc_headers_value(const struct cc_headers *headers, uint32_t index);
// Wipes and frees the list: values may be credentials.
void cc_headers_free(struct cc_headers *headers);

// Whether a header belongs to one connection only (RFC 9110, 7.6.1). Those that a Connection header names
// do too: see cc_headers_listed.
bool cc_headers_is_hop(struct cc_slice name);
// Whether a header carries a credential.
bool cc_headers_is_credential(struct cc_slice name);
// Whether a client's header may be passed to an upstream, if the adapter gives no list of its own; and
// whether an upstream's may be passed to the client.
bool cc_headers_may_go_up(struct cc_slice name);
bool cc_headers_may_go_down(struct cc_slice name);
// Whether a name is in a list of names separated by commas or spaces, such as the value of Connection.
bool cc_headers_listed(struct cc_slice list, struct cc_slice name);
#endif
