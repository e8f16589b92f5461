// SPDX-License-Identifier: Apache-2.0
// Writes the canonical request of AWS Signature Version 4 and decides what is signed.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
#ifndef CC_SIGN_CANONICAL_H
#define CC_SIGN_CANONICAL_H
#include "sign/sigv4.h"

// The size of "20150830T123600Z" with its NUL. The first 8 digits are the day.
enum { CC_SIGV4_DATE = 17 };

// Appends it to out, and the signed names joined by ';' to names. The request has been checked.
void cc_canonical(const struct cc_sigv4 *request, const char *date, struct cc_buffer *out,
                  struct cc_buffer *names);

// Append the canonical path and query of a target.
void cc_canonical_path(struct cc_slice path, uint32_t options, struct cc_buffer *out);
void cc_canonical_query(struct cc_slice query, struct cc_buffer *out);

// Whether a text may stand in a header: no control characters but tab.
bool cc_canonical_fits(struct cc_slice text);
#endif
