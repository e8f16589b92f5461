// SPDX-License-Identifier: Apache-2.0
// Keeps the credentials that the relay sent out of what the upstream answers. Where one stands,
// "[redacted]" and asterisks take its place, as many bytes as it has: lengths and JSON stay right.
// Found is a credential as it was sent, and with "/" written "\/" (JSON); not in an answer that is
// compressed in spite of Accept-Encoding: identity.
#ifndef CC_REDACT_H
#define CC_REDACT_H
#include "attempt/headers.h"

struct cc_redactor {         // zeroed is empty
  struct cc_headers secrets; // the names are the texts
  struct cc_buffer held;     // bytes at the end of a stream with which a secret may begin
};

// A text of fewer than 12 bytes is taken for no secret ("ollama", "none").
void cc_redactor_add(struct cc_redactor *redactor, struct cc_slice secret);
void cc_redactor_free(struct cc_redactor *redactor);

// Does the text hold a secret?
bool cc_redactor_finds(const struct cc_redactor *redactor, struct cc_slice text);
// Overwrites all of them.
void cc_redactor_clean(const struct cc_redactor *redactor, char *data, size_t size);

// The next piece of a stream: what may be passed on of it and of what was held before, either piece
// itself or bytes in copy (which the caller wipes).
struct cc_slice cc_redactor_next(struct cc_redactor *redactor, struct cc_slice piece,
                                 struct cc_buffer *copy);
#endif
