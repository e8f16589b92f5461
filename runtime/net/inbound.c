// SPDX-License-Identifier: Apache-2.0
// The reading side of a client connection: its requests, its deadlines, its end. A request is read up to
// the first pause; the rest of its body waits until the server has seen the head. Reading goes on while
// an answer is under way, as only reading shows that a client has left.
#include "api/error.h"
#include "net/inbound_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
  AHEAD = 65536,
  LINGER_BYTES = 40 * 1024 * 1024, // more than the largest body a client knows to be allowed
  LINGER_MS = 2000,                // without a byte
  LINGER_MOST_MS = 30000
};

static struct cc_inbound *of_stream(struct cc_stream *stream) {
  return stream->data;
}

static uint64_t loop_now(const struct cc_inbound *in) {
  return uv_now(in->timer.handle.loop);
}

// ---- Ends --------------------------------------------------------------------------------------

static void one_handle_closed(struct cc_inbound *in) {
  if (--in->handles) return;
  if (in->events->closed) in->events->closed(in);
  cc_http1_free(in->parser);
  cc_buffer_wipe(&in->ahead);
  if (in->corked) *in->corked = NULL;
  free(in);
}

static void timer_closed(uv_handle_t *handle) {
  one_handle_closed(((struct cc_timer *)handle)->data);
}

static void stream_closed(struct cc_stream *stream) {
  one_handle_closed(of_stream(stream));
}

void cc_inbound_close(struct cc_inbound *in, bool reset) {
  if (in->phase == CC_INBOUND_CLOSED) return;
  in->phase = CC_INBOUND_CLOSED;
  cc_timer_close(&in->timer, timer_closed);
  if (reset)
    cc_stream_reset(&in->stream);
  else
    cc_stream_close(&in->stream);
}

// The client has left or reads nothing: notifies the server.
static void connection_lost(struct cc_inbound *in, int error) {
  bool open = in->phase == CC_INBOUND_BODY || in->phase == CC_INBOUND_WHOLE;
  cc_inbound_close(in, in->stream.queued > 0);
  if (open) in->events->gone(in, error);
}

static void refuse(struct cc_inbound *in, int error) {
  in->phase = CC_INBOUND_WHOLE;
  in->unread = true;
  in->keep = false;
  cc_timer_stop(&in->timer);
  in->events->refuse(in, error);
}

static void shutdown_done(uv_shutdown_t *request, int status) {
  (void)status;
  free(request);
}

static void end_sending(struct cc_inbound *in) {
  uv_shutdown_t *request = cc_alloc(sizeof *request);
  if (uv_shutdown(request, &in->stream.uv.stream, shutdown_done)) free(request);
}

// Closes our end only; the client may still send. Closing both now would destroy the answer on its way.
static void linger(struct cc_inbound *in) {
  in->phase = CC_INBOUND_LINGER;
  cc_buffer_free(&in->ahead);
  if (!in->stream.layer) end_sending(in);
  in->progress_at = loop_now(in);
  cc_timer_set(&in->timer, LINGER_MS);
  cc_stream_read(&in->stream);
}

// ---- Requests ----------------------------------------------------------------------------------

static void keep_ahead(struct cc_inbound *in, const char *data, size_t size) {
  cc_buffer_add(&in->ahead, data, size);
  if (in->ahead.size >= AHEAD) cc_stream_pause(&in->stream);
}

static void got_head(struct cc_inbound *in) {
  const struct cc_http1_head *head = cc_http1_head(in->parser);
  in->phase = CC_INBOUND_BODY;
  in->keep = head->keep_alive && !in->draining;
  cc_timer_stop(&in->timer);
  in->events->head(in, head);
  if (in->phase == CC_INBOUND_BODY && !in->answering &&
      head->content_length > in->settings->body_bytes)
    refuse(in, CC_EBODY_SIZE);
}

static void got_body(struct cc_inbound *in, struct cc_slice piece) {
  in->received += piece.size;
  if (in->received > in->settings->body_bytes)
    refuse(in, CC_EBODY_SIZE);
  else
    in->events->body(in, piece);
}

static void got_all(struct cc_inbound *in, const char *rest, size_t size) {
  in->phase = CC_INBOUND_WHOLE;
  cc_timer_stop(&in->timer);
  keep_ahead(in, rest, size);
  in->events->complete(in);
}

