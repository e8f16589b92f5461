// SPDX-License-Identifier: Apache-2.0
// Writes the error body of the Messages API; api/error.h has its types and statuses.
#pragma once
#include "api/error.h"
#include "base/buffer.h"

// Appends the body of an error. type is a type of the API, such as "overloaded_error", and is not
// escaped; message is escaped as needed. request_id may be NULL: events of a stream have none.
void cc_api_error(struct cc_buffer *out, const char *type, struct cc_slice message,
                  const char *request_id);

// The same, with a message that is a JSON string already, quotes included.
void cc_api_error_quoted(struct cc_buffer *out, const char *type, struct cc_slice quoted,
                         const char *request_id);
