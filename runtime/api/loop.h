// SPDX-License-Identifier: Apache-2.0
// The event loop of a process. Lua calls cc_next again and again; the C loop runs inside that call,
// which returns with one event.
#ifndef CC_API_LOOP_H
#define CC_API_LOOP_H
#include "api/types.h"
#pragma GCC visibility push(default)

enum cc_event_type {
  CC_EVENT_NONE = 0,
  CC_EVENT_READY = 1,   // id: a new exchange with its request head; detail 1: the body is complete
  CC_EVENT_BODY = 2,    // id: the body of an accepted exchange is complete
  CC_EVENT_OUTCOME = 3, // id: attempt number detail of this exchange has an outcome
  CC_EVENT_TIMER = 4,   // id: the timer of this exchange (id 0: timer number detail of the process)
  CC_EVENT_WRITABLE = 5, // id: the client of an answer in pieces takes bytes again
  CC_EVENT_DONE = 6,     // id: the exchange has ended; cc_report works until the next cc_next
  CC_EVENT_FILE = 7,     // detail: the watch whose folder has changed
  CC_EVENT_CHILD = 8,    // detail: the slot whose process has ended
  CC_EVENT_MESSAGE = 9,  // detail: the slot that sent it (-1: the master); see cc_message
  CC_EVENT_SIGNAL = 10,  // detail: the signal number
  CC_EVENT_FETCH = 11    // id: this job is over; see cc_fetched
};

struct cc_event {
  uint32_t type;
  int32_t detail;
  cc_id id;
};

// What the configuration bounds (server.*). 0: no deadline.
struct cc_settings {
  uint32_t body_bytes;       // request body
  uint32_t content_ms;       // from the request to the first content that goes to the client
  uint32_t idle_ms;          // between two reads of a response body
  uint32_t total_ms;         // whole exchange
  uint32_t idle_connections; // that are kept for each upstream host; 0 keeps none
};

enum { CC_PING_MS = 15000 }; // an event stream that is silent for so long gets a ping

// Makes a relay with its loop for this process. Never fails: the process aborts without memory.
struct cc_relay *cc_open(void);

// Closes everything at once and frees the relay. All its ids are stale then.
void cc_close(struct cc_relay *relay);

// Puts settings in force for everything that starts later.
void cc_configure(struct cc_relay *relay, const struct cc_settings *settings);

// Runs the loop until there is an event and fills it in. False when nothing is left that could make
// one: no listener, exchange, timer, signal or channel is open.
bool cc_next(struct cc_relay *relay, struct cc_event *event);

// Counts in this histogram, each time that Lua handled events, how long the loop did not run meanwhile: for
// so long nothing else of this process was served. A negative number ends it.
void cc_measure_lag(struct cc_relay *relay, int histogram);

// Starts timer number (0 to 15) of the process: a TIMER event with id 0 comes after delay_ms. Starting
// it again moves it; a negative delay stops it. CC_EINVAL for other numbers or more than 2^31 - 1 ms.
int cc_timer(struct cc_relay *relay, int number, double delay_ms);

// Watches the folder at path for changes of the files in it: returns a watch number of 0 or more, the
// same for the same folder. Each change is a FILE event. CC_ENOTFOUND when it is no folder, CC_ELIMIT
// with 64 watched already, CC_ESYSTEM. cc_unwatch ends the watch.
int cc_watch(struct cc_relay *relay, const char *path);
void cc_unwatch(struct cc_relay *relay, int watch);

// Makes SIGNAL events of a signal (CHILD events of SIGCHLD). CC_ELIMIT after 8, CC_EINVAL.
int cc_signal(struct cc_relay *relay, int number);

// Tells the watchdog whose code runs from here on. While Lua handles one event, the processor time of
// CC_SCRIPT (policies and adapters) counts fully towards the deadline, that of CC_CALLED (library code
// that a script called or that called a script) counts a tenth, that of CC_LIBRARY not at all. A script
// over its deadline gets an ordinary Lua error.
enum cc_place { CC_LIBRARY, CC_SCRIPT, CC_CALLED };
void cc_watchdog_enter(int place);

// Scripts of another exchange run from here on, within the same event: what scripts have used before
// does not count for them.
void cc_watchdog_restart(struct cc_relay *relay, cc_id exchange);

#pragma GCC visibility pop
#endif
