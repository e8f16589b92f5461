// SPDX-License-Identifier: Apache-2.0
// The commit gate: what comes from an upstream is held here until it is known what it is, so that
// everything up to the first content can still fail over, unseen (DESIGN 3.5).
#ifndef CC_GATE_H
#define CC_GATE_H
#include "attempt/attempt.h"

void cc_gate_head(struct cc_attempt *attempt, const struct cc_http1_head *head);
void cc_gate_body(struct cc_attempt *attempt, struct cc_slice piece);
void cc_gate_end(struct cc_attempt *attempt);
void cc_gate_fail(struct cc_attempt *attempt, int error);
void cc_gate_timeout(struct cc_attempt *attempt);
#endif