// All bytes at hand are used, and the body is not complete.
static void body_pause(struct cc_inbound *in) {
  if (in->admitted) {
    cc_timer_set(&in->timer, in->settings->body_ms);
    return;
  }
  if (in->held) return;
  in->held = true;
  cc_stream_pause(&in->stream);
  in->events->pause_point(in);
}

static bool reads_on(const struct cc_inbound *in) {
  return in->phase <= CC_INBOUND_BODY && !in->answering;
}

static void parse(struct cc_inbound *in, const char *data, size_t size) {
  struct cc_slice piece;
  bool begun = cc_http1_busy(in->parser);
  while (reads_on(in)) {
    int step = cc_http1_next(in->parser, &data, &size, &piece);
    if (step == CC_HTTP1_HEAD)
      got_head(in);
    else if (step == CC_HTTP1_BODY)
      got_body(in, piece);
    else if (step == CC_HTTP1_END)
      got_all(in, data, size);
    else if (step < 0)
      refuse(in, step);
    else
      break;
    if (step == CC_HTTP1_END) return;
  }
  if (!reads_on(in)) return;
  if (in->phase == CC_INBOUND_BODY)
    body_pause(in);
  else if (!begun && cc_http1_busy(in->parser))
    cc_timer_set(&in->timer, in->settings->head_ms);
}

static void drop(struct cc_inbound *in, size_t size) {
  bool lingers = in->phase == CC_INBOUND_LINGER;
  in->dropped += (double)size;
  bool enough =
      in->dropped >= LINGER_BYTES || (lingers && loop_now(in) - in->progress_at >= LINGER_MOST_MS);
  if (enough && lingers)
    cc_inbound_close(in, false);
  else if (enough)
    cc_stream_pause(&in->stream);
  else if (lingers)
    cc_timer_set(&in->timer, LINGER_MS);
}

static void end_unnamed(struct cc_inbound *in, int error) {
  if (error == CC_OK) return;
  in->events->unnamed(in, error);
  cc_inbound_close(in, true);
}

void cc_inbound_expect_proxy(struct cc_inbound *in) {
  in->proxied = true;
  end_unnamed(in, cc_trusts(in->settings->trust, in->peer) ? CC_OK : CC_EUNTRUSTED);
}

static void on_read(struct cc_stream *stream, const char *data, size_t size) {
  struct cc_inbound *in = of_stream(stream);
  if (in->phase == CC_INBOUND_CLOSED) return;
  if (in->proxied)
    end_unnamed(in, cc_inbound_proxy_read(in, data, size));
  else if (in->phase == CC_INBOUND_LINGER || in->unread)
    drop(in, size);
  else if (in->phase > CC_INBOUND_BODY || in->again || in->held)
    keep_ahead(in, data, size);
  else
    parse(in, data, size);
}

// The next request is read from the loop, never from within cc_inbound_end.
static void parse_ahead(struct cc_inbound *in) {
  struct cc_buffer ahead = in->ahead;
  in->ahead = (struct cc_buffer){0};
  in->again = false;
  cc_stream_read(&in->stream);
  parse(in, ahead.data, ahead.size);
  cc_buffer_wipe(&ahead);
}

static void next_request(struct cc_inbound *in) {
  cc_http1_reset(in->parser);
  in->phase = CC_INBOUND_HEAD;
  in->admitted = in->answering = false;
  in->served = true;
  in->received = 0;
  if (in->ahead.size) {
    in->again = true;
    cc_timer_set(&in->timer, 1);
    return;
  }
  cc_buffer_free(&in->ahead);
  cc_timer_set(&in->timer, in->settings->keepalive_ms);
  cc_stream_read(&in->stream);
}

bool cc_inbound_is_crowded(struct cc_inbound *in) {
  return in->events->crowded && in->events->crowded(in);
}

