// SPDX-License-Identifier: Apache-2.0
// The log: what relay.h says about cc_log and its kin. Lines wait in a ring of 1 MiB for a thread
// that writes them; "\n" is added. Before cc_log_open they go to stderr.
//
// - cc_log never waits for the sink: a line that finds no room, is longer than 256 KiB, or meets a
//   sink that fails, is dropped and counted.
// - Lines are written whole: to a pipe, terminal or socket in writes of at most 4096 bytes, which
//   pipes keep together when several processes write; to a file in one append. The first line after
//   a silence is written at once, those right behind it together, 10 ms later at most.
// - A file is made with mode 0600, and opened anew when it was moved or removed (looked at once a
//   second while there is something to write). If that fails, the old one is used on.
// - Lines not yet written when cc_log_open is called go to the new sink. On an error it keeps the
//   old one.
// - A forked child begins with an empty ring, a count of 0 (unless cc_log_count_in shares it) and the sink of its parent; its thread
//   starts with its first line.
// - No signal is delivered to the writing thread, and a closed pipe raises none.
#ifndef CC_BASE_LOG_H
#define CC_BASE_LOG_H
#include "api/log.h"
#include <stdatomic.h>

// Has dropped lines counted in *total, which is the caller's: processes that share it have one
// count. What this process has dropped so far is added to it. NULL: it counts for itself again.
void cc_log_count_in(_Atomic uint64_t *total);

// Writes what the sink takes at once, drops the rest, ends the thread and frees everything. The
// log can be used again afterwards; it begins at stderr.
void cc_log_close(void);
#endif
