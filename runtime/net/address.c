// SPDX-License-Identifier: Apache-2.0
#include "net/resolve.h"
#include <arpa/inet.h>
#include <string.h>

static bool parse_v6(const char *text, union cc_address *out) {
  *out = (union cc_address){.v6 = {.sin6_family = AF_INET6}};
  return inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1;
}

static bool parse_bracketed(const char *host, size_t size, union cc_address *out) {
  char inner[INET6_ADDRSTRLEN];
  if (size < 2 || size - 2 >= sizeof inner || host[size - 1] != ']') return false;
  memcpy(inner, host + 1, size - 2);
  inner[size - 2] = 0;
  return parse_v6(inner, out);
}

bool cc_address_parse(const char *host, union cc_address *out) {
  if (host[0] == '[') return parse_bracketed(host, strlen(host), out);
  *out = (union cc_address){.v4 = {.sin_family = AF_INET}};
  if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) return true;
  return parse_v6(host, out);
}

void cc_address_set_port(union cc_address *address, uint16_t port) {
  if (address->any.sa_family == AF_INET6)
    address->v6.sin6_port = htons(port);
  else
    address->v4.sin_port = htons(port);
}

bool cc_address_same(const union cc_address *a, const union cc_address *b) {
  if (a->any.sa_family != b->any.sa_family) return false;
  if (a->any.sa_family == AF_INET) return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
  return a->any.sa_family == AF_INET6 && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
         IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
}

// Moves *at to the next address that is, or is not, of the family. False when there is none.
static bool find_family(const union cc_address *from, int count, int family, bool same, int *at) {
  while (*at < count && (from[*at].any.sa_family == family) != same)
    ++*at;
  return *at < count;
}

void cc_addresses_interleave(struct cc_addresses *to, const union cc_address *from, int count) {
  int next[2] = {0, 0}; // of the first one's family, of the other
  to->count = 0;
  for (int turn = 0; to->count < CC_ADDRESSES; turn = !turn) {
    int family = from[0].any.sa_family;
    if (!find_family(from, count, family, !turn, &next[turn])) turn = !turn;
    if (!find_family(from, count, family, !turn, &next[turn])) break;
    to->list[to->count++] = from[next[turn]++];
  }
}

struct range {
  uint32_t first;
  uint32_t mask;
};

static bool private_v4(uint32_t address) {
  static const struct range ranges[] = {
      {0x7f000000, 0xff000000}, // 127.0.0.0/8
      {0x0a000000, 0xff000000}, // 10.0.0.0/8
      {0xac100000, 0xfff00000}, // 172.16.0.0/12
      {0xc0a80000, 0xffff0000}, // 192.168.0.0/16
      {0xa9fe0000, 0xffff0000}, // 169.254.0.0/16
      {0x00000000, 0xffffffff}, // 0.0.0.0
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    if ((address & ranges[i].mask) == ranges[i].first) return true;
  return false;
}

static bool private_v6(const struct in6_addr *address) {
  if (IN6_IS_ADDR_V4MAPPED(address)) {
    uint32_t inner;
    memcpy(&inner, &address->s6_addr[12], sizeof inner);
    return private_v4(ntohl(inner));
  }
  return IN6_IS_ADDR_LOOPBACK(address) || IN6_IS_ADDR_UNSPECIFIED(address) ||
         IN6_IS_ADDR_LINKLOCAL(address) || (address->s6_addr[0] & 0xfe) == 0xfc;
}

bool cc_address_is_private(const union cc_address *address) {
  if (address->any.sa_family == AF_INET) return private_v4(ntohl(address->v4.sin_addr.s_addr));
  return address->any.sa_family == AF_INET6 && private_v6(&address->v6.sin6_addr);
}
