// SPDX-License-Identifier: Apache-2.0
// Jobs of the relay's own: an HTTP request, a program, a connect check. Each returns an id, or an error
// below 0; a FETCH event always follows, after which cc_fetched has the result until the next cc_next.
#ifndef CC_API_JOB_H
#define CC_API_JOB_H
#include "api/types.h"
#pragma GCC visibility push(default)

struct cc_fetch {
  int32_t origin; // cc_origin
  struct cc_slice method;
  struct cc_slice target;
  struct cc_slice headers; // lines "Name: value", each ended by LF
  struct cc_slice body;
  uint32_t timeout_ms;   // for all of it
  uint32_t answer_bytes; // of the body of the answer, at most
};

// Sends a request over HTTP. Redirects are not followed: theirs is the answer. Nothing is repeated.
cc_id cc_fetch(struct cc_relay *relay, const struct cc_fetch *spec);

struct cc_command {
  struct cc_slice arguments; // the program and its arguments, each ended by NUL; no shell
  uint32_t timeout_ms;       // after which it is killed, with all it has started
  uint32_t answer_bytes;     // of its output, at most
};

// Runs a program. Its result has CC_OK, the exit code as status, and what it wrote to stdout as body; or
// CC_ETOTAL_TIMEOUT, CC_EBODY_SIZE, CC_ENOTFOUND (no such program), CC_ESYSTEM (not started, or ended by a
// signal). detail is the beginning of what it wrote to stderr.
cc_id cc_run(struct cc_relay *relay, const struct cc_command *spec);

// Connects to an origin, TLS included, sends nothing and closes. The result has CC_OK, or the error and
// its detail.
cc_id cc_connect_check(struct cc_relay *relay, int origin, uint32_t timeout_ms);

struct cc_fetched {
  int32_t error;
  int32_t status;
  struct cc_slice body;
  struct cc_slice detail; // what TLS or the system said, or ""
  double
      expires; // connect check over TLS: when the first certificate of the peer's chain expires, in ms
               // since 1970; else 0
};

// CC_ESTALE when there is no such job, CC_ESTATE when it is not over.
int cc_fetched(struct cc_relay *relay, cc_id id, struct cc_fetched *out);

// The first header of the answer with this name, in any case: CC_OK or CC_ENOTFOUND.
int cc_fetched_header(struct cc_relay *relay, cc_id id, const char *name, uint32_t size,
                      struct cc_slice *value);

#pragma GCC visibility pop
#endif
