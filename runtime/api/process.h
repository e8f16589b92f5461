// SPDX-License-Identifier: Apache-2.0
// Processes: the master, its workers, its helpers, and short-lived children. Each is forked without exec. A
// helper does work of the relay beside the workers and serves no client; its slot is CC_HELPER_SLOT or more.
#ifndef CC_API_PROCESS_H
#define CC_API_PROCESS_H
#include "api/types.h"
#pragma GCC visibility push(default)

enum {
  CC_HELPER_SLOT = 1024,
  CC_HELPERS = 8
}; // slots of helpers: CC_HELPER_SLOT to CC_HELPER_SLOT + 7

// Maps the memory that all processes share, with room for up to 256 workers. Once (CC_ESTATE), before any
// fork. Without it, cells, limits and secrets belong to this process alone.
int cc_share(uint32_t workers);

// Forks a worker or a helper for a slot. Returns 1 in the child and replaces *relay with a new relay that has
// a channel to the master and, in a worker, the parent's listeners, not accepting yet; the child ends when the
// master ends. Returns 0 in the parent, or CC_ESYSTEM.
int cc_fork(struct cc_relay **relay, uint32_t slot);

// Forks a child that is no worker and is killed when this process ends. Returns 0 in the child, its pid
// in the parent, or CC_ESYSTEM. To be called before every other function of this header.
int cc_child(void);

// Sends a signal (0: none) to such a child, and returns whether it has ended; if so, its pid is free.
bool cc_child_signal(int pid, int number);

// Forks a child for code that may hang or crash. Returns 0 in the child: it is killed when this process ends, when it
// has used cpu_ms (rounded up to seconds) of processor time, and after six times as long in all, so that a busy machine
// does not end it. It has no relay, and finishes with cc_preflight_end. Returns a job id in the
// parent, or an error below 0; a FETCH event always follows. cc_fetched has then: CC_OK, its exit code
// as status and what it wrote as body; CC_ETOTAL_TIMEOUT; CC_EBODY_SIZE when it wrote more than
// answer_bytes; CC_ESYSTEM when a signal ended it, with minus the signal as status.
cc_id cc_preflight(struct cc_relay *relay, uint32_t cpu_ms, uint32_t answer_bytes);

// In that child only: writes to the parent; ends the child with exit code 0.
void cc_preflight_write(const char *data, uint32_t size);
void cc_preflight_end(void);

struct cc_worker {
  int32_t pid;    // 0: none
  int32_t status; // of the last process in this slot: exit code, or minus the signal that ended it
  double started; // cc_time() when it was started
  double busy;    // cc_now() since when it has been in Lua; 0: its loop waits
  double exchanges; // open exchanges
  bool script;      // a script is running, or was when the process ended
};

// Fills in the state of a slot of a worker or helper. CC_ENOTFOUND when there is no such slot.
int cc_worker(uint32_t slot, struct cc_worker *out);

// The processor time in ms that the process in a slot has used, all its threads; -1 when there is none.
double cc_worker_cpu(uint32_t slot);

// Sends a signal to the process in a slot. CC_ENOTFOUND when there is none.
int cc_kill(uint32_t slot, int number);

// Sends a message of up to 16 MiB over the channel: the master to a slot, a worker or helper to -1. It
// becomes a MESSAGE event there, before other events. CC_ELIMIT when it is larger, CC_ENOTFOUND when there is
// no such channel, CC_ERESET when the other end is gone.
int cc_send(struct cc_relay *relay, int slot, const char *data, uint32_t size);

// Tells the service manager the state of this process, as sd_notify(3) does: lines such as "READY=1". Does
// not wait. CC_OK, CC_ENOTFOUND without NOTIFY_SOCKET in the environment, CC_EINVAL when that is neither a
// path nor an abstract socket ("@NAME"), CC_ESYSTEM.
int cc_notify(const char *state);

// The bytes of the MESSAGE event just returned.
int cc_message(struct cc_relay *relay, struct cc_slice *out);

#pragma GCC visibility pop
#endif
