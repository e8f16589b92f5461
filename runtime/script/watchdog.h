// SPDX-License-Identifier: Apache-2.0
// The deadline on scripts in every stay in Lua: a stay begins when cc_next returns and ends when it
// is called again, and what counts in it is the time in which scripts run, not the library's. A timer
// on the processor time of the thread looks every few ms of use; waiting for a busy machine does not
// count, and there is no second thread that a fork could catch in the middle of something. It knows
// nothing of Lua: lua_state.c does.
#ifndef CC_WATCHDOG_H
#define CC_WATCHDOG_H
#include <stdbool.h>
#include <stddef.h>

// overdue is called in a signal handler of the thread that stays, again every few ms as long as it
// does; over at the end of a stay that was overdue. limit_ms: processor time; 0: no deadline.
void cc_watchdog_init(double limit_ms, void (*overdue)(void), void (*over)(void));

// taken: where the memory is counted that scripts take in the stay, as long as it lasts; NULL: it
// counts for this stay alone.
void cc_watchdog_begin(size_t *taken);
void cc_watchdog_end(void);

// Makes the stay overdue at once.
void cc_watchdog_expire(void);

// Another number in every stay that has a deadline.
unsigned cc_watchdog_turn(void);

// The counter of the memory that scripts have taken, of this stay.
size_t *cc_watchdog_allocated(void);

// Is a script running, rather than the library below it? (cc_watchdog_enter of relay.h)
bool cc_watchdog_in_script(void);

// Is a script running, or the library because the script called it?
bool cc_watchdog_for_script(void);
#endif
