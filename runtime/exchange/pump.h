// SPDX-License-Identifier: Apache-2.0
// The pump hands the answer of the chosen attempt to the client.
#ifndef CC_PUMP_H
#define CC_PUMP_H
#include "exchange/exchange_internal.h"

// Becomes the sink of an attempt: sends what it holds, then all that follows. The exchange is over
// when the answer is.
void cc_pump_start(struct cc_attempt *attempt);

// Ends an answer that is under way as one that was lost.
void cc_pump_fail(struct cc_attempt *attempt, int error);

// The client takes bytes again.
void cc_pump_drained(struct cc_attempt *attempt);
#endif
