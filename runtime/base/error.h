// SPDX-License-Identifier: Apache-2.0
#ifndef CC_BASE_ERROR_H
#define CC_BASE_ERROR_H
#include "api/error.h"

// Keeps a text for cc_system_error() and returns error, so that a caller can write
// "return cc_fail(CC_ESYSTEM, ...)". cc_fail_errno adds the words of errno.
int cc_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cc_fail_errno(int error, const char *what);
#endif
