// SPDX-License-Identifier: Apache-2.0
// The numbered timers of a process: cc_timer starts one, which ends with a TIMER event.
#ifndef CC_TIMERS_H
#define CC_TIMERS_H
#include "loop/events.h"

enum { CC_TIMERS = 16 };

struct cc_numbered_timer {
  struct cc_timer timer;
  struct cc_events *events;
  int number;
};

struct cc_timers {
  struct cc_numbered_timer timer[CC_TIMERS];
};

void cc_timers_init(struct cc_timers *timers, struct cc_events *events);

// See cc_timer (api/loop.h).
int cc_timers_set(struct cc_timers *timers, int number, double delay_ms);

// Closes all handles; the memory may be freed when the loop has run.
void cc_timers_close(struct cc_timers *timers);
#endif
