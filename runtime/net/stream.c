// SPDX-License-Identifier: Apache-2.0
// Opens, reads and closes a stream. Idle connections hold no read memory: all streams of a thread read
// into one space.
#include "api/error.h"
#include "net/stream_internal.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { READ_SPACE = 131072, DISCARDS = 16, CLOSE_MS = 5000 };

struct cc_later {
  uv_timer_t timer;
  struct cc_stream *stream;
};

static _Thread_local char read_space[READ_SPACE];

static void keep_sigpipe_away(void) {
  static _Thread_local bool done;
  if (done) return;
  done = true;
  struct sigaction now;
  if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

int cc_stream_error_of(int status) {
  switch (status) {
  case UV_ECONNRESET:
  case UV_ECONNABORTED:
  case UV_EPIPE:
  case UV_ETIMEDOUT:
    return CC_ERESET;
  default:
    return CC_ESYSTEM;
  }
}

static int connect_error_of(int status) {
  switch (status) {
  case UV_ECONNREFUSED:
    return CC_EREFUSED;
  case UV_ETIMEDOUT:
    return CC_ECONNECT_TIMEOUT;
  case UV_EMFILE:
  case UV_ENFILE:
  case UV_ENOMEM:
  case UV_ENOBUFS:
  case UV_EADDRNOTAVAIL:
    return CC_EROOM;
  default:
    return CC_ECONNECT;
  }
}

// ---- Later: a timer that exists only while something waits for it ------------------------------

static void free_later(uv_handle_t *handle) {
  free(handle);
}

static void drop_later(struct cc_stream *stream) {
  if (!stream->later) return;
  uv_close((uv_handle_t *)&stream->later->timer, free_later);
  stream->later = NULL;
}

static void close_handle(struct cc_stream *stream);

static void on_timer(uv_timer_t *timer) {
  struct cc_stream *stream = ((struct cc_later *)timer)->stream;
  drop_later(stream);
  if (stream->closing)
    close_handle(stream);
  else if (stream->failure && !stream->broken)
    cc_stream_over(stream, stream->failure);
  else if (stream->reading && stream->held)
    stream->layer->input(stream, NULL, 0);
}

static void set_later(struct cc_stream *stream, uint64_t ms) {
  if (!stream->later) {
    stream->later = cc_alloc(sizeof *stream->later);
    stream->later->stream = stream;
    uv_timer_init(stream->uv.handle.loop, &stream->later->timer);
  }
  uv_timer_start(&stream->later->timer, on_timer, ms, 0);
}

void cc_stream_fail_later(struct cc_stream *stream, int error) {
  stream->failure = error;
  set_later(stream, 0);
}

// ---- Ending and closing ------------------------------------------------------------------------

void cc_stream_over(struct cc_stream *stream, int error) {
  if (stream->closing || stream->broken || (stream->ended && !error)) return;
  stream->ended = true;
  if (error) {
    stream->broken = true;
    stream->failure = error;
  }
  cc_stream_raw_read(stream, false);
  if (stream->standing)
    stream->events->end(stream, error);
  else if (stream->events->ready)
    stream->events->ready(stream, stream->layer && error == CC_ERESET ? CC_ETLS : error);
}

static void closed(uv_handle_t *handle) {
  struct cc_stream *stream = (struct cc_stream *)handle;
  if (stream->layer) stream->layer->free(stream);
  stream->layer = NULL;
  stream->events->closed(stream);
}

static void close_handle(struct cc_stream *stream) {
  drop_later(stream);
  if (!uv_is_closing(&stream->uv.handle)) uv_close(&stream->uv.handle, closed);
}

// Closing with unread bytes would send a reset, which destroys what was sent before.
static void discard_unread(struct cc_stream *stream) {
  int fd;
  if (uv_fileno(&stream->uv.handle, &fd) != 0) return;
  for (int i = 0; i < DISCARDS; i++)
    if (recv(fd, read_space, sizeof read_space, MSG_DONTWAIT) <= 0) return;
}

void cc_stream_close_orderly(struct cc_stream *stream) {
  if (!stream->failure) discard_unread(stream);
  close_handle(stream);
}

void cc_stream_close(struct cc_stream *stream) {
  if (stream->closing) return;
  stream->closing = true;
  cc_stream_raw_read(stream, false);
  if (stream->layer && stream->standing && !stream->failure) stream->layer->finish(stream);
  if (stream->queued && !stream->failure)
    set_later(stream, CLOSE_MS);
  else
    cc_stream_close_orderly(stream);
}

void cc_stream_reset(struct cc_stream *stream) {
  stream->closing = true;
  drop_later(stream);
  if (uv_is_closing(&stream->uv.handle)) return;
  cc_stream_raw_read(stream, false);
  if (stream->uv.handle.type != UV_TCP || uv_tcp_close_reset(&stream->uv.tcp, closed) != 0)
    uv_close(&stream->uv.handle, closed);
}

// ---- Reading -----------------------------------------------------------------------------------

static void give_space(uv_handle_t *handle, size_t hint, uv_buf_t *out) {
  (void)handle, (void)hint;
  *out = uv_buf_init(read_space, sizeof read_space);
}

// libuv may report the end of file where data and a reset came together; the socket tells.
static int true_end(const struct cc_stream *stream, int status) {
  int fd, error = 0;
  socklen_t size = sizeof error;
  if (status != UV_EOF || uv_fileno(&stream->uv.handle, &fd) != 0) return status;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || !error) return status;
  return uv_translate_sys_error(error);
}

