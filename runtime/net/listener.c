// SPDX-License-Identifier: Apache-2.0
// Sockets are bound before workers exist and accepted on by them, so a listener keeps plain descriptors and
// gives libuv a duplicate. When the process has run out of descriptors, the duplicate can be closed and
// made again while clients go on waiting in the kernel.
#include "net/listener.h"
#include "base/error.h"
#include "net/listener_socket.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 511, BACK_OFF_MS = 100, COPIES_MAX = 1024 };

struct accepting { // lives from cc_listeners_accept to the end of its handles
  union cc_socket uv;
  uv_timer_t timer;
  struct cc_listeners *listeners;
  struct listener *listener;
  int fd;
  bool open;    // uv is a listening handle
  bool closing; // for good
  bool waiting; // libuv holds a connection that the limit does not let in
  uint8_t handles;
};

struct listener {
  int *fds; // by copy; -1: closed here
  uint32_t copies;
  uint32_t port;
  char *path;  // unix socket, NULL: TCP
  pid_t owner; // who removes path; 0: nobody
  int number;
  bool secure;  // TLS, with the identity
  bool proxied; // PROXY protocol
  struct accepting *accepting;
};

struct cc_listeners {
  struct cc_inbound_events events; // those above, with our own closed; connections lead back here
  const struct cc_inbound_events *above;
  uv_loop_t *loop;
  struct cc_inbound_settings *settings;
  const uint32_t *limit;
  void *owner;
  struct listener **list;
  uint32_t count;
  struct cc_identity identity;
  struct cc_inbound *connections;
  uint32_t open;    // connections
  uint32_t handles; // struct accepting still there
  bool closing;
};

static void free_listener(struct listener *listener) {
  free(listener->fds);
  free(listener->path);
  free(listener);
}

static void free_if_done(struct cc_listeners *listeners) {
  if (!listeners->closing || listeners->open || listeners->handles) return;
  for (uint32_t i = 0; i < listeners->count; i++)
    free_listener(listeners->list[i]);
  cc_identity_free(&listeners->identity);
  free(listeners->list);
  free(listeners);
}

// ---- Connections -------------------------------------------------------------------------------

static bool is_full(const struct cc_listeners *listeners) {
  return *listeners->limit && listeners->open >= *listeners->limit;
}

static void link_connection(struct cc_listeners *listeners, struct cc_inbound *in) {
  in->next = listeners->connections;
  if (in->next) in->next->previous = in;
  listeners->connections = in;
  listeners->open++;
}

static void unlink_connection(struct cc_listeners *listeners, struct cc_inbound *in) {
  if (in->next) in->next->previous = in->previous;
  if (in->previous)
    in->previous->next = in->next;
  else
    listeners->connections = in->next;
  listeners->open--;
}

static struct cc_listeners *listeners_of(const struct cc_inbound *in) {
  return (struct cc_listeners *)((char *)in->events - offsetof(struct cc_listeners, events));
}

static void put_tls_on(struct cc_inbound *in) {
  struct cc_listeners *listeners = listeners_of(in);
  if (!listeners->list[in->listener]->secure) return;
  if (cc_stream_tls_server(&in->stream, listeners->identity.config)) cc_inbound_break(in, true);
}

static void take_connection(struct accepting *accepting) {
  struct cc_listeners *listeners = accepting->listeners;
  struct cc_inbound *in = cc_inbound_accept(&accepting->uv.stream, listeners->settings,
                                            &listeners->events, listeners->owner);
  accepting->waiting = false;
  if (!in) return;
  in->listener = accepting->listener->number;
  link_connection(listeners, in);
  if (accepting->listener->proxied)
    cc_inbound_expect_proxy(in);
  else
    put_tls_on(in);
}

static bool somebody_waits(const struct cc_listeners *listeners) {
  for (uint32_t i = 0; i < listeners->count; i++) {
    const struct accepting *accepting = listeners->list[i]->accepting;
    if (accepting && accepting->waiting) return true;
  }
  return false;
}

static bool is_crowded(struct cc_inbound *in) {
  return somebody_waits(listeners_of(in));
}

// Closes the connection that has been idle longest for a client that waits.
static void close_idle(struct cc_listeners *listeners) {
  struct cc_inbound *longest = NULL;
  for (struct cc_inbound *in = listeners->connections; in; in = in->next)
    if ((!longest || in->timer.due < longest->timer.due) && cc_inbound_is_idle(in)) longest = in;
  if (longest) cc_inbound_drain(longest);
}

