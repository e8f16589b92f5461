// SPDX-License-Identifier: Apache-2.0
// Decodes a body whole and in pieces. The first byte chooses the coding and the size of the pieces. Both
// ways must give the same, and never more than the limit.
#include "api/error.h"
#include "codec/content_encoding.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { LIMIT = 1 << 20 };

static int decode(enum cc_coding coding, const char *data, size_t size, size_t cut,
                  struct cc_buffer *out) {
  struct cc_decoder *decoder = cc_decoder_new(coding);
  int error = CC_OK;
  for (size_t from = 0; from < size && !error; from += cut) {
    size_t piece = size - from < cut ? size - from : cut;
    error = cc_decoder_add(decoder, data + from, piece, out, LIMIT);
    if (out->capacity > LIMIT + 1) abort();
  }
  if (!error) error = cc_decoder_end(decoder);
  cc_decoder_free(decoder);
  return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  if (size < 2) return 0;
  struct cc_buffer whole = {0}, cut = {0};
  enum cc_coding coding = (enum cc_coding)(CC_CODING_GZIP + bytes[0] % 4);
  const char *data = (const char *)bytes + 1;
  int first = decode(coding, data, size - 1, size, &whole);
  int second = decode(coding, data, size - 1, (size_t)bytes[0] / 4 + 1, &cut);
  if ((first == CC_OK) != (second == CC_OK)) abort();
  if (first == CC_OK &&
      (whole.size != cut.size || (whole.size && memcmp(whole.data, cut.data, whole.size) != 0)))
    abort();
  cc_buffer_free(&whole);
  cc_buffer_free(&cut);
  return 0;
}
