// SPDX-License-Identifier: Apache-2.0
// Compares splices with a simple model of editing. The input has one operation a line ("+field=json",
// "-field"), then an empty line and the text.
#include "codec/edit_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *at = (const char *)data, *end = at + size;
  struct model_op ops[16];
  size_t count = 0;
  while (at < end && *at != '\n' && count < 16) {
    const char *line = memchr(at, '\n', (size_t)(end - at));
    if (!line) line = end;
    const char *equals = memchr(at, '=', (size_t)(line - at));
    bool removed = *at == '-' || !equals;
    const char *name_end = removed ? line : equals;
    if (name_end == at) break;
    ops[count].remove = removed;
    ops[count].field = cc_slice(at + 1, (size_t)(name_end - at - 1));
    ops[count].json = removed ? cc_slice("", 0) : cc_slice(equals + 1, (size_t)(line - equals - 1));
    count++;
    at = line < end ? line + 1 : end;
  }
  if (at < end) at++;
  if (model_check(cc_slice(at, (size_t)(end - at)), ops, count)) abort();
  return 0;
}
