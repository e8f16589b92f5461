// SPDX-License-Identifier: Apache-2.0
// The listening sockets of a process. The master binds each once, in as many copies as there are workers; a
// worker accepts on its copy.
#ifndef CC_NET_LISTENER_H
#define CC_NET_LISTENER_H
#include "api/listen.h"
#include "net/identity.h"
#include "net/inbound.h"

struct cc_listeners;

// owner is given to cc_inbound_accept. settings and limit (of open client connections; 0: none) are read at
// every accept, so they may change. At the limit further clients wait in the queue of the socket, and
// connections close after their answer: a client that waits comes before one that may return.
struct cc_listeners *cc_listeners_new(uv_loop_t *loop, struct cc_inbound_settings *settings,
                                      const uint32_t *limit, const struct cc_inbound_events *events,
                                      void *owner);

// See cc_listen, cc_listener_port and cc_accept (api/listen.h).
int cc_listeners_bind(struct cc_listeners *listeners, const struct cc_listen *spec);
uint32_t cc_listeners_port(const struct cc_listeners *listeners, int number);
int cc_listeners_accept(struct cc_listeners *listeners, int number, uint32_t copy);

// The certificate that listeners with TLS present. The listeners own it.
struct cc_identity *cc_listeners_identity(struct cc_listeners *listeners);

// In a forked child: takes the listeners over with their numbers, each with the copy of this slot (slot
// modulo copies), and closes the descriptors of the other copies in this process. from must not be used
// any more; its handles stay as they are.
void cc_listeners_inherit(struct cc_listeners *to, struct cc_listeners *from, uint32_t slot);

// Stops accepting, closes the listening descriptors of this process, and drains every connection
// (cc_inbound_drain).
void cc_listeners_drain(struct cc_listeners *listeners);

// The number of open client connections.
uint32_t cc_listeners_connections(const struct cc_listeners *listeners);

// Closes all sockets and breaks all connections; frees itself when the loop has run.
void cc_listeners_close(struct cc_listeners *listeners);
#endif
