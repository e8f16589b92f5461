// SPDX-License-Identifier: Apache-2.0
// Detects loops with CDN-Loop (RFC 8586): the relay adds its name to what it sends upstream, and
// recognizes a request that has come back. The name is random and shared by all processes of a relay, so
// a chain of different relays is not a loop.
#ifndef CC_HOPS_H
#define CC_HOPS_H
#include "codec/http1.h"

// Whether a header is CDN-Loop.
bool cc_hops_is_field(struct cc_slice name);

// Appends the CDN-Loop line of this relay to the head of a request.
void cc_hops_add(struct cc_buffer *wire);

// Whether this relay has forwarded the request before.
bool cc_hops_seen(const struct cc_http1_head *head);
#endif
