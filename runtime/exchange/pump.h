// SPDX-License-Identifier: Apache-2.0
// The pump forwards the answer of the chosen attempt to the client.
#ifndef CC_PUMP_H
#define CC_PUMP_H
#include "exchange/exchange_internal.h"

// Becomes the sink of an attempt: sends what is held, then what comes. The exchange ends with the answer.
void cc_pump_start(struct cc_attempt *attempt);

// Ends an answer under way, whose connection is lost or whose time is over, with an error.
void cc_pump_fail(struct cc_attempt *attempt, int error);

// Continues after a pause: the client takes bytes again.
void cc_pump_drained(struct cc_attempt *attempt);
#endif