static void stopped(struct cc_stream *stream, int status) {
  if (stream->failure) {
    cc_stream_over(stream, stream->failure);
  } else if (status != UV_EOF) {
    stream->system = status;
    cc_stream_over(stream, cc_stream_error_of(status));
  } else if (stream->layer) {
    stream->layer->eof(stream);
  } else {
    cc_stream_over(stream, CC_OK);
  }
}

void cc_stream_input(struct cc_stream *stream, const char *data, size_t size) {
  if (!size || stream->closing) return;
  if (stream->layer)
    stream->layer->input(stream, data, size);
  else
    stream->events->read(stream, data, size);
}

static void on_read(uv_stream_t *handle, ssize_t size, const uv_buf_t *buffer) {
  struct cc_stream *stream = (struct cc_stream *)handle;
  if (size < 0)
    stopped(stream, true_end(stream, (int)size));
  else
    cc_stream_input(stream, buffer->base, (size_t)size);
}

void cc_stream_raw_read(struct cc_stream *stream, bool on) {
  if (on && !stream->ended && !stream->closing)
    uv_read_start(&stream->uv.stream, give_space, on_read);
  else
    uv_read_stop(&stream->uv.stream);
}

void cc_stream_read(struct cc_stream *stream) {
  stream->reading = true;
  if (!stream->standing || stream->ended || stream->closing) return;
  if (stream->held)
    set_later(stream, 0);
  else
    cc_stream_raw_read(stream, true);
}

void cc_stream_pause(struct cc_stream *stream) {
  stream->reading = false;
  if (!stream->standing || stream->closing) return;
  cc_stream_raw_read(stream, false);
  if (stream->failure && !stream->broken) set_later(stream, 0);
}

// ---- Beginning ---------------------------------------------------------------------------------

static void clear(struct cc_stream *stream, const struct cc_stream_events *events) {
  void *data = stream->data;
  memset(stream, 0, sizeof *stream);
  stream->data = data;
  stream->events = events;
  keep_sigpipe_away();
}

int cc_stream_accept(struct cc_stream *stream, uv_stream_t *server,
                     const struct cc_stream_events *events) {
  clear(stream, events);
  bool tcp = server->type == UV_TCP;
  if (tcp)
    uv_tcp_init(server->loop, &stream->uv.tcp);
  else
    uv_pipe_init(server->loop, &stream->uv.pipe, 0);
  int status = uv_accept(server, &stream->uv.stream);
  if (status) {
    stream->system = status;
    stream->failure = CC_ESYSTEM;
    return CC_ESYSTEM;
  }
  if (tcp) uv_tcp_nodelay(&stream->uv.tcp, 1);
  stream->standing = true;
  return CC_OK;
}

void cc_stream_stands(struct cc_stream *stream) {
  stream->standing = true;
  if (stream->events->ready) stream->events->ready(stream, CC_OK);
  if (!stream->closing && stream->standing) cc_stream_raw_read(stream, stream->reading);
}

static void connected(uv_connect_t *request, int status) {
  struct cc_stream *stream = (struct cc_stream *)request->handle;
  free(request);
  if (status) {
    stream->system = status;
    cc_stream_over(stream, connect_error_of(status));
    return;
  }
  uv_tcp_nodelay(&stream->uv.tcp, 1);
  cc_stream_stands(stream);
}

int cc_stream_connect(struct cc_stream *stream, uv_loop_t *loop, const struct sockaddr *address,
                      const struct cc_stream_events *events) {
  clear(stream, events);
  uv_tcp_init(loop, &stream->uv.tcp);
  uv_connect_t *request = cc_alloc(sizeof *request);
  int status = uv_tcp_connect(request, &stream->uv.tcp, address, connected);
  if (!status) return CC_OK;
  free(request);
  stream->system = status;
  cc_stream_fail_later(stream, connect_error_of(status));
  return CC_OK;
}

// ---- Telling -----------------------------------------------------------------------------------

const char *cc_stream_detail(const struct cc_stream *stream) {
  const char *text = stream->layer ? stream->layer->detail(stream) : "";
  return *text || !stream->system ? text : uv_strerror(stream->system);
}

static void address_text(const struct sockaddr_storage *address, char *out, size_t capacity) {
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
  if (address->ss_family == AF_INET)
    uv_ip4_name((const struct sockaddr_in *)address, out, capacity);
  else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
    uv_inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, out, capacity);
  else if (address->ss_family == AF_INET6)
    uv_ip6_name(six, out, capacity);
}

void cc_stream_peer(const struct cc_stream *stream, char *out, size_t capacity) {
  snprintf(out, capacity, "%s", stream->uv.handle.type == UV_NAMED_PIPE ? "unix" : "");
  if (stream->uv.handle.type != UV_TCP) return;
  struct sockaddr_storage address;
  int size = sizeof address;
  memset(&address, 0, sizeof address);
  if (uv_tcp_getpeername(&stream->uv.tcp, (struct sockaddr *)&address, &size) == 0)
    address_text(&address, out, capacity);
}
