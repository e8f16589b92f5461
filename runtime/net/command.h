// SPDX-License-Identifier: Apache-2.0
// A program that is run for what it writes: no shell, no input, in a session of its own, so that
// it can be killed with all it has started.
#ifndef CC_NET_COMMAND_H
#define CC_NET_COMMAND_H
#include "api/types.h"
#include <uv.h>

struct cc_program;

// Arguments are the program (found like a shell does) and what it is given, each ended by NUL.
bool cc_command_is_sound(struct cc_slice arguments);

// Starts it. output is called with each piece of stdout; ended once, when the program has ended
// and its stdout too: CC_OK and the exit code, or CC_ESYSTEM and minus the signal that killed it.
// Both are called from the loop only. The owner drops it, whatever happens; within them too.
struct cc_program *cc_command_start(uv_loop_t *loop, struct cc_slice arguments,
                                    void (*output)(void *data, struct cc_slice piece),
                                    void (*ended)(void *data, int error, int status), void *data);

// Why it could not be started: CC_ENOTFOUND, CC_ESYSTEM; or CC_OK. Then nothing is called.
int cc_command_error(const struct cc_program *program);

// The beginning of what it wrote to stderr so far, or else why it failed; until it is dropped.
struct cc_slice cc_command_words(const struct cc_program *program);

// Kills it, with all it has started, if it has not ended. Nothing is called any more. Its memory
// is wiped and freed when the loop has run.
void cc_command_drop(struct cc_program *program);
#endif