// A place has become free: takes the connections that libuv holds.
static void fill_places(struct cc_listeners *listeners) {
  for (uint32_t i = 0; i < listeners->count && !is_full(listeners); i++) {
    struct accepting *accepting = listeners->list[i]->accepting;
    if (accepting && accepting->open && accepting->waiting) take_connection(accepting);
  }
}

static void connection_closed(struct cc_inbound *in) {
  struct cc_listeners *listeners = listeners_of(in);
  unlink_connection(listeners, in);
  if (listeners->above->closed) listeners->above->closed(in);
  if (!listeners->closing) fill_places(listeners);
  free_if_done(listeners);
}

// ---- Accepting ---------------------------------------------------------------------------------

static int start_accepting(struct accepting *accepting);

static void back_off_over(uv_timer_t *timer) {
  struct accepting *accepting = timer->data;
  if (start_accepting(accepting)) uv_timer_start(timer, back_off_over, BACK_OFF_MS, 0);
}

static void handle_closed(uv_handle_t *handle) {
  struct accepting *accepting = handle->data;
  struct cc_listeners *listeners = accepting->listeners;
  accepting->handles--;
  if (!accepting->closing) {
    uv_timer_start(&accepting->timer, back_off_over, BACK_OFF_MS, 0);
  } else if (!accepting->handles) {
    free(accepting);
    listeners->handles--;
    free_if_done(listeners);
  }
}

static void close_socket(struct accepting *accepting) {
  accepting->open = accepting->waiting = false;
  uv_close(&accepting->uv.handle, handle_closed);
}

// Without a descriptor for a connection, libuv would try again at once, for ever.
static void connected(uv_stream_t *server, int status) {
  struct accepting *accepting = server->data;
  if (!accepting->open) return;
  if (status < 0) {
    close_socket(accepting);
  } else if (is_full(accepting->listeners)) {
    accepting->waiting = true;
    close_idle(accepting->listeners);
  } else {
    take_connection(accepting);
  }
}

