// SPDX-License-Identifier: Apache-2.0
// Forks workers and helpers. Each is a fork of the master without exec: it has the same library, configuration
// and generation, so a worker that replaces a dead one does not read newer files than the others.
#include "api/process.h"
#include "base/error.h"
#include "net/listener.h"
#include "process/channel.h"
#include "process/children.h"
#include "shared/shared.h"
#include <sys/socket.h>
#include <unistd.h>

// A helper must not keep a listening socket open: clients would wait for it when all others have closed it.
static void become(struct cc_relay **relay, uint32_t slot, int channel, pid_t master) {
  cc_child_begin(master);
  struct cc_relay *old = *relay, *fresh = cc_open();
  cc_listeners_inherit(fresh->listeners, old->listeners, slot);
  if (slot >= CC_HELPER_SLOT) cc_listeners_drain(fresh->listeners);
  cc_configure(fresh, &old->settings);
  cc_child_drop_relay(old);
  cc_channel_open(fresh, channel, -1);
  cc_shared_this((int)slot);
  *relay = fresh;
}

int cc_fork(struct cc_relay **relay, uint32_t slot) {
  int pair[2];
  pid_t master = getpid();
  cc_channel_close(*relay, (int)slot);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return cc_fail_errno(CC_ESYSTEM, "socketpair");
  pid_t pid = fork();
  if (pid < 0) {
    close(pair[0]);
    close(pair[1]);
    return cc_fail_errno(CC_ESYSTEM, "fork");
  }
  if (pid == 0) {
    close(pair[0]);
    become(relay, slot, pair[1], master);
    return 1;
  }
  close(pair[1]);
  cc_channel_open(*relay, pair[0], (int)slot);
  cc_shared_slot_started((int)slot, pid);
  return 0;
}
