// SPDX-License-Identifier: Apache-2.0
#include "process/children.h"
#include "api/process.h"
#include "base/error.h"
#include "shared/limit.h"
#include "shared/shared.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t preview;                       // the child of cc_child
static struct cc_relay *volatile inherited; // the parent's; keeps it reachable for leak checkers

// ---- In the child ------------------------------------------------------------------------------

void cc_child_begin(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
}

static void close_descriptor(uv_handle_t *handle, void *data) {
  uv_os_fd_t fd;
  (void)data;
  if (handle->type == UV_SIGNAL) uv_signal_stop((uv_signal_t *)handle);
  bool socket = handle->type == UV_TCP || handle->type == UV_NAMED_PIPE;
  if (socket && uv_fileno(handle, &fd) == 0) close(fd);
}

// The child must not run the parent's loop or close it in an orderly way: the connections are the
// parent's.
void cc_child_drop_relay(struct cc_relay *relay) {
  uv_walk(&relay->loop, close_descriptor, NULL);
  close(uv_backend_fd(&relay->loop));
  inherited = relay;
}

// ---- In the parent -----------------------------------------------------------------------------

int cc_child(void) {
  pid_t parent = getpid(), pid = fork();
  if (pid < 0) return cc_fail_errno(CC_ESYSTEM, "fork");
  if (pid > 0) return preview = pid;
  cc_child_begin(parent);
  return 0;
}

bool cc_child_signal(int pid, int number) {
  int status;
  if (number) kill(pid, number);
  return waitpid(pid, &status, WNOHANG) != 0;
}

static int status_of(int status) {
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static bool has_ended(pid_t pid, int *status) {
  return pid > 0 && waitpid(pid, status, WNOHANG) == pid;
}

static void reap_from(struct cc_relay *relay, uint32_t slot) {
  int status;
  struct cc_worker worker;
  for (; cc_worker(slot, &worker) == CC_OK; slot++) {
    if (!has_ended(worker.pid, &status)) continue;
    cc_limit_refund_worker(slot);
    cc_shared_slot_ended(slot, status_of(status));
    cc_events_post(&relay->events, CC_EVENT_CHILD, (int32_t)slot, 0);
  }
}

// Waits for each by its pid: libuv waits for the programs that net/command.c starts.
void cc_children_reap(struct cc_relay *relay) {
  int status;
  if (has_ended(preview, &status)) preview = 0;
  reap_from(relay, 0);
  reap_from(relay, CC_HELPER_SLOT);
}
