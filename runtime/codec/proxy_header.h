// SPDX-License-Identifier: Apache-2.0
// Reads the header of the PROXY protocol, version 2, with which a load balancer names the client of a connection
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2).
#ifndef CC_CODEC_PROXY_HEADER_H
#define CC_CODEC_PROXY_HEADER_H
#include <stddef.h>
#include <stdint.h>

enum { CC_PROXY_HEADER_MOST = 4096 };

struct cc_proxy_header {
  uint8_t family;     // 4 or 6; 0: the address of the connection itself counts
  uint8_t source[16]; // in network byte order; IPv4 has 4 bytes
};

// Reads the header at the beginning of size bytes. Returns its size in bytes, 0 when more bytes are needed,
// CC_EPROXY_VERSION for version 1, or CC_EPROXY_HEADER when it is no valid header, or larger than
// CC_PROXY_HEADER_MOST; both as early as the bytes show it. family is 0 for LOCAL connections (health checks of the
// balancer) and for other transports than TCP. Extensions (TLV) are skipped.
int cc_proxy_header_read(const char *data, size_t size, struct cc_proxy_header *out);
#endif
