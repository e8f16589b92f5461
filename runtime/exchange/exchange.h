// SPDX-License-Identifier: Apache-2.0
// One client request, from its head to the last byte of its answer.
//
// Life: READING (head there, body coming) -> WAITING (the policy decides) -> ANSWERING -> OVER
// (DONE posted). It is freed at the cc_next after DONE was returned, nowhere else.
#ifndef CC_EXCHANGE_H
#define CC_EXCHANGE_H
#include "attempt/attempt.h"
#include "loop/engine.h"
#include "net/inbound.h"

enum cc_exchange_phase { CC_READING, CC_WAITING, CC_ANSWERING, CC_OVER };

struct cc_exchange {
  struct cc_relay *relay;
  cc_id id;
  uint8_t phase;
  bool announced;  // READY posted
  bool accepted;   // Lua let the body in
  bool complete;   // the request is whole
  bool own_stream; // an answer of our own in pieces is under way
  bool early;      // an event stream has begun before there is an answer
  bool wants_writable;
  bool break_with_event;
  bool scanned;
  struct cc_inbound *inbound;       // NULL once it has gone or its answer is complete
  struct cc_client_request request; // its head is the inbound parser's
  struct cc_buffer line;            // peer, method and target, kept for the report
  uint32_t peer_size, method_size, path_size;
  int32_t listener;
  struct cc_decoder *decoder; // of a body that is still coming; else NULL
  struct cc_scan scan;
  int scan_result;
  struct cc_attempt *attempts[2];
  struct cc_attempt *chosen;
  struct cc_headers answer;                              // headers Lua set for the answer
  struct cc_timer timer;                                 // serves the dues below
  uint64_t content_due, total_due, ping_due, script_due; // loop time; 0: off
  size_t script_bytes;                                   // that its scripts have allocated
  int refusal;                                           // why C refused the request
  struct cc_report report;
};

// Ends an exchange: attempts are given up, DONE is posted. error goes into the report.
void cc_exchange_finish(struct cc_exchange *exchange, int error);

// Lets go of the client's connection: completes the answer, or breaks it.
void cc_exchange_end_answer(struct cc_exchange *exchange);
void cc_exchange_break_answer(struct cc_exchange *exchange, bool reset);

// Writes an answer of our own in Anthropic's error shape and finishes with error.
void cc_exchange_refuse(struct cc_exchange *exchange, int status, const char *type,
                        const char *message, int error);

// Marks the first byte of the answer, and moves the timer to the nearest due.
void cc_exchange_first_byte(struct cc_exchange *exchange, int status);
void cc_exchange_schedule(struct cc_exchange *exchange);

// client_events.c: bytes of the answer's body; an error event with JSON as its data; a ping, unless the
// client has bytes to take, and the next after ping_ms.
void cc_exchange_put(struct cc_exchange *exchange, const char *data, size_t size);
void cc_exchange_put_error(struct cc_exchange *exchange, const char *json, size_t size);
void cc_exchange_ping(struct cc_exchange *exchange);

// decode.c: the next piece of the request's body, and the end of it.
void cc_exchange_body(struct cc_exchange *exchange, struct cc_slice piece);
void cc_exchange_body_end(struct cc_exchange *exchange);

// The exchange an id names, or NULL when it has ended.
static inline struct cc_exchange *cc_exchange_find(struct cc_relay *relay, cc_id id) {
  return cc_ids_find(&relay->exchanges, id);
}

// Whether an event that names an exchange still holds: the exchange is not over, nor, for an OUTCOME,
// its attempt.
bool cc_exchange_expects(struct cc_relay *relay, const struct cc_event *event);

// Where the memory is counted that the scripts of an exchange allocate; NULL when it has ended.
size_t *cc_exchange_script_bytes(struct cc_relay *relay, cc_id id);

// Ends one that is still going: a committed event stream gets a typed error event, everything else
// is cut.
void cc_exchange_abandon(struct cc_exchange *exchange);

// Frees everything of it. Only relay.c calls this.
void cc_exchange_free(struct cc_exchange *exchange);

// The events an inbound connection raises.
extern const struct cc_inbound_events cc_exchange_inbound;
#endif
