// SPDX-License-Identifier: Apache-2.0
// Measures the processor time of scripts and reports when they are over their deadline. A turn begins when
// cc_next returns and ends when it is called again; only time in which scripts run counts, not that of the
// library. A timer on the processor time of the thread ticks every few ms, so waiting for a busy machine
// does not count, and there is no second thread that a fork could catch in the middle of something. It
// knows nothing of Lua: lua_state.c does.
#ifndef CC_WATCHDOG_H
#define CC_WATCHDOG_H
#include <stdbool.h>
#include <stddef.h>

// Sets the deadline in ms of processor time; 0: none. overdue is called in a signal handler of the thread
// that runs Lua, again every few ms while the script goes on; over at the end of a turn that was overdue.
void cc_watchdog_init(double limit_ms, void (*overdue)(void), void (*over)(void));

// Begins and ends a turn. taken: where the memory that scripts allocate in it is counted; it must outlive
// the turn. NULL: it is counted for this turn alone.
void cc_watchdog_begin(size_t *taken);
void cc_watchdog_end(void);

// Makes the turn overdue at once.
void cc_watchdog_expire(void);

// The number of the turn, another one for every turn that has a deadline.
unsigned cc_watchdog_turn(void);

// The counter of the memory that scripts have allocated in this turn.
size_t *cc_watchdog_allocated(void);

// Whether a script is running, not the library below it (cc_watchdog_enter in api/loop.h).
bool cc_watchdog_in_script(void);

// Whether a script is running, or the library because a script called it.
bool cc_watchdog_for_script(void);
#endif
