// SPDX-License-Identifier: Apache-2.0
// The queue of events of a process that cc_next hands to Lua.
#ifndef CC_EVENTS_H
#define CC_EVENTS_H
#include "api/types.h"
#include "net/timer.h"

struct cc_events {
  uv_loop_t *loop;        // stops running when an event is posted
  struct cc_event *items; // a ring
  uint32_t first, count, capacity;
};

// Appends an event. A MESSAGE goes before all others: a worker must take a new policy before further
// requests meet the one that fails. Messages are all alike, their texts wait in order in their channel.
void cc_events_post(struct cc_events *events, uint32_t type, int32_t detail, cc_id id);

// Takes the first event; false when there is none.
bool cc_events_take(struct cc_events *events, struct cc_event *event);

void cc_events_free(struct cc_events *events);
#endif
