// SPDX-License-Identifier: Apache-2.0
// The part of a relay that several rooms use. process/relay.c makes it and keeps the rest of the relay to
// itself.
#ifndef CC_ENGINE_H
#define CC_ENGINE_H
#include "api/loop.h"
#include "loop/events.h"
#include "loop/ids.h"
#include "loop/timers.h"

struct cc_channels;
struct cc_job;
struct cc_listeners;
struct cc_pool;
struct cc_signal;

enum {
  CC_MOST_HEADERS = 128,     // of a request or response
  CC_QUEUE_BYTES = 64 * 1024 // that wait for a slow client, before its upstream is paused
};

struct cc_bounds {      // constants, but for tests
  uint32_t event_bytes; // one event of a stream
  uint32_t write_ms;    // a peer that reads nothing
  uint32_t last_ms;     // from the last event of a stream to the end of the answer
  uint32_t ping_ms;     // silence of a stream before the client gets a ping
};

struct cc_relay {
  uv_loop_t loop;
  struct cc_settings settings;
  struct cc_bounds bounds;
  struct cc_events events;
  struct cc_timers timers;
  struct cc_ids exchanges; // struct cc_exchange
  struct cc_pool *pool;
  struct cc_listeners *listeners;
  struct cc_job *jobs; // jobs/job.c
  double job_count;
  struct cc_channels *channels; // process/channel.c; NULL before the first
  struct cc_signal *signals;    // process/signals.c
};

// The loop's clock in ms: when this turn of the loop began.
static inline uint64_t cc_relay_now(const struct cc_relay *relay) {
  return uv_now(&relay->loop);
}
#endif
