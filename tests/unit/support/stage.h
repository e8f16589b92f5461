// SPDX-License-Identifier: Apache-2.0
// A relay with two scripted upstreams and a policy in C that tries A, then B unless A's outcome was good,
// and returns the last outcome. For tests of the runtime as a whole.
#ifndef CC_TEST_STAGE_H
#define CC_TEST_STAGE_H
#include "api/answer.h"
#include "api/attempt.h"
#include "api/outcome.h"
#include "api/request.h"
#include "loop/engine.h"
#include "support/peer.h"

struct stage {
  struct cc_relay *relay;
  struct peer_upstream *upstream[2];
  int origin[2];
  uint16_t port;
  struct cc_attempt_spec spec;
  bool break_with_event;
  const char *replacement; // not NULL: replaces the body of the answer
  int replace_result;
  double early_ms; // if more than 0, the answer begins this long before the first try
  int early_result, early_again, answer_result;
  int outcomes;
  struct cc_outcome outcome[4]; // its slices are not valid later
  struct cc_report report;
  char stream_error[128];
  struct cc_scan scan;
  int scan_result;
  int exchanges; // DONE seen
};

void stage_open(struct stage *stage, const struct peer_reply *a, int a_count,
                const struct peer_reply *b, int b_count);
// Sends a request and runs the relay until the client has its answer and the exchange is over.
// Returns what the client got (freed by stage_close).
const char *stage_ask(struct stage *stage, const char *request, size_t size, const char *until);
// The body of a chunked answer, decoded, to be freed; complete tells whether the last chunk came.
char *stage_body(const char *answer, bool *complete);
// A streaming Messages request.
extern const char stage_stream_request[];
void stage_close(struct stage *stage);
#endif
