// SPDX-License-Identifier: Apache-2.0
#include "loop/events.h"
#include "api/loop.h"
#include "base/buffer.h"
#include <stdlib.h>

static void grow(struct cc_events *events) {
  uint32_t capacity = events->capacity ? events->capacity * 2 : 64;
  struct cc_event *grown = cc_alloc(capacity * sizeof *grown);
  for (uint32_t i = 0; i < events->count; i++)
    grown[i] = events->items[(events->first + i) % events->capacity];
  free(events->items);
  events->items = grown;
  events->first = 0;
  events->capacity = capacity;
}

void cc_events_post(struct cc_events *events, uint32_t type, int32_t detail, cc_id id) {
  if (events->count == events->capacity) grow(events);
  uint32_t capacity = events->capacity;
  uint32_t at = (events->first + events->count++) % capacity;
  if (type == CC_EVENT_MESSAGE) at = events->first = (events->first + capacity - 1) % capacity;
  events->items[at] = (struct cc_event){type, detail, id};
  uv_stop(events->loop); // older libuv runs timers first, and would then wait with this one queued
}

bool cc_events_take(struct cc_events *events, struct cc_event *event) {
  if (!events->count) return false;
  *event = events->items[events->first];
  events->first = (events->first + 1) % events->capacity;
  events->count--;
  return true;
}

void cc_events_free(struct cc_events *events) {
  free(events->items);
  *events = (struct cc_events){0};
}
