// SPDX-License-Identifier: Apache-2.0
// A deadline that can be moved for the price of a store: the loop's timer is only touched when it
// rings too early.
#ifndef CC_NET_TIMER_H
#define CC_NET_TIMER_H
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct cc_timer {
  uv_timer_t handle;
  uint64_t due; // loop time in ms; 0: off
  void (*ring)(struct cc_timer *timer);
  void *data; // the owner's
};

void cc_timer_init(struct cc_timer *timer, uv_loop_t *loop, void (*ring)(struct cc_timer *));
// Rings once, ms from now; again moves it either way. 0 ms or cc_timer_stop switches it off.
void cc_timer_set(struct cc_timer *timer, uint64_t ms);
void cc_timer_stop(struct cc_timer *timer);
// Closes the handle; closed (may be NULL) tells when its memory may go.
void cc_timer_close(struct cc_timer *timer, uv_close_cb closed);
#endif
