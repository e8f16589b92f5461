// SPDX-License-Identifier: Apache-2.0
// A request of the relay's own: an HTTP request (fetch.c) or a program (run.c). One deadline, one
// bound on what comes back, one FETCH event, always; nothing is retried here.
#ifndef CC_JOB_H
#define CC_JOB_H
#include "attempt/headers.h"
#include "loop/engine.h"

enum { CC_JOB_DETAIL = 400 };

struct cc_job { // first member of what it serves
  struct cc_job *next;
  struct cc_relay *relay;
  cc_id id;
  struct cc_timer timer;
  struct cc_headers headers;
  struct cc_buffer answer;
  uint32_t limit;
  int status;
  int error;
  bool over;     // FETCH posted
  bool notified; // and returned to Lua, or about to be
  uint32_t detail_size;
  char detail[CC_JOB_DETAIL];
  void (*stop)(struct cc_job *job); // ends what is under way; may come twice
  void (*wipe)(struct cc_job *job); // frees what it was made of
};

// Gives a job, zeroed but for stop and wipe, its id and its place in the relay, which frees it.
cc_id cc_job_start(struct cc_job *job, struct cc_relay *relay, uint32_t timeout_ms, uint32_t limit);

// A piece of the answer: the job is over when it is too much.
void cc_job_add(struct cc_job *job, struct cc_slice piece);
void cc_job_detail(struct cc_job *job, struct cc_slice text);

// Stops it and posts the event; later calls do nothing.
void cc_job_finish(struct cc_job *job, int error);

// The event of a job is being returned to Lua.
void cc_job_notified(struct cc_relay *relay, cc_id id);
// Frees the jobs whose event has been returned, or all.
void cc_jobs_free(struct cc_relay *relay, bool all);
#endif
