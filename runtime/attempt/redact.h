// SPDX-License-Identifier: Apache-2.0
// Removes the relay's own credentials from an upstream's answer. Each is overwritten with "[redacted]" and
// asterisks of the same length, so that lengths and JSON stay valid. It finds a credential as it was sent,
// and with "/" escaped as "\/" (JSON), but not in an answer that is compressed despite Accept-Encoding:
// identity.
#ifndef CC_REDACT_H
#define CC_REDACT_H
#include "attempt/headers.h"

struct cc_redactor {         // zeroed is empty
  struct cc_headers secrets; // in the names
  struct cc_buffer held;     // the last bytes of a stream, which may begin a secret
};

// Adds a secret. Texts of fewer than 12 bytes ("ollama", "none") are ignored.
void cc_redactor_add(struct cc_redactor *redactor, struct cc_slice secret);
void cc_redactor_free(struct cc_redactor *redactor);

// Whether a text contains a secret.
bool cc_redactor_finds(const struct cc_redactor *redactor, struct cc_slice text);
// Overwrites all secrets in data.
void cc_redactor_clean(const struct cc_redactor *redactor, char *data, size_t size);

// Reads the next piece of a stream and returns what may be passed on, including bytes held before: piece
// itself, or bytes in copy, which the caller wipes. Bytes that may begin a secret are held.
struct cc_slice cc_redactor_next(struct cc_redactor *redactor, struct cc_slice piece,
                                 struct cc_buffer *copy);
#endif
