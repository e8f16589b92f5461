// SPDX-License-Identifier: Apache-2.0
#include "loop/timers.h"
#include "api/error.h"
#include "api/loop.h"

static void on_timer(struct cc_timer *timer) {
  struct cc_numbered_timer *numbered = timer->data;
  cc_events_post(numbered->events, CC_EVENT_TIMER, numbered->number, 0);
}

void cc_timers_init(struct cc_timers *timers, struct cc_events *events) {
  for (int i = 0; i < CC_TIMERS; i++) {
    struct cc_numbered_timer *numbered = &timers->timer[i];
    numbered->events = events;
    numbered->number = i;
    cc_timer_init(&numbered->timer, events->loop, on_timer);
    numbered->timer.data = numbered;
  }
}

int cc_timers_set(struct cc_timers *timers, int number, double delay_ms) {
  if (number < 0 || number >= CC_TIMERS || delay_ms > 2147483647.0) return CC_EINVAL;
  struct cc_timer *timer = &timers->timer[number].timer;
  cc_timer_stop(timer);
  if (delay_ms >= 0)
    cc_timer_set(timer, (uint64_t)delay_ms + 1);
  else
    uv_timer_stop(&timer->handle);
  return CC_OK;
}

void cc_timers_close(struct cc_timers *timers) {
  for (int i = 0; i < CC_TIMERS; i++)
    cc_timer_close(&timers->timer[i].timer, NULL);
}
