// SPDX-License-Identifier: Apache-2.0
#include "process/signals.h"
#include "api/error.h"
#include "base/buffer.h"
#include "process/children.h"
#include <signal.h>
#include <stdlib.h>

enum { SIGNALS = 8 };

struct cc_signal {
  uv_signal_t handle;
  struct cc_relay *relay;
  struct cc_signal *next;
};

static void on_signal(uv_signal_t *handle, int number) {
  struct cc_relay *relay = ((struct cc_signal *)handle)->relay;
  if (number == SIGCHLD)
    cc_children_reap(relay);
  else
    cc_events_post(&relay->events, CC_EVENT_SIGNAL, number, 0);
}

static void on_closed(uv_handle_t *handle) {
  free((struct cc_signal *)handle);
}

static int count(const struct cc_relay *relay) {
  int count = 0;
  for (const struct cc_signal *watched = relay->signals; watched; watched = watched->next)
    count++;
  return count;
}

int cc_signal(struct cc_relay *relay, int number) {
  if (count(relay) == SIGNALS) return CC_ELIMIT;
  struct cc_signal *watched = cc_alloc(sizeof *watched);
  watched->relay = relay;
  watched->next = relay->signals;
  relay->signals = watched;
  uv_signal_init(&relay->loop, &watched->handle);
  return uv_signal_start(&watched->handle, on_signal, number) == 0 ? CC_OK : CC_EINVAL;
}

void cc_signals_close(struct cc_relay *relay) {
  for (struct cc_signal *watched = relay->signals; watched;) {
    struct cc_signal *next = watched->next;
    uv_close((uv_handle_t *)&watched->handle, on_closed);
    watched = next;
  }
  relay->signals = NULL;
}
