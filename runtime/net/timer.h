// SPDX-License-Identifier: Apache-2.0
// A deadline that is moved at the cost of a store: the timer of libuv is only touched when it fires too early.
#ifndef CC_NET_TIMER_H
#define CC_NET_TIMER_H
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct cc_timer {
  uv_timer_t handle;
  uint64_t due; // loop time in ms; 0: off
  void (*fire)(struct cc_timer *timer);
  void *data; // belongs to the owner
};

void cc_timer_init(struct cc_timer *timer, uv_loop_t *loop, void (*fire)(struct cc_timer *));
// Fires once, ms from now (0: never). Setting it again moves it either way. cc_timer_stop switches it off.
void cc_timer_set(struct cc_timer *timer, uint64_t ms);
void cc_timer_stop(struct cc_timer *timer);
// Closes the handle; its memory may be freed from closed (may be NULL) on.
void cc_timer_close(struct cc_timer *timer, uv_close_cb closed);
#endif
