// SPDX-License-Identifier: Apache-2.0
// The gate holds the answer of an upstream until its first content has come. A failure before that
// can still fail over: the client has seen nothing yet.
#ifndef CC_GATE_H
#define CC_GATE_H
#include "attempt/attempt.h"

extern const struct cc_sink cc_gate;
#endif
