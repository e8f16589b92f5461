// SPDX-License-Identifier: Apache-2.0
// The log. A thread of its own writes each line as a whole; when the destination is stuck, lines are
// dropped and counted, and the relay goes on.
#ifndef CC_API_LOG_H
#define CC_API_LOG_H
#include "api/types.h"
#pragma GCC visibility push(default)

// Opens the destination: "stdout", "stderr" or the path of a file, which is appended to.
int cc_log_open(const char *path);

// Queues a line, without its end.
void cc_log(const char *line, uint32_t size);

// Lines dropped so far: by this process, after cc_share by all of them.
double cc_log_dropped(void);

// Waits until all lines are written, for wait_ms at most.
void cc_log_flush(double wait_ms);

#pragma GCC visibility pop
#endif
