// SPDX-License-Identifier: Apache-2.0
// Reads PROXY protocol headers: a prefix must never be read differently from the whole. What follows a header, or all of
// the bytes, is taken as an X-Forwarded-For.
#include "api/error.h"
#include "codec/proxy_header.h"
#include "net/trust.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int read_copy(const uint8_t *bytes, size_t size, struct cc_proxy_header *out) {
  char *copy = malloc(size ? size : 1); // so that reading beyond it is seen
  memcpy(copy, bytes, size);
  int result = cc_proxy_header_read(copy, size, out);
  free(copy);
  return result;
}

static void check_peer(const char *peer) {
  struct cc_range range;
  if (!memchr(peer, 0, CC_PEER)) abort();
  if (!cc_range_parse(cc_slice_text(peer), &range)) abort();
}

static void forward(const uint8_t *bytes, size_t size) {
  static const char list[] = "10.0.0.0/8 2001:db8::/32";
  struct cc_trust trust = {0};
  if (cc_trust_set(&trust, cc_slice(list, sizeof list - 1))) abort();
  char peer[CC_PEER] = "10.0.0.1", *copy = malloc(size ? size : 1);
  memcpy(copy, bytes, size);
  struct cc_header header = {cc_slice_text("x-forwarded-for"), cc_slice(copy, size)};
  struct cc_http1_head head = {.header = &header, .headers = 1};
  cc_trust_client(&trust, &head, peer);
  check_peer(peer);
  struct cc_range range;
  cc_range_parse(cc_slice(copy, size), &range);
  cc_trust_free(&trust);
  free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  struct cc_proxy_header whole, part;
  int result = read_copy(bytes, size, &whole);
  if (result > 0 && ((size_t)result > size || result > CC_PROXY_HEADER_MOST)) abort();
  if (result < 0 && result != CC_EPROXY_HEADER && result != CC_EPROXY_VERSION) abort();
  if (whole.family && (result <= 0 || (whole.family != 4 && whole.family != 6))) abort();
  for (size_t some = 0; some < size && some < 64; some++) {
    int early = read_copy(bytes, some, &part);
    if (early && early != result) abort();
  }
  size_t used = result > 0 ? (size_t)result : 0;
  forward(bytes + used, size - used);
  return 0;
}
