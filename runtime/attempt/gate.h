// SPDX-License-Identifier: Apache-2.0
// The gate holds an upstream's answer until its first content has come. It guarantees that a failure
// before that can fail over, because the client has seen nothing.
#ifndef CC_GATE_H
#define CC_GATE_H
#include "attempt/attempt.h"

extern const struct cc_sink cc_gate;
#endif
