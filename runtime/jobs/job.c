// SPDX-License-Identifier: Apache-2.0
#include "api/job.h"
#include "api/error.h"
#include "jobs/job.h"
#include <stdlib.h>
#include <string.h>

// Credentials are smaller, so their memory never moves and is wiped.
enum { AT_ONCE = 16 * 1024 };

void cc_job_finish(struct cc_job *job, int error) {
  if (job->over) return;
  job->over = true;
  job->error = error;
  cc_timer_stop(&job->timer);
  job->stop(job);
  cc_events_post(&job->relay->events, CC_EVENT_FETCH, 0, job->id);
}

void cc_job_add(struct cc_job *job, struct cc_slice piece) {
  if (piece.size > job->limit - job->answer.size) {
    cc_job_finish(job, CC_EBODY_SIZE);
    return;
  }
  if (!job->answer.capacity) cc_buffer_reserve(&job->answer, AT_ONCE);
  cc_buffer_add(&job->answer, piece.data, piece.size);
}

void cc_job_detail(struct cc_job *job, struct cc_slice text) {
  job->detail_size = text.size < CC_JOB_DETAIL ? text.size : CC_JOB_DETAIL;
  if (job->detail_size) memcpy(job->detail, text.data, job->detail_size);
}

static void on_timer(struct cc_timer *timer) {
  cc_job_finish(timer->data, CC_ETOTAL_TIMEOUT);
}

cc_id cc_job_start(struct cc_job *job, struct cc_relay *relay, uint32_t timeout_ms,
                   uint32_t limit) {
  job->relay = relay;
  job->id = ++relay->job_count;
  job->limit = limit;
  job->next = relay->jobs;
  relay->jobs = job;
  cc_timer_init(&job->timer, &relay->loop, on_timer);
  job->timer.data = job;
  cc_timer_set(&job->timer, timeout_ms);
  return job->id;
}

static void timer_closed(uv_handle_t *handle) {
  struct cc_timer *timer = (struct cc_timer *)handle;
  free(timer->data);
}

static void free_job(struct cc_job *job) {
  job->stop(job);
  job->wipe(job);
  cc_buffer_wipe(&job->answer);
  cc_headers_free(&job->headers);
  cc_wipe(job->detail, sizeof job->detail);
  cc_timer_close(&job->timer, timer_closed);
}

void cc_jobs_free(struct cc_relay *relay, bool all) {
  struct cc_job **link = &relay->jobs;
  while (*link) {
    struct cc_job *job = *link;
    if (!all && !job->notified) {
      link = &job->next;
      continue;
    }
    *link = job->next;
    free_job(job);
  }
}

static struct cc_job *find(struct cc_relay *relay, cc_id id) {
  struct cc_job *job = relay->jobs;
  while (job && job->id != id)
    job = job->next;
  return job;
}

void cc_job_notified(struct cc_relay *relay, cc_id id) {
  struct cc_job *job = find(relay, id);
  if (job) job->notified = true;
}

int cc_fetched(struct cc_relay *relay, cc_id id, struct cc_fetched *out) {
  struct cc_job *job = find(relay, id);
  if (!job) return CC_ESTALE;
  if (!job->over) return CC_ESTATE;
  *out = (struct cc_fetched){job->error, job->status, cc_slice(job->answer.data, job->answer.size),
                             cc_slice(job->detail, job->detail_size), job->expires};
  return CC_OK;
}

int cc_fetched_header(struct cc_relay *relay, cc_id id, const char *name, uint32_t size,
                      struct cc_slice *value) {
  struct cc_job *job = find(relay, id);
  if (!job) return CC_ESTALE;
  int index = cc_headers_find(&job->headers, cc_slice(name, size));
  if (index < 0) return CC_ENOTFOUND;
  *value = cc_headers_value(&job->headers, (uint32_t)index);
  return CC_OK;
}
