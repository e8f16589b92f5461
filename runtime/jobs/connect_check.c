// SPDX-License-Identifier: Apache-2.0
// Checks that an origin accepts connections: DNS, address, proxy, TLS. Sends no byte of a message.
#include "api/error.h"
#include "api/job.h"
#include "jobs/job.h"
#include "net/outbound.h"
#include "net/tls.h"

struct check {
  struct cc_job job;
  struct cc_outbound *out;
};

static void ready(struct cc_outbound *out) {
  struct check *check = out->user;
  if (out->stream) check->job.expires = cc_tls_peer_expires(out->stream);
  cc_job_finish(&check->job, CC_OK);
}

static void fail(struct cc_outbound *out, int error) {
  struct check *check = out->user;
  cc_job_detail(&check->job, cc_slice_text(out->detail));
  check->out = NULL;
  cc_job_finish(&check->job, error);
}

static const struct cc_outbound_events events = {.ready = ready, .fail = fail};

static void stop(struct cc_job *job) {
  struct check *check = (struct check *)job;
  if (check->out) cc_outbound_drop(check->out);
  check->out = NULL;
}

static void wipe(struct cc_job *job) {
  (void)job;
}

cc_id cc_connect_check(struct cc_relay *relay, int origin, uint32_t timeout_ms) {
  struct check *check = cc_alloc(sizeof *check);
  check->job.stop = stop;
  check->job.wipe = wipe;
  cc_id id = cc_job_start(&check->job, relay, timeout_ms, 0);
  check->out = cc_pool_take(relay->pool, origin, true, &events, check);
  return id;
}
