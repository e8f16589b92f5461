// SPDX-License-Identifier: Apache-2.0
#include "net/trust.h"
#include "api/error.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { MAPPED = 96, WHOLE = 128, MOST_HOPS = 32 };

static const char name[] = "x-forwarded-for";

// ---- Addresses ---------------------------------------------------------------------------------

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

void cc_trust_text(const uint8_t *address, bool four, char *peer) {
  bool inside = !four && memcmp(address, mapped, sizeof mapped) == 0;
  inet_ntop(four || inside ? AF_INET : AF_INET6, inside ? address + sizeof mapped : address, peer,
            CC_PEER);
}

static bool parse_address(struct cc_slice text, uint8_t *out, bool *four) {
  char copy[INET6_ADDRSTRLEN];
  if (!text.size || text.size >= sizeof copy || memchr(text.data, 0, text.size)) return false;
  memcpy(copy, text.data, text.size);
  copy[text.size] = 0;
  *four = inet_pton(AF_INET, copy, out + sizeof mapped) == 1;
  if (*four) memcpy(out, mapped, sizeof mapped);
  return *four || inet_pton(AF_INET6, copy, out) == 1;
}

static int parse_bits(struct cc_slice digits) {
  int value = 0;
  if (!digits.size || digits.size > 3 || (digits.size > 1 && *digits.data == '0')) return -1;
  for (size_t i = 0; i < digits.size; i++) {
    if (digits.data[i] < '0' || digits.data[i] > '9') return -1;
    value = value * 10 + digits.data[i] - '0';
  }
  return value;
}

bool cc_range_parse(struct cc_slice text, struct cc_range *out) {
  const char *slash = text.size ? memchr(text.data, '/', text.size) : NULL;
  size_t size = slash ? (size_t)(slash - text.data) : text.size;
  bool four;
  if (!parse_address(cc_slice(text.data, size), out->address, &four)) return false;
  int most = four ? WHOLE - MAPPED : WHOLE;
  int bits = slash ? parse_bits(cc_slice(slash + 1, text.size - size - 1)) : most;
  if (bits < 0 || bits > most) return false;
  out->bits = (uint8_t)(four ? bits + MAPPED : bits);
  return true;
}

static bool is_within(const uint8_t *address, const struct cc_range *range) {
  unsigned whole = range->bits / 8u, rest = range->bits % 8u;
  if (memcmp(address, range->address, whole) != 0) return false;
  return !rest || (address[whole] ^ range->address[whole]) >> (8 - rest) == 0;
}

static bool trusts_address(const struct cc_trust *trust, const uint8_t *address) {
  for (uint32_t i = 0; i < trust->count; i++)
    if (is_within(address, &trust->ranges[i])) return true;
  return false;
}

bool cc_trusts(const struct cc_trust *trust, const char *peer) {
  uint8_t address[16];
  bool four;
  if (strcmp(peer, "unix") == 0) return trust->local;
  return trust->count && parse_address(cc_slice_text(peer), address, &four) &&
         trusts_address(trust, address);
}

// ---- The list ----------------------------------------------------------------------------------

static bool add(struct cc_trust *trust, struct cc_slice text) {
  if (text.size == 4 && memcmp(text.data, "unix", 4) == 0) {
    trust->local = true;
    return true;
  }
  size_t size = (trust->count + 1) * sizeof *trust->ranges;
  trust->ranges = cc_realloc(trust->ranges, size);
  return cc_range_parse(text, &trust->ranges[trust->count++]);
}

int cc_trust_set(struct cc_trust *trust, struct cc_slice list) {
  struct cc_trust made = {0};
  while (list.size) {
    const char *space = memchr(list.data, ' ', list.size);
    size_t size = space ? (size_t)(space - list.data) : list.size;
    if (!add(&made, cc_slice(list.data, size))) {
      cc_trust_free(&made);
      return CC_EINVAL;
    }
    if (space) size++;
    list = cc_slice(list.data + size, list.size - size);
  }
  cc_trust_free(trust);
  *trust = made;
  return CC_OK;
}

void cc_trust_free(struct cc_trust *trust) {
  free(trust->ranges);
  *trust = (struct cc_trust){0};
}

// ---- X-Forwarded-For ---------------------------------------------------------------------------

static struct cc_slice trimmed(const char *from, const char *to) {
  while (from < to && (*from == ' ' || *from == '\t'))
    from++;
  while (from < to && (to[-1] == ' ' || to[-1] == '\t'))
    to--;
  return cc_slice(from, (size_t)(to - from));
}

// Some proxies add the port: "192.0.2.1:80", "[2001:db8::1]:80".
static struct cc_slice without_port(struct cc_slice text) {
  const char *end = text.data + text.size;
  if (text.size && *text.data == '[') {
    const char *close = memchr(text.data, ']', text.size);
    return close ? cc_slice(text.data + 1, (size_t)(close - text.data - 1)) : text;
  }
  const char *colon = text.size ? memchr(text.data, ':', text.size) : NULL;
  if (!colon || memchr(colon + 1, ':', (size_t)(end - colon - 1))) return text;
  return cc_slice(text.data, (size_t)(colon - text.data));
}

// Goes through one header from the right. Whether to go on with the one before.
static bool walk(const struct cc_trust *trust, struct cc_slice value, int *hops, char *peer) {
  const char *end = value.data + value.size;
  for (;;) {
    uint8_t address[16];
    bool four;
    const char *from = end;
    while (from > value.data && from[-1] != ',')
      from--;
    if (!parse_address(without_port(trimmed(from, end)), address, &four)) return false;
    cc_trust_text(address, false, peer);
    if (++*hops >= MOST_HOPS || !trusts_address(trust, address)) return false;
    if (from == value.data) return true;
    end = from - 1;
  }
}

void cc_trust_client(const struct cc_trust *trust, const struct cc_http1_head *head, char *peer) {
  int hops = 0;
  if (!cc_trusts(trust, peer)) return;
  for (uint32_t i = head->headers; i-- > 0;) {
    const struct cc_header *header = &head->header[i];
    if (!cc_slice_is_nocase(header->name, name)) continue;
    if (!walk(trust, header->value, &hops, peer)) return;
  }
}
