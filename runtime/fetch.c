// SPDX-License-Identifier: Apache-2.0
// Requests the relay makes for itself. They go through the same pool as attempts, with one
// deadline and one bound, and nothing is retried here.
#include "engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cc_fetch_job {
  struct cc_fetch_job *next;
  struct cc_relay *relay;
  cc_id id;
  struct cc_outbound *out;
  struct cc_timer timer;
  struct cc_buffer method, target, lines, body; // what is sent
  size_t sent;
  struct cc_buffer wire;
  struct cc_fields headers;
  struct cc_buffer answer;
  uint32_t limit;
  int status;
  int error;
  bool over; // FETCH posted
  bool told; // and returned to Lua, or about to be
  char detail[120];
};

static void finish(struct cc_fetch_job *job, int error) {
  if (job->over) return;
  job->over = true;
  job->error = error;
  cc_timer_stop(&job->timer);
  if (job->out) cc_outbound_drop(job->out);
  job->out = NULL;
  cc_relay_post(job->relay, CC_EVENT_FETCH, 0, job->id);
}

static void rang(struct cc_timer *timer) {
  finish(timer->data, CC_ETOTAL_TIMEOUT);
}

// ---- The request -------------------------------------------------------------------------------

static bool add_lines(struct cc_buffer *wire, struct cc_slice lines) {
  const char *at = lines.data, *end = at + lines.size;
  while (at < end) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    const char *colon = stop ? memchr(at, ':', (size_t)(stop - at)) : NULL;
    if (!colon || stop - colon < 2) return false;
    struct cc_slice name = cc_slice(at, (size_t)(colon - at));
    struct cc_slice value = cc_slice(colon + 2, (size_t)(stop - colon - 2));
    if (colon[1] != ' ' || !cc_http1_is_token(name) || !cc_http1_is_value(value)) return false;
    if (cc_fields_is_hop(name) || cc_slice_is_nocase(name, "content-length")) return false;
    cc_buffer_add(wire, at, (size_t)(stop - at));
    cc_buffer_add(wire, "\r\n", 2);
    at = stop + 1;
  }
  return true;
}

static void write_more(struct cc_fetch_job *job) {
  if (!job->out || job->sent == job->wire.size || job->out->stream.queued) return;
  struct cc_slice part = cc_slice(job->wire.data + job->sent, job->wire.size - job->sent);
  job->sent = job->wire.size;
  cc_outbound_write(job->out, &part, 1);
}

static void build(struct cc_fetch_job *job) {
  struct cc_buffer *wire = &job->wire;
  cc_buffer_add(wire, job->method.data, job->method.size);
  cc_buffer_add_text(wire, " ");
  cc_buffer_add_text(wire, cc_outbound_prefix(job->out));
  cc_buffer_add(wire, job->target.data, job->target.size);
  cc_buffer_printf(wire, " HTTP/1.1\r\nHost: %s\r\n", cc_outbound_host(job->out));
  const char *auth = cc_outbound_proxy_auth(job->out);
  if (auth && *cc_outbound_prefix(job->out))
    cc_buffer_printf(wire, "Proxy-Authorization: %s\r\n", auth);
  cc_buffer_add(wire, job->lines.data, job->lines.size);
  cc_buffer_add_text(wire, "Accept-Encoding: identity\r\n");
  bool bodiless = job->method.size == 3 && memcmp(job->method.data, "GET", 3) == 0;
  if (job->body.size || !bodiless)
    cc_buffer_printf(wire, "Content-Length: %zu\r\n", job->body.size);
  cc_buffer_add_text(wire, "\r\n");
  cc_buffer_add(wire, job->body.data, job->body.size);
}

// ---- The connection ----------------------------------------------------------------------------

static void ready(struct cc_outbound *out) {
  struct cc_fetch_job *job = out->user;
  cc_outbound_begin(out, false);
  build(job);
  write_more(job);
}

static void drain(struct cc_outbound *out) {
  write_more(out->user);
}

static void head(struct cc_outbound *out, const struct cc_http1_head *head) {
  struct cc_fetch_job *job = out->user;
  job->status = head->status;
  for (uint32_t i = 0; i < head->headers; i++)
    cc_fields_add(&job->headers, head->header[i].name, head->header[i].value);
}

