// SPDX-License-Identifier: Apache-2.0
// Forked processes: what a child does with its parent's relay, and how the parent learns of ends.
#ifndef CC_CHILDREN_H
#define CC_CHILDREN_H
#include "loop/engine.h"
#include <sys/types.h>

// In a child just forked: has the system kill it when its parent ends, at once if that has happened.
void cc_child_begin(pid_t parent);

// In a child: closes the descriptors of its parent's relay, which must not be used any more. The
// relay's memory stays.
void cc_child_drop_relay(struct cc_relay *relay);

// In the parent, after SIGCHLD: posts a CHILD event for each worker or helper that has ended, and
// gives back what it had reserved.
void cc_children_reap(struct cc_relay *relay);
#endif
