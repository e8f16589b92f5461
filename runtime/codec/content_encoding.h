// SPDX-License-Identifier: Apache-2.0
// Decodes a body from its Content-Encoding (RFC 9110, section 8.4) as it arrives, and never into more than a
// given number of bytes.
#ifndef CC_CODEC_CONTENT_ENCODING_H
#define CC_CODEC_CONTENT_ENCODING_H
#include "base/buffer.h"

enum cc_coding {
  CC_CODING_NONE,
  CC_CODING_GZIP,    // RFC 1952, also with several members
  CC_CODING_DEFLATE, // RFC 1950 as RFC 9110 says, or bare RFC 1951 as some clients send it
  CC_CODING_BROTLI,  // RFC 7932
  CC_CODING_ZSTD     // RFC 8878, also with several frames; windows up to 8 MiB (RFC 9659)
};

// Adds the value of one Content-Encoding line to *coding, which starts as CC_CODING_NONE. "identity" and
// empty elements are ignored. CC_EENCODING: the coding is not supported, or there is more than one in all.
int cc_coding_add(enum cc_coding *coding, struct cc_slice value);

struct cc_decoder;

// Makes a decoder for one body, which the caller frees. coding must not be CC_CODING_NONE.
struct cc_decoder *cc_decoder_new(enum cc_coding coding);
void cc_decoder_free(struct cc_decoder *decoder); // NULL does nothing

// Decodes the next piece of the body and appends it to out, whose capacity grows to at most limit + 1 bytes.
// CC_EENCODED: the bytes are not of this coding, or go on after its end. CC_EDECODED_SIZE: out would hold
// more than limit bytes. After an error every call returns that error and appends nothing.
int cc_decoder_add(struct cc_decoder *decoder, const char *data, size_t size, struct cc_buffer *out,
                   size_t limit);

// No more pieces: CC_OK, the error of cc_decoder_add, or CC_EENCODED when the coding has not ended.
int cc_decoder_end(const struct cc_decoder *decoder);
#endif
