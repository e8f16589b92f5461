// SPDX-License-Identifier: Apache-2.0
// The outcome of an attempt: from the OUTCOME event until the exchange ends or the attempt does. For
// errors see api/attempt.h.
#ifndef CC_API_OUTCOME_H
#define CC_API_OUTCOME_H
#include "api/types.h"
#pragma GCC visibility push(default)

enum cc_tier {
  CC_STANDARD,
  CC_PRIORITY,
  CC_BATCH
}; // usage.service_tier; standard if the provider says nothing

struct cc_usage { // tokens as the provider counted them; the last figure of each counts
  double input;
  double output;
  double cache_read;
  double cache_5m;
  double cache_1h;
  uint8_t tier; // enum cc_tier
  bool fast;    // usage.speed is "fast"
};

struct cc_outcome {
  int32_t error;  // CC_OK: transport and gate found no fault; the status may still be a failure
  int32_t status; // HTTP status; 0: no head came
  bool complete;  // the whole body is held
  bool sent;      // the upstream may have received some of the request
  bool reused;    // it went over a pooled connection
  uint32_t headers;
  struct cc_slice body;   // what is held of it; of an event stream the held events
  double connect_ms;      // from sending until connected
  double head_ms;         // from sending until the head; 0: none came
  double gate_ms;         // from sending until the outcome
  uint32_t changed_bytes; // of the body, by edits
  struct cc_slice detail; // what TLS or the system said, or ""
  bool usage_known;
  struct cc_usage usage; // so far
};

int cc_outcome(struct cc_relay *relay, cc_id exchange, int attempt, struct cc_outcome *out);

// The first header with this name, in any case: CC_OK or CC_ENOTFOUND. Or header number index, from 0.
int cc_outcome_header(struct cc_relay *relay, cc_id exchange, int attempt, const char *name,
                      uint32_t size, struct cc_slice *value);
int cc_outcome_header_at(struct cc_relay *relay, cc_id exchange, int attempt, uint32_t index,
                         struct cc_slice *name, struct cc_slice *value);

// Replaces the body of an answer that is held completely; status and headers stay as they came. Slices of
// the old body are void. CC_ESTATE for an event stream, a failed attempt, and a body that is incomplete.
int cc_outcome_replace(struct cc_relay *relay, cc_id exchange, int attempt, const char *body,
                       uint32_t size);

#pragma GCC visibility pop
#endif
