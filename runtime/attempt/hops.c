// SPDX-License-Identifier: Apache-2.0
#include "attempt/hops.h"
#include "api/attempt.h"
#include "shared/shared.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 32 };

static int write_name(char out[NAME_BYTES]) {
  return snprintf(out, NAME_BYTES, "ccrelay-%016" PRIx64, cc_shared_id());
}

const char *cc_loop_name(void) {
  static _Thread_local char name[NAME_BYTES];
  write_name(name);
  return name;
}

bool cc_hops_is_field(struct cc_slice name) {
  return cc_slice_is_nocase(name, "cdn-loop");
}

void cc_hops_add(struct cc_buffer *wire) {
  char name[NAME_BYTES];
  write_name(name);
  cc_buffer_printf(wire, "CDN-Loop: %s\r\n", name);
}

bool cc_hops_seen(const struct cc_http1_head *head) {
  char name[NAME_BYTES];
  size_t size = 0;
  for (uint32_t i = 0; i < head->headers; i++) {
    if (!cc_hops_is_field(head->header[i].name)) continue;
    struct cc_slice value = head->header[i].value;
    if (!size) size = (size_t)write_name(name);
    if (value.size >= size && memmem(value.data, value.size, name, size)) return true;
  }
  return false;
}
