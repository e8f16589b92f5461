// SPDX-License-Identifier: Apache-2.0
// Listening sockets of a process: bound once by the master, in as many copies as there are
// workers, and accepted on by whoever a copy belongs to.
#ifndef CC_NET_LISTENER_H
#define CC_NET_LISTENER_H
#include "api/listen.h"
#include "net/identity.h"
#include "net/inbound.h"

struct cc_listeners;

// owner is handed to cc_inbound_accept; settings and limit (open client connections of this
// process, 0: none) are read through the pointers at every accept, so they may change. At the limit
// further clients wait in the queue of the socket, and connections are closed after their answer
// instead of kept: a client that waits goes before one that may come back.
struct cc_listeners *cc_listeners_new(uv_loop_t *loop, struct cc_inbound_settings *settings,
                                      const uint32_t *limit, const struct cc_inbound_events *events,
                                      void *owner);

// As cc_listen, cc_listener_port and cc_accept in relay.h.
int cc_listeners_bind(struct cc_listeners *listeners, const struct cc_listen *spec);
uint32_t cc_listeners_port(const struct cc_listeners *listeners, int number);
int cc_listeners_accept(struct cc_listeners *listeners, int number, uint32_t copy);

// The certificate that listeners with TLS present. It belongs to them.
struct cc_identity *cc_listeners_identity(struct cc_listeners *listeners);

// In a forked child: takes over number by number what from holds, keeping of each listener the
// copy of this slot (slot modulo copies) and closing the other copies' descriptors in this
// process; from is not used any more (its handles stay as they are).
void cc_listeners_inherit(struct cc_listeners *to, struct cc_listeners *from, uint32_t slot);

// Stops accepting, closes all listening descriptors of this process; drains every connection
// (cc_inbound_drain).
void cc_listeners_drain(struct cc_listeners *listeners);

// Open client connections.
uint32_t cc_listeners_connections(const struct cc_listeners *listeners);

// Closes all sockets and breaks all connections; frees itself when the loop has run.
void cc_listeners_close(struct cc_listeners *listeners);
#endif
