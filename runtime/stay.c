// SPDX-License-Identifier: Apache-2.0
#include "stay.h"
#include "relay.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

enum { TICK_MS = 5, IDLE_TICKS = 100 };

static double limit;
static void (*tell_overdue)(void);
static void (*tell_over)(void);
static pthread_t staying;
static bool watched;          // the watching thread of this process runs
static atomic_uint stays;     // odd: in a stay
static atomic_bool in_script; // of the staying thread and its signal handler alone
static atomic_bool was_overdue;
static atomic_bool parked;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static double used_ms(void) {
  clockid_t clock;
  struct timespec time;
  if (pthread_getcpuclockid(staying, &clock) || clock_gettime(clock, &time)) return 0;
  return (double)time.tv_sec * 1000 + (double)time.tv_nsec / 1e6;
}

static void park(void) {
  pthread_mutex_lock(&lock);
  atomic_store(&parked, true);
  if (!(atomic_load(&stays) & 1)) pthread_cond_wait(&wake, &lock);
  atomic_store(&parked, false);
  pthread_mutex_unlock(&lock);
}

static void *watch(void *data) {
  (void)data;
  const struct timespec tick = {0, TICK_MS * 1000000L};
  unsigned seen = 0, idle = 0;
  double start = 0;
  for (;;) {
    unsigned now = atomic_load(&stays);
    if (now != seen || !(now & 1)) {
      idle = now == seen ? idle + 1 : 0;
      seen = now;
      start = used_ms();
    } else if (used_ms() - start >= limit) {
      pthread_kill(staying, SIGALRM);
    }
    if (idle > IDLE_TICKS) park();
    nanosleep(&tick, NULL);
  }
  return NULL;
}

static void on_alarm(int number) {
  (void)number;
  if (!(atomic_load(&stays) & 1)) return;
  atomic_store(&was_overdue, true);
  tell_overdue();
}

static void start(void) {
  pthread_t thread;
  sigset_t all, before;
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  watched = true;
  staying = pthread_self();
  pthread_mutex_init(&lock, NULL);
  pthread_cond_init(&wake, NULL);
  atomic_store(&parked, false);
  sigaction(SIGALRM, &action, NULL);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (pthread_create(&thread, NULL, watch, NULL) == 0) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

// A child has no watching thread, whatever its parent had.
static void in_child(void) {
  watched = false;
}

static void prepare(void) {
  pthread_atfork(NULL, NULL, in_child);
}

void cc_stay_guard(double limit_ms, void (*overdue)(void), void (*over)(void)) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, prepare);
  limit = limit_ms;
  tell_overdue = overdue;
  tell_over = over;
}

void cc_stay_begin(void) {
  if (!tell_overdue || limit <= 0 || atomic_load(&stays) & 1) return;
  if (!watched) start();
  atomic_fetch_add(&stays, 1);
  if (!atomic_load(&parked)) return;
  pthread_mutex_lock(&lock);
  pthread_cond_signal(&wake);
  pthread_mutex_unlock(&lock);
}

void cc_stay_end(void) {
  atomic_store_explicit(&in_script, false, memory_order_relaxed);
  if (!(atomic_load(&stays) & 1)) return;
  atomic_fetch_add(&stays, 1);
  if (atomic_load(&was_overdue) && atomic_exchange(&was_overdue, false)) tell_over();
}

void cc_script(bool inside) {
  atomic_store_explicit(&in_script, inside, memory_order_relaxed);
  if (inside) cc_stay_begin();
}

bool cc_stay_in_script(void) {
  return atomic_load_explicit(&in_script, memory_order_relaxed);
}
