// SPDX-License-Identifier: Apache-2.0
// Runs a program for its output: no shell, no input, in a session of its own, so that it can be killed with all
// it has started.
#ifndef CC_NET_COMMAND_H
#define CC_NET_COMMAND_H
#include "api/types.h"
#include <uv.h>

struct cc_program;

// Whether arguments are well-formed: the program (looked up in PATH) and its arguments, each ended by NUL.
bool cc_command_is_sound(struct cc_slice arguments);

// Starts it. output is called with each piece of stdout; ended once, when the program and its stdout have
// ended: CC_OK and the exit code, or CC_ESYSTEM and minus the signal. Both are called from the loop only.
// The caller owns the program and must drop it in any case, also from within these calls.
struct cc_program *cc_command_start(uv_loop_t *loop, struct cc_slice arguments,
                                    void (*output)(void *data, struct cc_slice piece),
                                    void (*ended)(void *data, int error, int status), void *data);

// CC_OK, or why it could not be started (CC_ENOTFOUND, CC_ESYSTEM); then neither is called.
int cc_command_error(const struct cc_program *program);

// The beginning of what it wrote to stderr so far, else why it failed. Borrowed until it is dropped.
struct cc_slice cc_command_words(const struct cc_program *program);

// Kills it with all it has started, if it has not ended. Neither is called any more. Its memory is wiped and
// freed when the loop has run.
void cc_command_drop(struct cc_program *program);
#endif
