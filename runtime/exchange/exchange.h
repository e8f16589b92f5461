// SPDX-License-Identifier: Apache-2.0
// One client request, from its head to the last byte of its answer: the functions for other rooms.
#ifndef CC_EXCHANGE_H
#define CC_EXCHANGE_H
#include "loop/engine.h"
#include "net/inbound.h"

struct cc_exchange;

// Whether an event about an exchange still applies: the exchange is not over, nor is, for an OUTCOME, its
// attempt.
bool cc_exchange_expects(struct cc_relay *relay, const struct cc_event *event);

// Returns the counter of the bytes that the scripts of an exchange have allocated; NULL when it has ended.
size_t *cc_exchange_script_bytes(struct cc_relay *relay, cc_id id);

// Ends an exchange under way: an event stream that has begun gets an error event, any other answer is
// cut.
void cc_exchange_abandon(struct cc_exchange *exchange);

// Frees an exchange, after its DONE event was returned or when the relay closes.
void cc_exchange_free(struct cc_exchange *exchange);

// Handles the events of client connections; the head of a request begins an exchange.
extern const struct cc_inbound_events cc_exchange_inbound;
#endif