static bool has_unread(const struct cc_inbound *in) {
  int fd;
  char byte;
  if (in->ahead.size || uv_fileno(&in->stream.uv.handle, &fd) != 0) return true;
  return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

bool cc_inbound_is_idle(const struct cc_inbound *in) {
  bool between = in->phase == CC_INBOUND_HEAD && in->served && !cc_http1_busy(in->parser);
  return between && !has_unread(in);
}

void cc_inbound_proceed(struct cc_inbound *in) {
  if (in->keep && cc_inbound_is_crowded(in) && !has_unread(in)) in->keep = false;
  if (in->keep && !in->draining && !in->stream.ended)
    next_request(in);
  else if ((in->unread || in->ahead.size) && !in->stream.ended)
    linger(in);
  else
    cc_inbound_close(in, false);
}

void cc_inbound_admit(struct cc_inbound *in) {
  static const struct cc_slice go_on = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
  if (in->phase != CC_INBOUND_BODY || in->admitted || in->answering) return;
  in->admitted = true;
  in->held = false;
  if (cc_http1_head(in->parser)->expect_continue && in->received <= 0) {
    in->written += go_on.size;
    cc_stream_write(&in->stream, &go_on, 1);
  }
  cc_timer_set(&in->timer, in->settings->body_ms);
  cc_stream_read(&in->stream);
}

void cc_inbound_drain(struct cc_inbound *in) {
  in->draining = true;
  if (in->phase == CC_INBOUND_HEAD && !in->again && !cc_http1_busy(in->parser))
    cc_inbound_close(in, false);
}

// ---- Deadlines and what the stream tells -------------------------------------------------------

static double gone_out(const struct cc_inbound *in) {
  size_t queued = uv_stream_get_write_queue_size(&in->stream.uv.stream) + in->stream.waiting;
  return in->written - (double)queued;
}

void cc_inbound_watch_writes(struct cc_inbound *in) {
  uint32_t limit = in->settings->write_ms;
  if (in->stalling || !limit || !in->stream.queued || in->phase == CC_INBOUND_CLOSED) return;
  in->stalling = true;
  in->gone_out = gone_out(in);
  in->progress_at = loop_now(in);
  cc_timer_set(&in->timer, limit / 16 + 1);
}

// Checks sixteen times within the deadline, so that it is met closely.
static void look_at_writes(struct cc_inbound *in) {
  uint32_t limit = in->settings->write_ms;
  double out = gone_out(in);
  if (out > in->gone_out) in->progress_at = loop_now(in);
  in->gone_out = out;
  if (loop_now(in) - in->progress_at >= limit)
    connection_lost(in, CC_EWRITE_TIMEOUT);
  else
    cc_timer_set(&in->timer, limit / 16 + 1);
}

static void on_timer(struct cc_timer *timer) {
  struct cc_inbound *in = timer->data;
  if (in->stalling)
    look_at_writes(in);
  else if (in->again)
    parse_ahead(in);
  else if (in->phase == CC_INBOUND_HEAD && cc_http1_busy(in->parser))
    refuse(in, CC_EHEAD_TIMEOUT);
  else if (in->phase == CC_INBOUND_BODY)
    refuse(in, CC_EIDLE_TIMEOUT);
  else
    cc_inbound_close(in, false);
}

static void drained(struct cc_stream *stream) {
  struct cc_inbound *in = of_stream(stream);
  if (in->stalling) cc_timer_stop(&in->timer);
  in->stalling = false;
  if (in->phase == CC_INBOUND_FLUSH)
    cc_inbound_proceed(in);
  else if (in->answering && in->phase < CC_INBOUND_FLUSH)
    in->events->drain(in);
}

static void ready(struct cc_stream *stream, int error) {
  if (error) cc_inbound_close(of_stream(stream), true);
}

static void ended(struct cc_stream *stream, int error) {
  struct cc_inbound *in = of_stream(stream);
  if (in->phase == CC_INBOUND_FLUSH && !error) return;
  connection_lost(in, CC_ECLIENT_GONE);
}

static const struct cc_stream_events stream_events = {
    .ready = ready, .read = on_read, .drain = drained, .end = ended, .closed = stream_closed};

// ---- Beginning ---------------------------------------------------------------------------------

static void nobody(struct cc_inbound *in) {
  (void)in;
}

static const struct cc_inbound_events no_events = {.closed = nobody};

struct cc_inbound *cc_inbound_accept(uv_stream_t *server, struct cc_inbound_settings *settings,
                                     const struct cc_inbound_events *events, void *owner) {
  struct cc_inbound *in = cc_alloc(sizeof *in);
  in->stream.data = in;
  in->events = events;
  in->settings = settings;
  in->server = owner;
  in->handles = 2;
  cc_timer_init(&in->timer, server->loop, on_timer);
  in->timer.data = in;
  if (cc_stream_accept(&in->stream, server, &stream_events)) {
    in->events = &no_events;
    cc_inbound_close(in, true);
    return NULL;
  }
  in->parser = cc_http1_new(CC_HTTP1_REQUEST, &settings->limits);
  cc_stream_peer(&in->stream, in->peer, sizeof in->peer);
  cc_timer_set(&in->timer, settings->head_ms);
  cc_stream_read(&in->stream);
  return in;
}
