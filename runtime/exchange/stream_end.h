// SPDX-License-Identifier: Apache-2.0
// Ends the answer that a client is getting: whole or broken. Both drop the connection to the upstream and finish
// the exchange; the attempt must be pumping.
#ifndef CC_STREAM_END_H
#define CC_STREAM_END_H
#include "exchange/exchange_internal.h"

// Whether the last event of a stream came: message_stop or error. Never for other bodies.
bool cc_stream_is_complete(const struct cc_attempt *attempt);

// Ends the client's body as a whole one.
void cc_stream_end_whole(struct cc_attempt *attempt);

// Breaks the client's connection, or sends an error event first where the exchange has
// break_with_event (streams only). error, an enum cc_error, goes to the report of the exchange.
void cc_stream_end_broken(struct cc_attempt *attempt, int error);
#endif
