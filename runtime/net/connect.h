// SPDX-License-Identifier: Apache-2.0
// Connects to one of several addresses of a host as in RFC 8305 section 5 ("Happy Eyeballs"): the next address
// is tried beside one that has not answered for CC_CONNECT_DELAY_MS, at once after one that has failed, and
// the first that answers is the connection. When the process has no descriptor left for another attempt, the
// oldest one under way is closed.
#ifndef CC_NET_CONNECT_H
#define CC_NET_CONNECT_H
#include "net/resolve.h"
#include "net/stream.h"

enum { CC_CONNECT_DELAY_MS = 250 }; // RFC 8305 section 8, "Connection Attempt Delay"

struct cc_connector;

struct cc_connected {
  int error;                // CC_OK, or why no address could be reached; see cc_stream_connect
  const char *detail;       // text for the error, borrowed; "" when none
  struct cc_stream *stream; // CC_OK: connected; its owner frees it (free) in the closed event
  union cc_address address; // CC_OK: what it is connected to
};

// Begins to connect to the addresses, in their order, on a port. on_done is called once, from the loop and
// never from within this call; the connector is gone then. It has no deadline: the owner keeps one and
// calls cc_connector_close.
struct cc_connector *
cc_connector_new(uv_loop_t *loop, const struct cc_addresses *addresses, uint16_t port,
                 void (*on_done)(void *data, const struct cc_connected *result), void *data);
// Ends it; on_done is not called. Its memory is freed when the loop has closed its handles.
void cc_connector_close(struct cc_connector *connector);
#endif
