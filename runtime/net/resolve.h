// SPDX-License-Identifier: Apache-2.0
// Resolves host names to addresses. Each name has at most one look-up under way, on a thread of its own, so one
// that hangs delays only those that wait for it, and they have deadlines.
#ifndef CC_NET_RESOLVE_H
#define CC_NET_RESOLVE_H
#include "api/types.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <uv.h>

enum {
  CC_ADDRESSES = 8,        // of one name; more are left out
  CC_RESOLVE_HOST = 253,   // bytes of a host name
  CC_RESOLVE_THREADS = 64, // look-ups under way; with more a name fails at once
  CC_RESOLVE_NAMES = 2048, // names remembered
  CC_RESOLVE_GOOD_MS = 30000,
  CC_RESOLVE_FAILED_MS = 2000,
  CC_RESOLVE_STALE_MS = 3600000
};

union cc_address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

struct cc_addresses {                  // in the order in which they are to be tried
  union cc_address list[CC_ADDRESSES]; // port is 0
  int count;
};

struct cc_resolver;
struct cc_lookup; // one waiter

struct cc_resolver *cc_resolver_new(uv_loop_t *loop);
// Drops waiters without a callback. Look-ups that still hang end by themselves later, without touching freed
// memory.
void cc_resolver_close(struct cc_resolver *resolver);

// Resolves host (a name or a literal, up to 253 bytes). done is called later from the loop, never from
// within, with CC_OK and at least one address, or CC_EDNS. Answers are kept for 30 s, failures for 2 s. When
// a name fails that worked before, its last good addresses (up to 1 h old) are used. Literals and
// "localhost" (::1, then 127.0.0.1; RFC 6761 section 6.3) need no look-up.
struct cc_lookup *cc_resolve(struct cc_resolver *resolver, const char *host,
                             void (*done)(void *data, int error, const struct cc_addresses *found),
                             void *data);
// Cancels it; not allowed after done.
void cc_resolve_cancel(struct cc_lookup *lookup);

// Reads a literal IPv4 or IPv6 address (the latter also in brackets); port becomes 0. False for
// anything else.
bool cc_address_parse(const char *host, union cc_address *out);
// Whether the address is loopback, private, link-local, unique-local, or unspecified (0.0.0.0 and ::, which
// reach this machine). An IPv4 address inside an IPv6 one (::ffff:0:0/96) counts as IPv4.
bool cc_address_is_private(const union cc_address *address);
void cc_address_set_port(union cc_address *address, uint16_t port);
#define CC_NO_ADDRESS ((union cc_address){.any = {.sa_family = AF_UNSPEC}})
// Whether they are the same but for the port. CC_NO_ADDRESS is not the same as any.
bool cc_address_same(const union cc_address *a, const union cc_address *b);
// Copies as many addresses as to holds, alternating IPv4 and IPv6 as long as there are both (RFC 8305 section
// 4). The order within a family, and which family comes first, stay the same.
void cc_addresses_interleave(struct cc_addresses *to, const union cc_address *from, int count);

// What a resolver needs of the system; tests replace it right after cc_resolver_new. look_up runs on a thread
// and may block; it fills in addresses and returns CC_OK, or CC_EDNS.
struct cc_resolver_system {
  int (*look_up)(const char *host, struct cc_addresses *found);
  uint64_t (*now)(const uv_loop_t *loop); // ms
};
void cc_resolver_replace(struct cc_resolver *resolver, const struct cc_resolver_system *system);
#endif
