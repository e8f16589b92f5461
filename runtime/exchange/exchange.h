// SPDX-License-Identifier: Apache-2.0
// One client request, from its head to the last byte of its answer: what other rooms call.
#ifndef CC_EXCHANGE_H
#define CC_EXCHANGE_H
#include "loop/engine.h"
#include "net/inbound.h"

struct cc_exchange;

// Whether an event that names an exchange still holds: the exchange is not over, nor, for an OUTCOME,
// its attempt.
bool cc_exchange_expects(struct cc_relay *relay, const struct cc_event *event);

// Where the memory is counted that the scripts of an exchange allocate; NULL when it has ended.
size_t *cc_exchange_script_bytes(struct cc_relay *relay, cc_id id);

// Ends one that is still going: a committed event stream gets a typed error event, everything else
// is cut.
void cc_exchange_abandon(struct cc_exchange *exchange);

// Frees an exchange, after its DONE event was returned or when the relay closes.
void cc_exchange_free(struct cc_exchange *exchange);

// What listeners notify of a client's connection; it begins the exchanges.
extern const struct cc_inbound_events cc_exchange_inbound;
#endif
