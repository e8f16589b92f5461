// SPDX-License-Identifier: Apache-2.0
// Bounds of cc_jwt (api/crypto.h).
#ifndef CC_SIGN_JWT_H
#define CC_SIGN_JWT_H
#include "api/crypto.h"

enum { CC_JWT_BITS = 2048 }; // RS256 needs at least this (RFC 7518, section 3.3)
#endif