static int start_accepting(struct accepting *accepting) {
  struct listener *listener = accepting->listener;
  uv_loop_t *loop = accepting->listeners->loop;
  int fd = fcntl(accepting->fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return cc_fail_errno(CC_ESYSTEM, "accept");
  if (listener->path)
    uv_pipe_init(loop, &accepting->uv.pipe, 0);
  else
    uv_tcp_init(loop, &accepting->uv.tcp);
  accepting->uv.handle.data = accepting;
  accepting->handles++;
  accepting->open = true;
  int status =
      listener->path ? uv_pipe_open(&accepting->uv.pipe, fd) : uv_tcp_open(&accepting->uv.tcp, fd);
  if (status)
    close(fd);
  else
    status = uv_listen(&accepting->uv.stream, BACKLOG, connected);
  if (!status) return CC_OK;
  close_socket(accepting);
  return cc_fail(CC_ESYSTEM, "listen: %s", uv_strerror(status));
}

static void stop_accepting(struct listener *listener) {
  struct accepting *accepting = listener->accepting;
  listener->accepting = NULL;
  if (!accepting) return;
  accepting->closing = true;
  if (accepting->open) close_socket(accepting);
  uv_close((uv_handle_t *)&accepting->timer, handle_closed);
}

int cc_listeners_accept(struct cc_listeners *listeners, int number, uint32_t copy) {
  if (number < 0 || (uint32_t)number >= listeners->count) return CC_EINVAL;
  struct listener *listener = listeners->list[number];
  int fd = listener->copies ? listener->fds[copy % listener->copies] : -1;
  if (listener->accepting || fd < 0) return CC_ESTATE;
  struct accepting *accepting = cc_alloc(sizeof *accepting);
  accepting->listeners = listeners;
  accepting->listener = listener;
  accepting->fd = fd;
  accepting->handles = 1;
  uv_timer_init(listeners->loop, &accepting->timer);
  accepting->timer.data = accepting;
  listener->accepting = accepting;
  listeners->handles++;
  int error = start_accepting(accepting);
  if (error) stop_accepting(listener);
  return error;
}

// ---- Life --------------------------------------------------------------------------------------

struct cc_listeners *cc_listeners_new(uv_loop_t *loop, struct cc_inbound_settings *settings,
                                      const uint32_t *limit, const struct cc_inbound_events *events,
                                      void *owner) {
  struct cc_listeners *listeners = cc_alloc(sizeof *listeners);
  listeners->loop = loop;
  listeners->settings = settings;
  listeners->limit = limit;
  listeners->above = events;
  listeners->events = *events;
  listeners->events.closed = connection_closed;
  listeners->events.crowded = is_crowded;
  listeners->events.named = put_tls_on;
  listeners->owner = owner;
  return listeners;
}

static void add(struct cc_listeners *listeners, struct listener *listener) {
  size_t size = (listeners->count + 1) * sizeof *listeners->list;
  listeners->list = cc_realloc(listeners->list, size);
  listener->number = (int)listeners->count;
  listeners->list[listeners->count++] = listener;
}

// All workers accept on the one socket.
static int take_passed(struct listener *listener, int fd) {
  if (!cc_socket_passed(fd, &listener->port, &listener->path)) return CC_EINVAL;
  listener->fds[0] = fd;
  listener->copies = 1;
  listener->owner = 0;
  return CC_OK;
}

static int bind_sockets(struct listener *listener, const struct cc_listen *spec) {
  if (spec->passed) return take_passed(listener, (int)spec->passed);
  if (!spec->path.size)
    return cc_socket_tcp(spec->host, spec->port, listener->copies, listener->fds, &listener->port);
  listener->path = cc_copy_text(spec->path.data, spec->path.size);
  listener->copies = 1;
  return cc_socket_unix(listener->path, listener->fds);
}

int cc_listeners_bind(struct cc_listeners *listeners, const struct cc_listen *spec) {
  if (spec->copies > COPIES_MAX || spec->port > 65535) return CC_EINVAL;
  struct listener *listener = cc_alloc(sizeof *listener);
  listener->copies = spec->copies ? spec->copies : 1;
  listener->fds = cc_alloc(listener->copies * sizeof *listener->fds);
  listener->owner = getpid();
  listener->proxied = spec->proxied;
  listener->secure = spec->cert.size || spec->key.size;
  int error =
      listener->secure ? cc_identity_load(&listeners->identity, spec->cert, spec->key) : CC_OK;
  if (!error) error = bind_sockets(listener, spec);
  if (error) {
    free_listener(listener);
    return error;
  }
  add(listeners, listener);
  return listener->number;
}

struct cc_identity *cc_listeners_identity(struct cc_listeners *listeners) {
  return &listeners->identity;
}

uint32_t cc_listeners_port(const struct cc_listeners *listeners, int number) {
  if (number < 0 || (uint32_t)number >= listeners->count) return 0;
  return listeners->list[number]->port;
}

uint32_t cc_listeners_connections(const struct cc_listeners *listeners) {
  return listeners->open;
}

void cc_listeners_inherit(struct cc_listeners *to, struct cc_listeners *from, uint32_t slot) {
  to->identity = from->identity;
  from->identity = (struct cc_identity){0};
  for (uint32_t i = 0; i < from->count; i++) {
    struct listener *old = from->list[i], *listener = cc_alloc(sizeof *listener);
    *listener = *old;
    listener->accepting = NULL;
    old->fds = NULL;
    old->copies = 0;
    old->path = NULL;
    for (uint32_t copy = 0; copy < listener->copies; copy++) {
      if (copy == slot % listener->copies) continue;
      if (listener->fds[copy] >= 0) close(listener->fds[copy]);
      listener->fds[copy] = -1;
    }
    add(to, listener);
  }
}

static void close_listener(struct listener *listener) {
  stop_accepting(listener);
  bool open = false;
  for (uint32_t copy = 0; copy < listener->copies; copy++) {
    if (listener->fds[copy] < 0) continue;
    close(listener->fds[copy]);
    listener->fds[copy] = -1;
    open = true;
  }
  if (open && listener->path && listener->owner == getpid()) unlink(listener->path);
}

void cc_listeners_drain(struct cc_listeners *listeners) {
  for (uint32_t i = 0; i < listeners->count; i++)
    close_listener(listeners->list[i]);
  for (struct cc_inbound *in = listeners->connections; in; in = in->next)
    cc_inbound_drain(in);
}

void cc_listeners_close(struct cc_listeners *listeners) {
  listeners->closing = true;
  for (uint32_t i = 0; i < listeners->count; i++)
    close_listener(listeners->list[i]);
  for (struct cc_inbound *in = listeners->connections; in; in = in->next)
    cc_inbound_break(in, in->phase != CC_INBOUND_FLUSH);
  free_if_done(listeners);
}
