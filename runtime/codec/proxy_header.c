// SPDX-License-Identifier: Apache-2.0
#include "codec/proxy_header.h"
#include "api/error.h"
#include <string.h>

enum { SIGNATURE = 12, FIXED = 16, LOCAL = 0, PROXY = 1, STREAM = 1 };

static const char signature[SIGNATURE + 1] = "\r\n\r\n\0\r\nQUIT\n";
static const char version_one[] = "PROXY";

static bool begins_as(const char *data, size_t size, const char *text, size_t text_size) {
  return memcmp(data, text, size < text_size ? size : text_size) == 0;
}

// The bytes of the two addresses and ports of a family; -1: no such family.
static int addresses_size(unsigned family) {
  static const int sizes[] = {0, 2 * 4 + 2 * 2, 2 * 16 + 2 * 2, 2 * 108};
  return family < sizeof sizes / sizeof *sizes ? sizes[family] : -1;
}

static int check(unsigned version, unsigned command, unsigned family, unsigned transport) {
  bool valid = version == 2 && command <= PROXY && addresses_size(family) >= 0 && transport <= 2;
  return valid ? CC_OK : CC_EPROXY_HEADER;
}

static void take_source(const char *addresses, unsigned family, struct cc_proxy_header *out) {
  static const uint8_t families[] = {0, 4, 6};
  out->family = families[family];
  memcpy(out->source, addresses, family == 1 ? 4 : 16);
}

int cc_proxy_header_read(const char *data, size_t size, struct cc_proxy_header *out) {
  *out = (struct cc_proxy_header){0};
  if (!size) return 0;
  if (begins_as(data, size, version_one, sizeof version_one - 1))
    return size < sizeof version_one - 1 ? 0 : CC_EPROXY_VERSION;
  if (!begins_as(data, size, signature, SIGNATURE)) return CC_EPROXY_HEADER;
  if (size < FIXED) return 0;
  const uint8_t *byte = (const uint8_t *)data;
  unsigned command = byte[12] & 15u, family = byte[13] >> 4, transport = byte[13] & 15u;
  size_t length = (size_t)byte[14] << 8 | byte[15];
  if (check(byte[12] >> 4, command, family, transport)) return CC_EPROXY_HEADER;
  bool told = command == PROXY && transport == STREAM && (family == 1 || family == 2);
  if (FIXED + length > CC_PROXY_HEADER_MOST) return CC_EPROXY_HEADER;
  if (command == PROXY && length < (size_t)addresses_size(family)) return CC_EPROXY_HEADER;
  if (size < FIXED + length) return 0;
  if (told) take_source(data + FIXED, family, out);
  return (int)(FIXED + length);
}
