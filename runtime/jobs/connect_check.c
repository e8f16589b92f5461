// SPDX-License-Identifier: Apache-2.0
// Whether an origin lets itself be connected to: name, address, proxy, TLS, and no byte of a message.
#include "jobs/job.h"
#include "loop/engine.h"

struct knock {
  struct cc_job job;
  struct cc_outbound *out;
};

static void ready(struct cc_outbound *out) {
  struct knock *knock = out->user;
  cc_job_finish(&knock->job, CC_OK);
}

static void fail(struct cc_outbound *out, int error) {
  struct knock *knock = out->user;
  cc_job_detail(&knock->job, cc_slice_text(out->detail));
  knock->out = NULL;
  cc_job_finish(&knock->job, error);
}

static const struct cc_outbound_events events = {.ready = ready, .fail = fail};

static void stop(struct cc_job *job) {
  struct knock *knock = (struct knock *)job;
  if (knock->out) cc_outbound_drop(knock->out);
  knock->out = NULL;
}

static void wipe(struct cc_job *job) {
  (void)job;
}

cc_id cc_knock(struct cc_relay *relay, int origin, uint32_t timeout_ms) {
  struct knock *knock = cc_alloc(sizeof *knock);
  knock->job.stop = stop;
  knock->job.wipe = wipe;
  cc_id id = cc_job_start(&knock->job, relay, timeout_ms, 0);
  knock->out = cc_pool_take(relay->pool, origin, true, &events, knock);
  return id;
}
