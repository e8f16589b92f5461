// SPDX-License-Identifier: Apache-2.0
// A connection in use: requests out, responses in. Callbacks may release or drop the connection at any
// moment, so the phase is checked after each of them; the memory stays until the loop has closed the last
// handle.
#include "api/error.h"
#include "net/outbound_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_DETAIL = 119 };

static void on_timer(struct cc_timer *timer) {
  struct cc_outbound *out = timer->data;
  if (out->phase < CC_PHASE_WAKING)
    cc_dial_timeout(out);
  else if (out->phase == CC_PHASE_POOLED)
    cc_outbound_close(out, false);
}

struct cc_outbound *cc_outbound_new(struct cc_pool *pool, struct cc_pool_origin *origin) {
  struct cc_outbound *out = cc_alloc(sizeof *out);
  out->pool = pool;
  out->origin = origin;
  out->detail = "";
  out->parser = cc_http1_new(CC_HTTP1_RESPONSE, &pool->settings.limits);
  out->born = uv_now(pool->idle.loop);
  cc_timer_init(&out->timer, pool->idle.loop, on_timer);
  out->timer.data = out;
  out->handles = 1;
  cc_pool_move(out, &pool->busy);
  pool->references++;
  return out;
}

// ---- The end of a connection -------------------------------------------------------------------

static void forget_words(struct cc_outbound *out) {
  if (*out->detail) free((char *)(uintptr_t)out->detail);
  out->detail = "";
}

void cc_outbound_set_detail(struct cc_outbound *out, const char *words) {
  forget_words(out);
  if (*words) out->detail = cc_copy_text(words, strnlen(words, LONGEST_DETAIL));
}

static void handle_closed(struct cc_outbound *out) {
  if (--out->handles) return;
  struct cc_pool *pool = out->pool;
  cc_pool_unlist(out);
  cc_http1_free(out->parser);
  cc_buffer_wipe(&out->kept);
  forget_words(out);
  free(out);
  cc_pool_release(pool);
}

static void timer_closed(uv_handle_t *handle) {
  handle_closed(((struct cc_timer *)handle)->data);
}

void cc_outbound_close(struct cc_outbound *out, bool at_once) {
  if (out->phase != CC_PHASE_CLOSED) {
    out->phase = CC_PHASE_CLOSED;
    if (out->lookup) cc_resolve_cancel(out->lookup);
    out->lookup = NULL;
    if (out->connector) cc_connector_close(out->connector);
    out->connector = NULL;
    cc_pool_cancel_notify(out);
    cc_pool_move(out, &out->pool->leaving);
    cc_timer_close(&out->timer, timer_closed);
  }
  if (!out->stream) return;
  if (at_once)
    cc_stream_reset(out->stream);
  else
    cc_stream_close(out->stream);
}

void cc_outbound_fail(struct cc_outbound *out, int error) {
  if (!*out->detail && out->stream) cc_outbound_set_detail(out, cc_stream_detail(out->stream));
  bool reaching = out->phase > CC_PHASE_RESOLVING && out->phase < CC_PHASE_WAKING;
  if (reaching) out->origin->worked = CC_NO_ADDRESS;
  cc_outbound_close(out, true);
  out->events->fail(out, error);
}

void cc_outbound_drop(struct cc_outbound *out) {
  if (out->phase != CC_PHASE_CLOSED) cc_outbound_close(out, true);
}

static void forget_kept(struct cc_outbound *out) {
  cc_buffer_wipe(&out->kept);
  out->kept_used = 0;
  out->held = false;
}

void cc_outbound_release(struct cc_outbound *out) {
  if (out->phase != CC_PHASE_ENDED || out->stream->queued) {
    cc_outbound_drop(out);
  } else if (out->spent || out->finished || out->stream->failure || cc_pool_too_old(out)) {
    cc_outbound_close(out, false);
  } else {
    forget_kept(out);
    cc_http1_reset(out->parser);
    out->paused = false;
    out->user = NULL;
    out->events = NULL;
    cc_stream_read(out->stream);
    cc_pool_keep(out);
  }
}

// ---- The response ------------------------------------------------------------------------------

static void ended(struct cc_outbound *out, bool spent) {
  const struct cc_http1_head *head = cc_http1_head(out->parser);
  out->phase = CC_PHASE_ENDED;
  out->spent = spent || !head->keep_alive || head->until_close;
  out->events->end(out);
}

// Parses bytes and calls back; *data and *size move. True when paused in the middle.
static bool deliver(struct cc_outbound *out, const char **data, size_t *size) {
  struct cc_slice piece;
  while (out->phase == CC_PHASE_MESSAGE) {
    if (out->paused) return true;
    int step = cc_http1_next(out->parser, data, size, &piece);
    if (step == CC_HTTP1_MORE) return false;
    if (step == CC_HTTP1_HEAD) {
      const struct cc_http1_head *head = cc_http1_head(out->parser);
      if (head->status >= 200) out->events->head(out, head);
    } else if (step == CC_HTTP1_BODY) {
      out->events->body(out, piece);
    } else if (step == CC_HTTP1_END) {
      ended(out, *size > 0);
      return false;
    } else {
      cc_outbound_fail(out, step);
    }
  }
  return false;
}

