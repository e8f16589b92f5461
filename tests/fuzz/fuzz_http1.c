// SPDX-License-Identifier: Apache-2.0
// Parses a message whole and in pieces. The first byte chooses request or response and the size of the
// pieces. Result and events must not depend on the pieces.
#include "codec/http1_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  static const struct cc_http1_limits limits = {2048, 20, 256};
  if (!size) return 0;
  const char *text = (const char *)bytes + 1;
  size--;
  struct drive whole = {.kind = bytes[0] & 1 ? CC_HTTP1_RESPONSE : CC_HTTP1_REQUEST,
                        .limits = &limits,
                        .bodyless = bytes[0] & 2,
                        .finish = true};
  struct drive bytewise = whole, halves = whole;
  drive(&whole, text, size, size, 0);
  drive(&bytewise, text, size, 1, 1);
  drive(&halves, text, size, size ? (size_t)(bytes[0] >> 2) * size / 64 + 1 : 1, 0);
  if (strcmp(whole.log.data, bytewise.log.data) != 0) abort();
  if (strcmp(whole.log.data, halves.log.data) != 0) abort();
  drive_free(&whole);
  drive_free(&bytewise);
  drive_free(&halves);
  return 0;
}
