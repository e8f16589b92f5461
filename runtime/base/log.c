// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "api/util.h"
#include "base/buffer.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
  RING_BYTES = 1 << 20,
  LINE_BYTES = 1 << 18,
  FILE_BATCH = 1 << 16,
  PIPE_BATCH = 4096,
  LOOK_MS = 1000,
  STUCK_MS = 50,
  REST_MS = 10
};

struct sink {
  int fd;
  char *path; // NULL: stdout or stderr
  bool file;  // a regular file
};

struct log {
  pthread_mutex_t mutex;
  pthread_cond_t work, idle;
  pthread_t thread;
  bool running, writing, quit, fresh;
  bool asleep;      // the writer waits for a line, however long
  unsigned flushes; // callers that wait for all lines to be written
  struct sink sink; // replaced under the mutex by the writer only, while it runs
  struct sink next; // what cc_log_open asks for, when fresh
  char *ring;       // lines, each behind its size
  size_t head, used;
  // used by the writer only:
  char *batch;           // lines being written
  struct cc_buffer ends; // where each of them ends, uint32_t
  double looked;
  bool torn; // the sink got part of a line last
};

static struct log self = {.mutex = PTHREAD_MUTEX_INITIALIZER, .sink = {.fd = STDERR_FILENO}};
static _Atomic uint64_t own_dropped;
static _Atomic(_Atomic uint64_t *) dropped = &own_dropped;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_conditions(void) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&self.work, &attributes);
  pthread_cond_init(&self.idle, &attributes);
  pthread_condattr_destroy(&attributes);
}

static void before_fork(void) {
  pthread_mutex_lock(&self.mutex);
}

static void after_fork(void) {
  pthread_mutex_unlock(&self.mutex);
}

static void in_child(void) {
  pthread_mutex_unlock(&self.mutex);
  init_conditions();
  self.running = self.writing = self.quit = self.torn = self.asleep = false;
  self.flushes = 0;
  self.head = self.used = 0;
  atomic_store(&own_dropped, 0);
}

static void prepare(void) {
  init_conditions();
  pthread_atfork(before_fork, after_fork, in_child);
}

static void lock(void) {
  pthread_once(&once, prepare);
  pthread_mutex_lock(&self.mutex);
}

static void unlock(void) {
  pthread_mutex_unlock(&self.mutex);
}

static void close_sink(struct sink *sink) {
  if (sink->path) close(sink->fd);
  free(sink->path);
  *sink = (struct sink){.fd = STDERR_FILENO};
}

static int open_path(const char *path, struct sink *out) {
  int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  int fd = open(path, flags, 0600);
  struct stat facts;
  if (fd < 0) return cc_fail_errno(CC_ESYSTEM, path);
  bool file = fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
  *out = (struct sink){fd, cc_copy_text(path, strlen(path)), file};
  return CC_OK;
}

static struct sink standard(int fd) {
  struct stat facts;
  return (struct sink){fd, NULL, fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode)};
}

int cc_log_open(const char *path) {
  struct sink sink;
  int error = CC_OK;
  if (strcmp(path, "stdout") == 0)
    sink = standard(STDOUT_FILENO);
  else if (strcmp(path, "stderr") == 0)
    sink = standard(STDERR_FILENO);
  else
    error = open_path(path, &sink);
  if (error) return error;
  lock();
  struct sink *place = self.running ? &self.next : &self.sink;
  if (!self.running || self.fresh) close_sink(place);
  *place = sink;
  self.fresh = self.running;
  pthread_cond_signal(&self.work);
  unlock();
  return CC_OK;
}

static void ring_copy(size_t at, void *bytes, size_t size, bool in) {
  at %= RING_BYTES;
  size_t first = RING_BYTES - at < size ? RING_BYTES - at : size;
  char *rest = (char *)bytes + first;
  if (in) {
    memcpy(self.ring + at, bytes, first);
    memcpy(self.ring, rest, size - first);
  } else {
    memcpy(bytes, self.ring + at, first);
    memcpy(rest, self.ring, size - first);
  }
}

static void ring_add(const char *line, uint32_t size) {
  uint32_t whole = size + 1;
  size_t tail = self.head + self.used;
  ring_copy(tail, &whole, sizeof whole, true);
  ring_copy(tail + sizeof whole, (char *)(uintptr_t)line, size, true);
  ring_copy(tail + sizeof whole + size, (char[]){'\n'}, 1, true);
  self.used += sizeof whole + whole;
}

// Moves whole lines from the ring to the batch: as many as fit, at least one.
static size_t ring_take(size_t most) {
  uint32_t taken = 0;
  cc_buffer_clear(&self.ends);
  while (self.used) {
    uint32_t size;
    ring_copy(self.head, &size, sizeof size, false);
    if (taken && taken + size > most) break;
    ring_copy(self.head + sizeof size, self.batch + taken, size, false);
    taken += size;
    cc_buffer_add(&self.ends, &taken, sizeof taken);
    self.head = (self.head + sizeof size + size) % RING_BYTES;
    self.used -= sizeof size + size;
  }
  return taken;
}

static void adopt(void) {
  close_sink(&self.sink);
  self.sink = self.next;
  self.fresh = self.torn = false;
  self.next = (struct sink){.fd = STDERR_FILENO};
}

static void reopen_if_moved(void) {
  struct stat named, held;
  const char *path = self.sink.path;
  if (!path || cc_now() - self.looked < LOOK_MS) return;
  self.looked = cc_now();
  bool there = stat(path, &named) == 0 && fstat(self.sink.fd, &held) == 0;
  if (there && named.st_ino == held.st_ino && named.st_dev == held.st_dev) return;
  struct sink again;
  if (open_path(path, &again) != CC_OK) return;
  lock();
  close_sink(&self.sink);
  self.sink = again;
  self.torn = false;
  unlock();
}