static void finish(struct cc_outbound *out, int error) {
  int step = error ? error : cc_http1_finish(out->parser);
  if (step == CC_HTTP1_END)
    ended(out, true);
  else
    cc_outbound_fail(out, step < 0 ? step : CC_EEOF);
}

static void keep(struct cc_outbound *out, const char *data, size_t size) {
  cc_buffer_add(&out->kept, data, size);
  out->held = true;
}

// Goes on with the bytes that were kept while it was paused.
static void go_on(struct cc_outbound *out) {
  if (out->held) {
    const char *data = out->kept.data ? out->kept.data + out->kept_used : "";
    size_t size = out->kept.size - out->kept_used;
    bool paused = deliver(out, &data, &size);
    if (out->phase != CC_PHASE_MESSAGE) return;
    out->kept_used = out->kept.size - size;
    if (paused) return;
    forget_kept(out);
  }
  if (out->paused) return;
  if (out->finished)
    finish(out, out->over);
  else
    cc_stream_read(out->stream);
}

// ---- What the stream tells ---------------------------------------------------------------------

static void stream_ready(struct cc_stream *stream, int error) {
  struct cc_outbound *out = stream->data;
  if (out->phase == CC_PHASE_SECURING) cc_dial_secured(out, error);
}

// Bytes without a request: the peer is done with this connection.
static void unasked(struct cc_outbound *out) {
  if (out->phase == CC_PHASE_POOLED) {
    cc_outbound_close(out, false);
  } else if (out->phase == CC_PHASE_ENDED) {
    out->spent = true;
    cc_stream_pause(out->stream);
  } else if (out->phase != CC_PHASE_CLOSED) {
    cc_outbound_fail(out, CC_ERESET);
  }
}

static void stream_read(struct cc_stream *stream, const char *data, size_t size) {
  struct cc_outbound *out = stream->data;
  if (out->phase == CC_PHASE_TUNNELLING)
    cc_tunnel_read(out, data, size);
  else if (out->phase != CC_PHASE_MESSAGE)
    unasked(out);
  else if (out->held || deliver(out, &data, &size))
    keep(out, data, size);
}

static void stream_end(struct cc_stream *stream, int error) {
  struct cc_outbound *out = stream->data;
  if (out->phase == CC_PHASE_TUNNELLING) {
    cc_tunnel_end(out);
  } else if (out->phase != CC_PHASE_MESSAGE) {
    unasked(out);
  } else if (out->held || out->paused) {
    out->finished = true;
    out->over = error;
  } else {
    finish(out, error);
  }
}

static void stream_drain(struct cc_stream *stream) {
  struct cc_outbound *out = stream->data;
  bool used = out->phase == CC_PHASE_MESSAGE || out->phase == CC_PHASE_ENDED;
  if (used && out->events->drain) out->events->drain(out);
}

static void stream_closed(struct cc_stream *stream) {
  struct cc_outbound *out = stream->data;
  out->stream = NULL;
  free(stream);
  handle_closed(out);
}

void cc_outbound_adopt(struct cc_outbound *out, struct cc_stream *stream) {
  static const struct cc_stream_events events = {stream_ready, stream_read, stream_drain,
                                                 stream_end, stream_closed};
  out->stream = stream;
  out->handles++;
  stream->events = &events;
  stream->data = out;
}

// ---- The user's side ---------------------------------------------------------------------------

void cc_outbound_ready(struct cc_outbound *out) {
  cc_timer_stop(&out->timer);
  out->phase = CC_PHASE_READY;
  if (!out->paused) cc_stream_read(out->stream);
  out->events->ready(out);
}

void cc_outbound_on_idle(struct cc_outbound *out) {
  if (out->phase == CC_PHASE_WAKING)
    cc_outbound_ready(out);
  else if (out->phase == CC_PHASE_MESSAGE)
    go_on(out);
}

void cc_outbound_begin(struct cc_outbound *out, bool head_request) {
  if (out->phase != CC_PHASE_READY) return;
  out->phase = CC_PHASE_MESSAGE;
  if (head_request) cc_http1_expect_no_body(out->parser);
}

int cc_outbound_write(struct cc_outbound *out, const struct cc_slice *parts, unsigned count) {
  bool used = out->phase == CC_PHASE_MESSAGE || out->phase == CC_PHASE_ENDED;
  return used ? cc_stream_write(out->stream, parts, count) : CC_ESTATE;
}

void cc_outbound_pause(struct cc_outbound *out) {
  out->paused = true;
  if (out->phase >= CC_PHASE_WAKING && out->phase < CC_PHASE_POOLED) cc_stream_pause(out->stream);
}

void cc_outbound_resume(struct cc_outbound *out) {
  if (!out->paused) return;
  out->paused = false;
  if (out->held || out->finished)
    cc_pool_notify_later(out);
  else if (out->phase >= CC_PHASE_WAKING && out->phase < CC_PHASE_POOLED)
    cc_stream_read(out->stream);
}

const char *cc_outbound_host(const struct cc_outbound *out) {
  return out->origin->host;
}

const char *cc_outbound_proxy_auth(const struct cc_outbound *out) {
  return out->origin->key.tls ? NULL : out->origin->key.proxy_auth;
}

const char *cc_outbound_prefix(const struct cc_outbound *out) {
  return out->origin->prefix;
}
