// SPDX-License-Identifier: Apache-2.0
// CDN-Loop (RFC 8586): the relay adds its name to what it sends upstream, and so knows a request that
// has come back to it. The name is random and the same in all processes of a relay, so that a chain of
// relays is no loop.
#ifndef CC_HOPS_H
#define CC_HOPS_H
#include "codec/http1.h"

// Is this the field in which relays and CDNs name themselves?
bool cc_hops_is_field(struct cc_slice name);

// Adds the line of this relay to the head of a request.
void cc_hops_add(struct cc_buffer *wire);

// Has this relay sent the request before?
bool cc_hops_seen(const struct cc_http1_head *head);
#endif
