// SPDX-License-Identifier: Apache-2.0
// The answer to the client: an outcome, or one of the relay's own. CC_ESTALE when the exchange has ended,
// CC_ESTATE when its answer has begun.
#ifndef CC_API_ANSWER_H
#define CC_API_ANSWER_H
#include "api/outcome.h"
#include "api/types.h"
#pragma GCC visibility push(default)

// Sets a header of the answer. It replaces the upstream's of that name; an empty value removes it.
int cc_answer_header(struct cc_relay *relay, cc_id exchange, const char *name, uint32_t name_size,
                     const char *value, uint32_t value_size);

// Answers with the outcome of this attempt: what is held, then the rest as it comes. The other attempt is
// cancelled. break_with_event: a stream that breaks ends with an error event, else the connection is cut.
int cc_answer_outcome(struct cc_relay *relay, cc_id exchange, int attempt, bool break_with_event);

// Answers with a body of our own.
int cc_answer(struct cc_relay *relay, cc_id exchange, int status, const char *body, uint32_t size);

// Answers with a body of our own in pieces. cc_answer_write returns CC_OK, or CC_ELIMIT when it took the
// piece but the client is slow: a WRITABLE event says when to go on.
int cc_answer_begin(struct cc_relay *relay, cc_id exchange, int status);
int cc_answer_write(struct cc_relay *relay, cc_id exchange, const char *data, uint32_t size);
int cc_answer_end(struct cc_relay *relay, cc_id exchange);

// Begins an event stream before there is an answer: 200 with the headers set so far, a ping now and after
// CC_PING_MS of silence. What answers later goes into that stream: an outcome that is an event stream
// (any other gives CC_ESTATE and changes nothing), a body of our own (JSON) as the data of an error event,
// or pieces as they are written.
int cc_answer_early(struct cc_relay *relay, cc_id exchange);

// Breaks the client's connection before or within an answer, with RST or FIN. raw bytes, if any, are
// written first as they are.
int cc_answer_break(struct cc_relay *relay, cc_id exchange, bool reset, const char *raw,
                    uint32_t size);

struct cc_report {
  int32_t status;    // sent to the client; 0: none
  int32_t error;     // CC_OK: the client's connection took all of the answer, and it was complete
  int32_t attempt;   // whose answer it was; -1: the relay's own
  uint32_t attempts; // made
  double request_bytes;  // of the body; after cc_request_decode those decoded
  double response_bytes; // of the body to the client
  double started;        // cc_now()
  double first_byte_ms;  // from the start to the first byte of the answer; 0: none
  double
      content_ms; // from the start until an upstream's answer (its first content) was chosen; 0: none
  double own_ms; // of that, from the whole request on, what the upstream that answered did not take
  double total_ms;
  uint32_t events; // of a stream
  uint32_t pings;  // written by the relay
  bool stream;
  bool usage_known;
  bool usage_final; // output is all there was; else it was counted before there was much
  struct cc_usage usage;
  struct cc_slice stream_error; // type of an error event that was passed on, or ""
};

// What became of an exchange, after its DONE event, until the next cc_next.
int cc_report(struct cc_relay *relay, cc_id exchange, struct cc_report *out);

#pragma GCC visibility pop
#endif
