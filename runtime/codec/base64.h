// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648, section 4), strict. cc_base64 is in relay.h.
#ifndef CC_CODEC_BASE64_H
#define CC_CODEC_BASE64_H
#include "base/buffer.h"

// Appends the decoded bytes; false when text is not canonical padded base64 (nothing appended, but
// the memory behind the end may have been written). Takes size / 4 * 3 bytes of room.
bool cc_base64_decode(struct cc_buffer *out, const char *text, size_t size);
void cc_base64_encode(struct cc_buffer *out, const void *data, size_t size);

// In the alphabet for URLs and file names (section 5), without padding.
void cc_base64_encode_url(struct cc_buffer *out, const void *data, size_t size);
#endif
