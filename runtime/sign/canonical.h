// SPDX-License-Identifier: Apache-2.0
// The canonical request of AWS Signature Version 4. What is signed is decided here.
#ifndef CC_SIGN_CANONICAL_H
#define CC_SIGN_CANONICAL_H
#include "sign/sigv4.h"

// "20150830T123600Z" and a NUL; its first 8 digits are the day.
enum { CC_SIGV4_DATE = 17 };

// Appends it, and the signed names joined by ';'. The request has been checked.
void cc_canonical(const struct cc_sigv4 *request, const char *date, struct cc_buffer *out,
                  struct cc_buffer *names);

// Its path and its query, from a target.
void cc_canonical_path(struct cc_slice path, uint32_t options, struct cc_buffer *out);
void cc_canonical_query(struct cc_slice query, struct cc_buffer *out);

// No control but tab: may stand in a header.
bool cc_canonical_fits(struct cc_slice text);
#endif
