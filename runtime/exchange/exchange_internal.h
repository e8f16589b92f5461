// SPDX-License-Identifier: Apache-2.0
// The exchange, for the files of this room.
//
// Its phases: READING (the head is here, the body is coming), WAITING (the policy decides), ANSWERING,
// OVER (DONE is posted). It is freed at the cc_next after the one that returned DONE.
#ifndef CC_EXCHANGE_INTERNAL_H
#define CC_EXCHANGE_INTERNAL_H
#include "api/answer.h"
#include "api/request.h"
#include "attempt/attempt.h"
#include "exchange/exchange.h"

enum cc_exchange_phase { CC_READING, CC_WAITING, CC_ANSWERING, CC_OVER };

struct cc_exchange {
  struct cc_relay *relay;
  cc_id id;
  uint8_t phase;
  bool announced;  // READY posted
  bool accepted;   // Lua has called cc_request_accept
  bool complete;   // the request is whole
  bool own_stream; // the relay's own answer in pieces is under way
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
  struct cc_timer timer;                                 // at the next of the deadlines below
  uint64_t content_due, total_due, ping_due, script_due; // loop time; 0: off
  size_t script_bytes;                                   // that its scripts have allocated
  int refusal;                                           // why C refused the request
  double complete_at;                                    // cc_now() when the request was whole
  char name[CC_EXCHANGE_NAME + 1];                       // in the log; "" until somebody needs it
  struct cc_report report;
};

// The exchange an id names, or NULL when it has ended.
static inline struct cc_exchange *cc_exchange_find(struct cc_relay *relay, cc_id id) {
  return cc_ids_find(&relay->exchanges, id);
}

// finish.c: closes the attempts and posts DONE; error goes into the report. A second call does nothing.
// The caller has ended or broken the client's answer.
void cc_exchange_finish(struct cc_exchange *exchange, int error);

// deadlines.c: whether a deadline (loop time, 0: none) of the exchange has passed; and sets the timer to
// the next deadline.
bool cc_exchange_is_due(const struct cc_exchange *exchange, uint64_t due);
void cc_exchange_schedule(struct cc_exchange *exchange);

// answer.c: answers with an error of the relay's own in the shape of the Messages API, and finishes the
// exchange with error.
void cc_exchange_refuse(struct cc_exchange *exchange, int status, const char *message, int error);

// decode.c: takes the next piece of the request's body, and its end.
void cc_exchange_body(struct cc_exchange *exchange, struct cc_slice piece);
void cc_exchange_body_end(struct cc_exchange *exchange);
#endif
