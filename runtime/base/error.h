// SPDX-License-Identifier: Apache-2.0
// The text of cc_system_error().
#ifndef CC_BASE_ERROR_H
#define CC_BASE_ERROR_H
#include "api/error.h"

// Sets the text of cc_system_error() for this thread, up to 255 bytes, and returns error, so that callers
// can write "return cc_fail(CC_ESYSTEM, ...)". cc_fail_errno appends the message of errno.
int cc_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cc_fail_errno(int error, const char *what);
#endif
