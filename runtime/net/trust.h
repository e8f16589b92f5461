// SPDX-License-Identifier: Apache-2.0
// The proxies in front of the relay that are trusted to name the client of a connection or request
// (server.trusted_proxies).
#ifndef CC_NET_TRUST_H
#define CC_NET_TRUST_H
#include "codec/http1.h"
#include <netinet/in.h>

struct cc_range {
  uint8_t address[16]; // IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2)
  uint8_t bits;        // of address that count
};

struct cc_trust {
  struct cc_range *ranges;
  uint32_t count;
  bool local; // whoever connects to a unix socket
};

enum { CC_PEER = 48 }; // bytes of a peer's address as text, with NUL

// Reads an address, or a range in CIDR notation (RFC 4632, section 3.1).
bool cc_range_parse(struct cc_slice text, struct cc_range *out);

// Trusts these addresses, ranges and "unix" from now on, and no others. CC_EINVAL when one is malformed; then nothing
// changes. list is separated by spaces.
int cc_trust_set(struct cc_trust *trust, struct cc_slice list);

void cc_trust_free(struct cc_trust *trust);

// Writes an address of 4 or 16 bytes as text to peer (CC_PEER bytes), IPv4-mapped IPv6 as IPv4.
void cc_trust_text(const uint8_t *address, bool four, char *peer);

// Whether this address, as text, or "unix", is trusted.
bool cc_trusts(const struct cc_trust *trust, const char *peer);

// Replaces peer (CC_PEER bytes) by the client that X-Forwarded-For names, if peer is trusted: the right-most address
// that is not trusted, as each proxy appends the address that it was connected from. If all are trusted, the left-most;
// what stands left of something that is no address is not believed.
void cc_trust_client(const struct cc_trust *trust, const struct cc_http1_head *head, char *peer);
#endif
