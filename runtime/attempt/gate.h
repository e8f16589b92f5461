// SPDX-License-Identifier: Apache-2.0
// The gate holds the answer of an upstream until its first content has come. A failure before that
// can still fail over: the client has seen nothing yet.
#ifndef CC_GATE_H
#define CC_GATE_H
#include "attempt/attempt.h"

void cc_gate_head(struct cc_attempt *attempt, const struct cc_http1_head *head);
void cc_gate_body(struct cc_attempt *attempt, struct cc_slice piece);
void cc_gate_end(struct cc_attempt *attempt);
void cc_gate_fail(struct cc_attempt *attempt, int error);
void cc_gate_timeout(struct cc_attempt *attempt);
#endif
