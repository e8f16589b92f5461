// SPDX-License-Identifier: Apache-2.0
// Writes to the client of an exchange. All functions do nothing when the client has gone.
#ifndef CC_CLIENT_H
#define CC_CLIENT_H
#include "exchange/exchange_internal.h"

// Writes bytes of the answer's body.
void cc_client_write(struct cc_exchange *exchange, const char *data, size_t size);

// Writes an error event with a JSON text as its data.
void cc_client_write_error(struct cc_exchange *exchange, const char *json, size_t size);

// Writes a ping, unless earlier bytes still wait for the client. The next one is due after ping_ms.
void cc_client_ping(struct cc_exchange *exchange);

// Completes the answer, or breaks it visibly: with RST, or with FIN before its end. Both detach the
// connection from the exchange.
void cc_client_end(struct cc_exchange *exchange);
void cc_client_break(struct cc_exchange *exchange, bool reset);

// Detaches the client's connection from the exchange.
void cc_client_detach(struct cc_exchange *exchange);
#endif
