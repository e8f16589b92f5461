// SPDX-License-Identifier: Apache-2.0
// Writes the log (api/log.h). Lines wait in a ring of 1 MiB for a thread that writes them and adds "\n".
// Before cc_log_open they go to stderr.
//
// - cc_log never waits: a line that finds no room, is longer than 256 KiB, or cannot be written, is dropped
//   and counted.
// - Lines are written whole: to a pipe, terminal or socket in writes of at most 4096 bytes, which pipes keep
//   together when several processes write (pipe(7), PIPE_BUF); to a file in one append. The first line after
//   a pause is written at once, those right behind it together, within 10 ms.
// - A file is made with mode 0600. It is opened again when it was moved or removed, which is checked once a
//   second while lines come. If that fails, the old file stays in use.
// - Lines not yet written when cc_log_open is called go to the new destination. If it fails, the old one
//   stays in use.
// - A forked child begins with an empty ring, the destination of its parent, and a count of 0 (unless
//   cc_log_count_in shares it). Its thread starts with its first line.
// - The writing thread gets no signals, and a closed pipe raises none.
#ifndef CC_BASE_LOG_H
#define CC_BASE_LOG_H
#include "api/log.h"
#include <stdatomic.h>

// Counts dropped lines in *total, which the caller owns, so that processes can share a count. What this
// process has dropped so far is added. NULL: it counts for itself again.
void cc_log_count_in(_Atomic uint64_t *total);

// Writes what can be written at once, drops the rest, ends the thread and frees everything. The log can be
// used again afterwards and begins at stderr.
void cc_log_close(void);
#endif
