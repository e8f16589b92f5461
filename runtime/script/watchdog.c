// SPDX-License-Identifier: Apache-2.0
#include "script/watchdog.h"
#include "api/loop.h"
#include "shared/shared.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 5 };

static double limit;
static void (*tell_overdue)(void);
static void (*tell_over)(void);
static bool watched;      // the timer of this process runs
static atomic_uint turns; // odd: within a turn
static atomic_int place;  // enum cc_place; used by the thread that runs Lua and its signal handler
static atomic_bool was_overdue;
static size_t of_stay;
static size_t *taken = &of_stay;
static unsigned seen; // used by the handler: the turn it met last, when, and what scripts had used
static double met_at, used;

static double used_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec * 1000 + (double)time.tv_nsec / 1e6;
}

void cc_watchdog_expire(void) {
  if (atomic_exchange(&was_overdue, true)) return;
  tell_overdue();
}

// The part of the time since the last tick that counts. All of it is attributed to what runs at this
// tick: a sample, which is right in the long run and needs no clock when a script calls the library.
static double share(void) {
  switch (atomic_load(&place)) {
  case CC_SCRIPT:
    return 1;
  case CC_CALLED:
    return 1.0 / 10;
  default:
    return 0;
  }
}

static void on_tick(int number) {
  (void)number;
  unsigned now = atomic_load(&turns);
  double at = used_ms();
  if (now != seen)
    used = 0;
  else if (now & 1)
    used += (at - met_at) * share();
  seen = now;
  met_at = at;
  if (used < limit) return;
  atomic_store(&was_overdue, true);
  tell_overdue();
}

// It ticks only while this thread uses the processor, so an idle process is not woken.
static void start(void) {
  struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
  struct itimerspec every = {.it_interval = {0, TICK_MS * 1000000L},
                             .it_value = {0, TICK_MS * 1000000L}};
  timer_t timer;
  watched = true;
  event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
  sigaction(SIGALRM, &action, NULL);
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0)
    timer_settime(timer, 0, &every, NULL);
}

// A forked child does not inherit timers.
static void in_child(void) {
  watched = false;
}

static void prepare(void) {
  pthread_atfork(NULL, NULL, in_child);
}

void cc_watchdog_init(double limit_ms, void (*overdue)(void), void (*over)(void)) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, prepare);
  limit = limit_ms;
  tell_overdue = overdue;
  tell_over = over;
}

void cc_watchdog_begin(size_t *counter) {
  if (!tell_overdue || limit <= 0 || atomic_load(&turns) & 1) return;
  if (!watched) start();
  of_stay = 0;
  taken = counter ? counter : &of_stay;
  atomic_fetch_add(&turns, 1);
}

void cc_watchdog_end(void) {
  atomic_store_explicit(&place, CC_LIBRARY, memory_order_relaxed);
  taken = &of_stay;
  if (!(atomic_load(&turns) & 1)) return;
  atomic_fetch_add(&turns, 1);
  if (atomic_load(&was_overdue) && atomic_exchange(&was_overdue, false)) tell_over();
}

size_t *cc_watchdog_allocated(void) {
  return taken;
}

unsigned cc_watchdog_turn(void) {
  return atomic_load_explicit(&turns, memory_order_relaxed);
}

void cc_watchdog_enter(int where) {
  atomic_store_explicit(&place, where, memory_order_relaxed);
  cc_shared_script(where == CC_SCRIPT);
  if (where == CC_SCRIPT) cc_watchdog_begin(NULL);
}

bool cc_watchdog_in_script(void) {
  return atomic_load_explicit(&place, memory_order_relaxed) == CC_SCRIPT;
}

bool cc_watchdog_for_script(void) {
  return atomic_load_explicit(&place, memory_order_relaxed) != CC_LIBRARY;
}
