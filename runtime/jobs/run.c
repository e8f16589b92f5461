// SPDX-License-Identifier: Apache-2.0
// Runs programs that the configuration names, for credentials.
#include "api/error.h"
#include "api/job.h"
#include "jobs/job.h"
#include "net/command.h"

struct run {
  struct cc_job job;
  struct cc_program *program;
};

static void output(void *data, struct cc_slice piece) {
  struct run *run = data;
  cc_job_add(&run->job, piece);
}

static void ended(void *data, int error, int status) {
  struct run *run = data;
  run->job.status = status;
  cc_job_finish(&run->job, error);
}

static void stop(struct cc_job *job) {
  struct run *run = (struct run *)job;
  if (!run->program) return;
  cc_job_detail(job, cc_command_words(run->program));
  cc_command_drop(run->program);
  run->program = NULL;
}

static void wipe(struct cc_job *job) {
  (void)job;
}

cc_id cc_run(struct cc_relay *relay, const struct cc_command *spec) {
  if (!cc_command_is_sound(spec->arguments)) return CC_EINVAL;
  struct run *run = cc_alloc(sizeof *run);
  run->job.stop = stop;
  run->job.wipe = wipe;
  cc_id id = cc_job_start(&run->job, relay, spec->timeout_ms, spec->answer_bytes);
  run->program = cc_command_start(&relay->loop, spec->arguments, output, ended, run);
  int error = cc_command_error(run->program);
  if (error) cc_job_finish(&run->job, error);
  return id;
}
