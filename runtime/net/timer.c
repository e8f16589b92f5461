// SPDX-License-Identifier: Apache-2.0
#include "net/timer.h"

static void on_timer(uv_timer_t *handle) {
  struct cc_timer *timer = (struct cc_timer *)handle;
  if (!timer->due) return;
  uint64_t now = uv_now(handle->loop);
  if (now < timer->due) {
    uv_timer_start(handle, on_timer, timer->due - now, 0);
    return;
  }
  timer->due = 0;
  timer->fire(timer);
}

void cc_timer_init(struct cc_timer *timer, uv_loop_t *loop, void (*fire)(struct cc_timer *)) {
  uv_timer_init(loop, &timer->handle);
  timer->due = 0;
  timer->fire = fire;
}

void cc_timer_set(struct cc_timer *timer, uint64_t ms) {
  if (!ms) {
    timer->due = 0;
    return;
  }
  timer->due = uv_now(timer->handle.loop) + ms;
  uv_handle_t *handle = (uv_handle_t *)&timer->handle;
  if (uv_is_closing(handle)) return;
  if (uv_is_active(handle) && uv_timer_get_due_in(&timer->handle) <= ms) return;
  uv_timer_start(&timer->handle, on_timer, ms, 0);
}

void cc_timer_stop(struct cc_timer *timer) {
  timer->due = 0;
}

void cc_timer_close(struct cc_timer *timer, uv_close_cb closed) {
  timer->due = 0;
  uv_close((uv_handle_t *)&timer->handle, closed);
}