static void body(struct cc_outbound *out, struct cc_slice piece) {
  struct cc_fetch_job *job = out->user;
  if (job->answer.size + piece.size > job->limit) {
    finish(job, CC_EBODY_SIZE);
    return;
  }
  cc_buffer_add(&job->answer, piece.data, piece.size);
}

static void end(struct cc_outbound *out) {
  struct cc_fetch_job *job = out->user;
  job->out = NULL;
  cc_outbound_release(out);
  finish(job, CC_OK);
}

static void fail(struct cc_outbound *out, int error) {
  struct cc_fetch_job *job = out->user;
  snprintf(job->detail, sizeof job->detail, "%s", out->detail);
  job->out = NULL;
  finish(job, error);
}

static const struct cc_outbound_events events = {ready, drain, head, body, end, fail};

// ---- Life --------------------------------------------------------------------------------------

static void timer_closed(uv_handle_t *handle) {
  struct cc_timer *timer = (struct cc_timer *)handle;
  free(timer->data);
}

static void free_job(struct cc_fetch_job *job) {
  if (job->out) cc_outbound_drop(job->out);
  cc_buffer_free(&job->method);
  cc_buffer_free(&job->target);
  cc_buffer_wipe(&job->lines);
  cc_buffer_wipe(&job->body);
  cc_buffer_wipe(&job->wire);
  cc_buffer_wipe(&job->answer);
  cc_fields_free(&job->headers);
  cc_timer_close(&job->timer, timer_closed);
}

void cc_fetches_free(struct cc_relay *relay, bool all) {
  struct cc_fetch_job **link = &relay->fetches;
  while (*link) {
    struct cc_fetch_job *job = *link;
    if (!all && !job->told) {
      link = &job->next;
      continue;
    }
    *link = job->next;
    free_job(job);
  }
}

static struct cc_fetch_job *find(struct cc_relay *relay, cc_id id) {
  struct cc_fetch_job *job = relay->fetches;
  while (job && job->id != id)
    job = job->next;
  return job;
}

cc_id cc_fetch(struct cc_relay *relay, const struct cc_fetch *spec) {
  struct cc_buffer lines = {0};
  if (!cc_http1_is_token(spec->method) || !cc_http1_is_target(spec->target) ||
      !add_lines(&lines, spec->headers)) {
    cc_buffer_wipe(&lines);
    return CC_EINVAL;
  }
  struct cc_fetch_job *job = cc_alloc(sizeof *job);
  job->relay = relay;
  job->id = ++relay->fetch_count;
  job->lines = lines;
  job->limit = spec->answer_bytes;
  cc_buffer_add(&job->method, spec->method.data, spec->method.size);
  cc_buffer_add(&job->target, spec->target.data, spec->target.size);
  cc_buffer_add(&job->body, spec->body.data, spec->body.size);
  job->next = relay->fetches;
  relay->fetches = job;
  cc_timer_init(&job->timer, &relay->loop, rang);
  job->timer.data = job;
  cc_timer_set(&job->timer, spec->timeout_ms);
  job->out = cc_pool_take(relay->pool, spec->origin, false, &events, job);
  return job->id;
}

int cc_fetched(struct cc_relay *relay, cc_id id, struct cc_fetched *out) {
  struct cc_fetch_job *job = find(relay, id);
  if (!job) return CC_ESTALE;
  if (!job->over) return CC_ESTATE;
  *out = (struct cc_fetched){job->error, job->status, cc_slice(job->answer.data, job->answer.size),
                             cc_slice_text(job->detail)};
  return CC_OK;
}

int cc_fetched_header(struct cc_relay *relay, cc_id id, const char *name, uint32_t size,
                      struct cc_slice *value) {
  struct cc_fetch_job *job = find(relay, id);
  if (!job) return CC_ESTALE;
  int index = cc_fields_find(&job->headers, cc_slice(name, size));
  if (index < 0) return CC_ENOTFOUND;
  *value = cc_fields_value(&job->headers, (uint32_t)index);
  return CC_OK;
}

void cc_fetch_told(struct cc_relay *relay, cc_id id) {
  struct cc_fetch_job *job = find(relay, id);
  if (job) job->told = true;
}
