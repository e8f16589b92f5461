// SPDX-License-Identifier: Apache-2.0
// What a relay is made of, for the files that make it: relay.c, exchange.c, answer.c, attempt.c,
// pump.c, worker.c, preflight.c. Nothing below them knows of it.
#ifndef CC_ENGINE_H
#define CC_ENGINE_H
#include "exchange/exchange.h"
#include "net/inbound.h"
#include "net/listener.h"
#include "net/outbound.h"
#include "net/watch.h"

enum { CC_TIMERS = 16, CC_SIGNALS = 8 };

struct cc_clock { // one timer of the process
  struct cc_timer timer;
  struct cc_relay *relay;
  int number;
};

struct cc_signal_watch {
  uv_signal_t handle;
  struct cc_relay *relay;
};

struct cc_slot { // where an id leads
  struct cc_exchange *exchange;
  uint32_t generation;
};

struct cc_relay {
  uv_loop_t loop;
  struct cc_settings settings;
  struct cc_inbound_settings inbound_settings;
  uint32_t most_clients; // connections; 0: no limit
  struct cc_resolver *resolver;
  struct cc_pool *pool;
  struct cc_watch *watches;
  struct cc_listeners *listeners;
  struct cc_channels *channels; // worker.c
  struct cc_job *jobs;          // job.c
  double job_count;
  struct cc_clock clocks[CC_TIMERS];
  struct cc_signal_watch signals[CC_SIGNALS];
  int signal_count;
  struct cc_slot *slots;
  uint32_t slot_count;
  uint32_t *free_slots;
  uint32_t free_count;
  uint32_t open;           // exchanges
  struct cc_event *events; // a ring
  uint32_t event_first, event_count, event_capacity;
  double looked;                 // cc_now() when the loop ran last
  struct cc_exchange *delivered; // DONE went to Lua; freed at the next cc_next
  struct cc_buffer message;      // of the MESSAGE event last returned
  bool draining;
  bool closing;
};

// Puts an event behind the others, a MESSAGE before them.
void cc_relay_post(struct cc_relay *relay, uint32_t type, int32_t detail, cc_id id);

// The exchange an id names, or NULL when it has ended.
struct cc_exchange *cc_relay_exchange(struct cc_relay *relay, cc_id id);

// Gives an exchange its slot and id; takes them back.
void cc_relay_admit(struct cc_relay *relay, struct cc_exchange *exchange);
void cc_relay_dismiss(struct cc_relay *relay, struct cc_exchange *exchange);

// The events an inbound connection raises: exchange.c.
extern const struct cc_inbound_events cc_exchange_inbound;

// worker.c: closes the channels of a relay; and queues the next message into relay->message.
void cc_channels_close(struct cc_relay *relay);
bool cc_channels_take(struct cc_relay *relay, int slot);

// job.c: the event of a job is being returned; frees those whose event has been returned (all:
// every one).
void cc_job_notified(struct cc_relay *relay, cc_id id);
void cc_jobs_free(struct cc_relay *relay, bool all);

// worker.c: a forked process lets go of the descriptors of its parent's relay, which it must not use.
void cc_relay_close_descriptors(struct cc_relay *relay);

// worker.c: tells of every child that has ended.
void cc_workers_reap(struct cc_relay *relay);
#endif
