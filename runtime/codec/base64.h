// SPDX-License-Identifier: Apache-2.0
// Decodes base64 strictly, and encodes it (RFC 4648). Implements cc_base64 (api/crypto.h).
#ifndef CC_CODEC_BASE64_H
#define CC_CODEC_BASE64_H
#include "base/buffer.h"

// Appends the decoded bytes. False when text is not canonical padded base64 (section 4); nothing is appended
// then, but the memory behind the end may have been written. Needs size / 4 * 3 bytes of capacity.
bool cc_base64_decode(struct cc_buffer *out, const char *text, size_t size);
void cc_base64_encode(struct cc_buffer *out, const void *data, size_t size);

// With the alphabet for URLs and file names (section 5), without padding.
void cc_base64_encode_url(struct cc_buffer *out, const void *data, size_t size);
#endif
