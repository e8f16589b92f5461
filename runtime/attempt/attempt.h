// SPDX-License-Identifier: Apache-2.0
// An attempt sends one request to one upstream and hands the answer to its sink: first the gate, then,
// if the client is to get this answer, the pump. It belongs to its exchange.
#ifndef CC_ATTEMPT_H
#define CC_ATTEMPT_H
#include "api/attempt.h"
#include "api/outcome.h"
#include "attempt/bedrock_stream.h"
#include "attempt/headers.h"
#include "attempt/redact.h"
#include "attempt/signing.h"
#include "codec/json.h"
#include "codec/sse.h"
#include "loop/engine.h"
#include "net/outbound.h"

enum cc_attempt_phase {
  CC_DRAFT,     // being written by the adapter
  CC_HASHING,   // the body's hash is being taken, for the signature
  CC_SENDING,   // from connecting to the last byte of the request
  CC_EXPECTING, // request sent, no head yet
  CC_HOLDING,   // head there, gate closed
  CC_SETTLED,   // OUTCOME posted
  CC_PUMPING,   // chosen
  CC_CLOSED     // ended: no event comes from it any more
};

enum cc_body_kind { CC_BODY_JSON, CC_BODY_SSE, CC_BODY_OPAQUE, CC_BODY_FAULT };

struct cc_attempt;
struct cc_exchange;

// The parts of the client's request that attempts send. The exchange owns it and outlives its attempts.
struct cc_client_request {
  struct cc_buffer body;
  const struct cc_http1_head *head; // NULL when the client has gone, or its answer is under way
  bool decoded;                     // body is without the Content-Encoding that head names
};

// The receiver of an attempt's answer: the gate (cc_gate) or the pump. The attempt removes the relay's
// credentials from what it passes. Each function may close the attempt, and ignores a closed one.
struct cc_sink {
  void (*head)(struct cc_attempt *attempt, const struct cc_http1_head *head);
  void (*body)(struct cc_attempt *attempt, struct cc_slice piece);
  void (*end)(struct cc_attempt *attempt);             // the answer is complete
  void (*fail)(struct cc_attempt *attempt, int error); // the connection is lost or unusable
  void (*timeout)(struct cc_attempt *attempt); // attempt->timer, which the sink sets after the head
};

struct cc_attempt {
  struct cc_relay *relay;
  struct cc_exchange *exchange; // for the sink; opaque here
  cc_id exchange_id;
  const struct cc_client_request *request;
  const struct cc_sink *sink;
  int index; // among the exchange's attempts
  int origin;
  uint32_t serial; // of the exchange's attempts, from 0
  struct cc_attempt_spec spec;
  uint8_t phase;
  uint8_t kind; // enum cc_body_kind, from the head on
  bool retried; // sent again on a fresh connection; this happens once
  bool sent;
  bool complete; // the whole answer has come
  bool dirty;    // answered before the request was sent: never pooled
  bool begun;    // the kind of the body is known
  bool content_seen, stop_seen, error_seen;
  bool usage_known;
  bool usage_final;
  struct cc_outbound *out; // NULL when not connected
  struct cc_timer timer;
  uint64_t head_due; // loop time; 0: none
  // request
  struct cc_buffer method, target;
  struct cc_headers request_headers;
  bool pass;
  struct cc_buffer
      allowed; // names of the client's fields that pass; empty: see cc_headers_may_go_up
  struct cc_edits edits;
  bool has_body; // of its own, in place of the client's with the edits
  struct cc_buffer body;
  struct cc_signing *signing; // NULL: not signed
  struct cc_redactor own;     // the relay's credentials in the request
  struct cc_buffer wire;      // the head as sent
  size_t wire_sent, body_sent, body_size;
  // answer
  int status;
  bool reused;
  struct cc_headers headers;
  double content_length;
  struct cc_bedrock_stream *frames; // NULL unless the answer comes in AWS frames
  struct cc_buffer held;
  struct cc_sse sse;
  size_t seen; // bytes of held: whole events that were read; of JSON: passed on
  struct cc_usage usage;
  uint32_t events;
  int error;
  uint32_t changed;
  double sent_at, connected_at, head_at, settled_at;
  double passed_at; // when events were passed on last; 0: none, or they are not timed
  char *detail;     // why it failed, or NULL
  char *error_type; // of an error event, or NULL
};

// Returns a draft for an origin, with the gate as its sink. The caller sets exchange, exchange_id and
// index, and frees it with cc_attempt_free.
struct cc_attempt *cc_attempt_new(struct cc_relay *relay, const struct cc_client_request *request,
                                  int origin, const struct cc_attempt_spec *spec);

// Connects and sends the draft. The client's body must stay until cc_attempt_needs_body returns false.
void cc_attempt_start(struct cc_attempt *attempt);
bool cc_attempt_needs_body(const struct cc_attempt *attempt);

// request_head.c: writes the request head to attempt->wire; the attempt must be connected. CC_OK, or
// CC_EINVAL when the request cannot be signed.
int cc_attempt_head(struct cc_attempt *attempt);

// Frees the memory that only sending needs. Does nothing while the request is being sent.
void cc_attempt_free_request(struct cc_attempt *attempt);

// Ends it at once: its connection is dropped, and no event comes from it any more.
void cc_attempt_close(struct cc_attempt *attempt);
// Closes and frees it.
void cc_attempt_free(struct cc_attempt *attempt);
#endif
