// SPDX-License-Identifier: Apache-2.0
// Forks a child for code that may hang or crash: changed files are loaded there first. Like a worker (worker.c) it
// is a fork of the master without exec; it lives for moments.
#include "api/process.h"
#include "base/error.h"
#include "jobs/job.h"
#include "process/children.h"
#include "script/watchdog.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TOTAL = 6 }; // how many times its processor time the child may live

struct outlet { // where the parent reads; closed and freed apart from the preflight
  uv_pipe_t pipe;
  struct preflight *preflight;
  char read[4096];
};

struct preflight {
  struct cc_job job;
  struct outlet *outlet; // NULL: it is over
  pid_t pid;
};

static int answer = -1; // in the child: where it says things

// ---- The parent --------------------------------------------------------------------------------

static void outlet_closed(uv_handle_t *handle) {
  struct outlet *outlet = (struct outlet *)handle;
  free(outlet);
}

static int await_end(struct preflight *preflight) {
  int status = 0;
  while (preflight->pid > 0 && waitpid(preflight->pid, &status, 0) < 0 && errno == EINTR)
    continue;
  preflight->pid = 0;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void stop(struct cc_job *job) {
  struct preflight *preflight = (struct preflight *)job;
  if (!preflight->outlet) return;
  if (preflight->pid > 0) kill(preflight->pid, SIGKILL);
  await_end(preflight);
  uv_close((uv_handle_t *)&preflight->outlet->pipe, outlet_closed);
  preflight->outlet = NULL;
}

static void wipe(struct cc_job *job) {
  (void)job;
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  struct outlet *outlet = (struct outlet *)handle;
  (void)suggested;
  *buffer = uv_buf_init(outlet->read, sizeof outlet->read);
}

// Only the child holds the other end: when that is closed, the child has ended or is about to.
static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
  struct preflight *preflight = ((struct outlet *)stream)->preflight;
  if (size > 0) cc_job_add(&preflight->job, cc_slice(buffer->base, (size_t)size));
  if (size >= 0) return;
  int status = await_end(preflight);
  preflight->job.status = status;
  cc_job_finish(&preflight->job, status == -SIGXCPU ? CC_ETOTAL_TIMEOUT
                                 : status < 0       ? CC_ESYSTEM
                                                    : CC_OK);
}

static struct outlet *open_outlet(struct preflight *preflight, uv_loop_t *loop, int fd) {
  struct outlet *outlet = cc_alloc(sizeof *outlet);
  outlet->preflight = preflight;
  uv_pipe_init(loop, &outlet->pipe, 0);
  uv_pipe_open(&outlet->pipe, fd);
  uv_read_start((uv_stream_t *)&outlet->pipe, on_allocate, on_read);
  return outlet;
}

// ---- The child ---------------------------------------------------------------------------------

// SIGXCPU ends it when its time is used up, without a core file, which would hold secrets.
static void bound(uint32_t cpu_ms) {
  struct rlimit none = {0, 0}, seconds = {(cpu_ms + 999) / 1000, RLIM_INFINITY};
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_CPU, &seconds);
}

static void begin(struct cc_relay *relay, int fd, pid_t parent) {
  cc_child_begin(parent);
  cc_child_drop_relay(relay);
  cc_watchdog_end();
  answer = fd;
}

void cc_preflight_write(const char *data, uint32_t size) {
  while (answer >= 0 && size > 0) {
    ssize_t wrote = write(answer, data, size);
    if (wrote < 0 && errno != EINTR) _exit(1);
    if (wrote < 0) continue;
    data += wrote;
    size -= (uint32_t)wrote;
  }
}

void cc_preflight_end(void) {
  if (answer >= 0) _exit(0);
}

// ---- Both --------------------------------------------------------------------------------------

static int cannot(const char *what, const int *ends) {
  int error = cc_fail_errno(CC_ESYSTEM, what);
  if (ends) close(ends[0]);
  if (ends) close(ends[1]);
  return error;
}

cc_id cc_preflight(struct cc_relay *relay, uint32_t cpu_ms, uint32_t answer_bytes) {
  int ends[2];
  pid_t parent = getpid();
  if (pipe2(ends, O_CLOEXEC) != 0) return cannot("pipe", NULL);
  pid_t pid = fork();
  if (pid < 0) return cannot("fork", ends);
  if (pid == 0) {
    close(ends[0]);
    begin(relay, ends[1], parent);
    bound(cpu_ms);
    return 0;
  }
  close(ends[1]);
  struct preflight *preflight = cc_alloc(sizeof *preflight);
  preflight->pid = pid;
  preflight->job.stop = stop;
  preflight->job.wipe = wipe;
  cc_id id = cc_job_start(&preflight->job, relay, TOTAL * cpu_ms, answer_bytes);
  preflight->outlet = open_outlet(preflight, &relay->loop, ends[0]);
  return id;
}
