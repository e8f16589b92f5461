// SPDX-License-Identifier: Apache-2.0
// Errors of the Messages API: https://docs.anthropic.com/en/api/errors
#ifndef CC_API_API_ERROR_H
#define CC_API_API_ERROR_H
#include "api/types.h"
#pragma GCC visibility push(default)

// The error type for an HTTP status. One that the API does not define is an "api_error" from 500 on, else an
// "invalid_request_error". Static text.
const char *cc_api_error_type(int status);

// The HTTP status for an error type; 500 for an unknown one.
int cc_api_error_status(const char *type, uint32_t size);

// The data of the first error event of an event stream, whose last event may lack its blank line; allocated
// for the caller. CC_ENOTFOUND, and no allocation, when there is none or the body is no event stream.
int cc_api_error_data(const char *body, uint32_t size, char **out, uint32_t *out_size);

#pragma GCC visibility pop
#endif