// Waits until the sink takes bytes. False when another sink was asked for, or the end while it is stuck.
static bool await_sink(void) {
  for (;;) {
    lock();
    bool fresh = self.fresh, quit = self.quit;
    unlock();
    if (fresh) return false;
    if (self.sink.file) return true;
    struct pollfd wanted = {.fd = self.sink.fd, .events = POLLOUT};
    if (poll(&wanted, 1, quit ? 0 : STUCK_MS)) return true;
    if (quit) return false;
  }
}

static size_t write_from(size_t at, size_t size) {
  while (at < size && await_sink()) {
    size_t most = self.sink.file || size - at < PIPE_BATCH ? size - at : PIPE_BATCH;
    bool ending = self.torn;
    ssize_t wrote = write(self.sink.fd, ending ? "\n" : self.batch + at, ending ? 1 : most);
    if (wrote > 0 && ending)
      self.torn = false;
    else if (wrote > 0)
      at += (size_t)wrote;
    else if (wrote < 0 && errno == EAGAIN)
      poll(NULL, 0, STUCK_MS);
    else if (wrote < 0 && errno != EINTR)
      break;
  }
  return at;
}

// Writes the batch, to another sink if one is asked for meanwhile. Returns the number of lines that were
// not written.
static uint32_t write_batch(size_t size) {
  const uint32_t *ends = (const uint32_t *)self.ends.data;
  uint32_t count = (uint32_t)(self.ends.size / sizeof *ends), line = 0;
  size_t start = 0;
  for (;;) {
    size_t at = write_from(start, size);
    while (line < count && ends[line] <= at)
      start = ends[line++];
    if (at > start) self.torn = true;
    lock();
    bool again = self.fresh && line < count;
    if (again) adopt();
    unlock();
    if (!again) return count - line;
  }
}

static struct timespec moment(clockid_t clock, double wait_ms) {
  struct timespec until;
  clock_gettime(clock, &until);
  double ms = wait_ms > 0 ? wait_ms < 3600000 ? wait_ms : 3600000 : 0;
  long ns = until.tv_nsec + (long)((long)ms % 1000) * 1000000;
  until.tv_sec += (time_t)(ms / 1000) + ns / 1000000000;
  until.tv_nsec = ns % 1000000000;
  return until;
}

// After a batch it waits a moment for more lines, so that a busy process writes many at once.
static void rest(void) {
  struct timespec until = moment(CLOCK_MONOTONIC, REST_MS);
  while (!self.quit && !self.fresh && !self.flushes && self.used < RING_BYTES / 2)
    if (pthread_cond_timedwait(&self.work, &self.mutex, &until)) return;
}

static void sleep_until_called(void) {
  pthread_cond_broadcast(&self.idle);
  self.asleep = true;
  pthread_cond_wait(&self.work, &self.mutex);
  self.asleep = false;
}

static void *run(void *unused) {
  lock();
  for (;;) {
    if (self.fresh) adopt();
    if (!self.used && self.quit) break;
    if (!self.used) {
      sleep_until_called();
      continue;
    }
    size_t size = ring_take(self.sink.file ? FILE_BATCH : PIPE_BATCH);
    self.writing = true;
    unlock();
    reopen_if_moved();
    uint32_t lost = write_batch(size);
    lock();
    self.writing = false;
    atomic_fetch_add(atomic_load(&dropped), lost);
    if (self.used) continue;
    pthread_cond_broadcast(&self.idle);
    rest();
  }
  unlock();
  return unused;
}

static bool start(void) {
  if (self.running) return true;
  if (!self.ring) self.ring = cc_alloc(RING_BYTES);
  if (!self.batch) self.batch = cc_alloc(LINE_BYTES);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  self.running = pthread_create(&self.thread, NULL, run, NULL) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return self.running;
}

static bool must_wake(void) {
  bool wake = self.asleep || self.used >= RING_BYTES / 2;
  self.asleep = false;
  return wake;
}

void cc_log(const char *line, uint32_t size) {
  bool wake = false;
  lock();
  if (size >= LINE_BYTES || self.used + sizeof size + size + 1 > RING_BYTES || !start()) {
    atomic_fetch_add(atomic_load(&dropped), 1);
  } else {
    ring_add(line, size);
    wake = must_wake();
  }
  unlock();
  if (wake) pthread_cond_signal(&self.work);
}

double cc_log_dropped(void) {
  return (double)atomic_load(atomic_load(&dropped));
}

void cc_log_count_in(_Atomic uint64_t *total) {
  if (total) atomic_fetch_add(total, atomic_exchange(&own_dropped, 0));
  atomic_store(&dropped, total ? total : &own_dropped);
}

void cc_log_flush(double wait_ms) {
  struct timespec until = moment(CLOCK_MONOTONIC, wait_ms);
  lock();
  self.flushes++;
  if (self.running) pthread_cond_signal(&self.work);
  while (self.running && (self.used || self.writing))
    if (pthread_cond_timedwait(&self.idle, &self.mutex, &until)) break;
  self.flushes--;
  unlock();
}

static bool join(void) {
  struct timespec until = moment(CLOCK_REALTIME, 2000);
  return pthread_timedjoin_np(self.thread, NULL, &until) == 0;
}

void cc_log_close(void) {
  lock();
  bool running = self.running;
  self.quit = running;
  pthread_cond_signal(&self.work);
  unlock();
  if (running && !join()) return;
  lock();
  self.running = self.quit = self.fresh = self.torn = false;
  close_sink(&self.sink);
  close_sink(&self.next);
  free(self.ring);
  free(self.batch);
  self.ring = self.batch = NULL;
  cc_buffer_free(&self.ends);
  self.looked = 0;
  unlock();
}
