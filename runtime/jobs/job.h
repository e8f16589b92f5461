// SPDX-License-Identifier: Apache-2.0
// A job of the relay itself: an HTTP request (fetch.c), a program (run.c) or a connect check. Each has one
// deadline, one bound on what comes back, and always one FETCH event; nothing is repeated here.
#ifndef CC_JOB_H
#define CC_JOB_H
#include "attempt/headers.h"
#include "loop/engine.h"

enum { CC_JOB_DETAIL = 400 };

struct cc_job { // first member of the struct of each kind
  struct cc_job *next;
  struct cc_relay *relay;
  cc_id id;
  struct cc_timer timer;
  struct cc_headers headers;
  struct cc_buffer answer;
  uint32_t limit;
  int status;
  int error;
  double expires; // see struct cc_fetched
  bool over;      // FETCH posted
  bool notified;  // and returned to Lua, or about to be
  uint32_t detail_size;
  char detail[CC_JOB_DETAIL];
  void (*stop)(struct cc_job *job); // ends what is under way; may be called twice
  void (*wipe)(struct cc_job *job); // frees what the kind holds
};

// Starts a job that is zeroed but for stop and wipe: returns its id. The relay frees it.
cc_id cc_job_start(struct cc_job *job, struct cc_relay *relay, uint32_t timeout_ms, uint32_t limit);

// Adds a piece of the answer. The job ends with CC_EBODY_SIZE when it is too large.
void cc_job_add(struct cc_job *job, struct cc_slice piece);
void cc_job_detail(struct cc_job *job, struct cc_slice text);

// Stops it and posts the event; later calls do nothing.
void cc_job_finish(struct cc_job *job, int error);

// The event of a job is being returned to Lua.
void cc_job_notified(struct cc_relay *relay, cc_id id);
// Frees the jobs whose event has been returned, or all.
void cc_jobs_free(struct cc_relay *relay, bool all);
#endif
