// SPDX-License-Identifier: Apache-2.0
// HTTP requests of the relay itself. They are rare, so each has a new connection, and none meets one that died in
// the pool.
#include "api/error.h"
#include "api/job.h"
#include "jobs/job.h"
#include "net/outbound.h"
#include <string.h>

enum { HEAD_BYTES = 1024 };

struct fetch {
  struct cc_job job;
  struct cc_outbound *out;
  struct cc_buffer method, target, lines, body; // what is sent
  size_t sent;
  struct cc_buffer wire;
};

// ---- The request -------------------------------------------------------------------------------

static bool add_lines(struct cc_buffer *wire, struct cc_slice lines) {
  const char *at = lines.data, *end = at + lines.size;
  cc_buffer_reserve(wire, 2 * (size_t)lines.size); // credentials stay where they are
  while (at < end) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    const char *colon = stop ? memchr(at, ':', (size_t)(stop - at)) : NULL;
    if (!colon || stop - colon < 2) return false;
    struct cc_slice name = cc_slice(at, (size_t)(colon - at));
    struct cc_slice value = cc_slice(colon + 2, (size_t)(stop - colon - 2));
    if (colon[1] != ' ' || !cc_http1_is_token(name) || !cc_http1_is_value(value)) return false;
    if (cc_headers_is_hop(name) || cc_slice_is_nocase(name, "content-length")) return false;
    cc_buffer_add(wire, at, (size_t)(stop - at));
    cc_buffer_add(wire, "\r\n", 2);
    at = stop + 1;
  }
  return true;
}

static void write_more(struct fetch *fetch) {
  if (!fetch->out || fetch->sent == fetch->wire.size || fetch->out->stream->queued) return;
  struct cc_slice part = cc_slice(fetch->wire.data + fetch->sent, fetch->wire.size - fetch->sent);
  fetch->sent = fetch->wire.size;
  cc_outbound_write(fetch->out, &part, 1);
}

static void build(struct fetch *fetch) {
  struct cc_buffer *wire = &fetch->wire;
  cc_buffer_reserve(wire, HEAD_BYTES + fetch->lines.size + fetch->target.size + fetch->body.size);
  cc_buffer_add(wire, fetch->method.data, fetch->method.size);
  cc_buffer_add_text(wire, " ");
  cc_buffer_add_text(wire, cc_outbound_prefix(fetch->out));
  cc_buffer_add(wire, fetch->target.data, fetch->target.size);
  cc_buffer_printf(wire, " HTTP/1.1\r\nHost: %s\r\n", cc_outbound_host(fetch->out));
  const char *auth = cc_outbound_proxy_auth(fetch->out);
  if (auth && *cc_outbound_prefix(fetch->out))
    cc_buffer_printf(wire, "Proxy-Authorization: %s\r\n", auth);
  cc_buffer_add(wire, fetch->lines.data, fetch->lines.size);
  cc_buffer_add_text(wire, "Accept-Encoding: identity\r\n");
  bool bodiless = fetch->method.size == 3 && memcmp(fetch->method.data, "GET", 3) == 0;
  if (fetch->body.size || !bodiless)
    cc_buffer_printf(wire, "Content-Length: %zu\r\n", fetch->body.size);
  cc_buffer_add_text(wire, "\r\n");
  cc_buffer_add(wire, fetch->body.data, fetch->body.size);
}

// ---- The connection ----------------------------------------------------------------------------

static void ready(struct cc_outbound *out) {
  struct fetch *fetch = out->user;
  cc_outbound_begin(out, cc_slice_is(cc_slice(fetch->method.data, fetch->method.size), "HEAD"));
  build(fetch);
  write_more(fetch);
}

static void drain(struct cc_outbound *out) {
  write_more(out->user);
}

static void head(struct cc_outbound *out, const struct cc_http1_head *head) {
  struct fetch *fetch = out->user;
  fetch->job.status = head->status;
  for (uint32_t i = 0; i < head->headers; i++)
    cc_headers_add(&fetch->job.headers, head->header[i].name, head->header[i].value);
}

static void body(struct cc_outbound *out, struct cc_slice piece) {
  struct fetch *fetch = out->user;
  cc_job_add(&fetch->job, piece);
}

static void end(struct cc_outbound *out) {
  struct fetch *fetch = out->user;
  fetch->out = NULL;
  cc_outbound_release(out);
  cc_job_finish(&fetch->job, CC_OK);
}

static void fail(struct cc_outbound *out, int error) {
  struct fetch *fetch = out->user;
  cc_job_detail(&fetch->job, cc_slice_text(out->detail));
  fetch->out = NULL;
  cc_job_finish(&fetch->job, error);
}

static const struct cc_outbound_events events = {ready, drain, head, body, end, fail};

// ---- Life --------------------------------------------------------------------------------------

static void stop(struct cc_job *job) {
  struct fetch *fetch = (struct fetch *)job;
  if (fetch->out) cc_outbound_drop(fetch->out);
  fetch->out = NULL;
}

static void wipe(struct cc_job *job) {
  struct fetch *fetch = (struct fetch *)job;
  cc_buffer_free(&fetch->method);
  cc_buffer_free(&fetch->target);
  cc_buffer_wipe(&fetch->lines);
  cc_buffer_wipe(&fetch->body);
  cc_buffer_wipe(&fetch->wire);
}

cc_id cc_fetch(struct cc_relay *relay, const struct cc_fetch *spec) {
  struct cc_buffer lines = {0};
  if (!cc_http1_is_token(spec->method) || !cc_http1_is_target(spec->target) ||
      !add_lines(&lines, spec->headers)) {
    cc_buffer_wipe(&lines);
    return CC_EINVAL;
  }
  struct fetch *fetch = cc_alloc(sizeof *fetch);
  fetch->job.stop = stop;
  fetch->job.wipe = wipe;
  fetch->lines = lines;
  cc_buffer_add(&fetch->method, spec->method.data, spec->method.size);
  cc_buffer_add(&fetch->target, spec->target.data, spec->target.size);
  cc_buffer_add(&fetch->body, spec->body.data, spec->body.size);
  cc_id id = cc_job_start(&fetch->job, relay, spec->timeout_ms, spec->answer_bytes);
  fetch->out = cc_pool_take(relay->pool, spec->origin, true, &events, fetch);
  return id;
}
