// SPDX-License-Identifier: Apache-2.0
// A server of one loop and its clients in the same process. Everything the connections tell is
// written into a log; run_until lets the loop work until a condition holds, and fails the test
// when that does not come.
#ifndef TEST_NET_SERVER_H
#define TEST_NET_SERVER_H
#include "api/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/inbound.h"
#include "net/listener.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct server {
  uv_loop_t loop;
  struct cc_listeners *listeners;
  struct cc_inbound_settings settings;
  uint32_t limit;
  int number;
  struct cc_buffer log;
  struct cc_inbound *in; // of the last head or refusal
  unsigned heads, completes, gones, closes, drains;
  int error; // of the last refuse or gone
  double body;
  void (*on_head)(struct server *server, struct cc_inbound *in);
  void (*on_complete)(struct server *server, struct cc_inbound *in);
  void (*on_pause)(struct server *server, struct cc_inbound *in);
  void (*on_refuse)(struct server *server, struct cc_inbound *in);
};

static inline void server_head(struct cc_inbound *in, const struct cc_http1_head *head) {
  struct server *server = in->server;
  server->in = in;
  server->heads++;
  cc_buffer_printf(&server->log, "head %.*s %.*s\n", (int)head->method.size, head->method.data,
                   (int)head->path.size, head->path.data);
  if (server->on_head) server->on_head(server, in);
}

static inline void server_body(struct cc_inbound *in, struct cc_slice piece) {
  struct server *server = in->server;
  server->body += piece.size;
}

static inline void server_complete(struct cc_inbound *in) {
  struct server *server = in->server;
  server->completes++;
  cc_buffer_printf(&server->log, "complete %.0f\n", server->body);
  server->body = 0;
  if (server->on_complete) server->on_complete(server, in);
}

static inline void server_pause(struct cc_inbound *in) {
  struct server *server = in->server;
  cc_buffer_printf(&server->log, "pause %.0f\n", server->body);
  if (server->on_pause) server->on_pause(server, in);
}

static inline void server_refuse(struct cc_inbound *in, int error) {
  struct server *server = in->server;
  server->in = in;
  server->error = error;
  cc_buffer_printf(&server->log, "refuse %s\n", cc_error_name(error));
  if (server->on_refuse) server->on_refuse(server, in);
}

static inline void server_drain(struct cc_inbound *in) {
  struct server *server = in->server;
  server->drains++;
}

static inline void server_gone(struct cc_inbound *in, int error) {
  struct server *server = in->server;
  server->gones++;
  server->error = error;
  server->in = NULL;
  cc_buffer_printf(&server->log, "gone %s\n", cc_error_name(error));
}

static inline void server_closed(struct cc_inbound *in) {
  struct server *server = in->server;
  server->closes++;
  if (server->in == in) server->in = NULL;
}

static const struct cc_inbound_events server_events = {
    .head = server_head,
    .body = server_body,
    .complete = server_complete,
    .pause_point = server_pause,
    .refuse = server_refuse,
    .drain = server_drain,
    .gone = server_gone,
    .closed = server_closed,
};

static inline struct server *server_new(void) {
  struct server *server = cc_alloc(sizeof *server);
  assert_int_equal(uv_loop_init(&server->loop), 0);
  server->settings =
      (struct cc_inbound_settings){{16384, 50, 4096}, .body_bytes = 1000000, .head_ms = 60000,
                                   .body_ms = 60000,  .keepalive_ms = 60000, .write_ms = 60000};
  server->listeners =
      cc_listeners_new(&server->loop, &server->settings, &server->limit, &server_events, server);
  return server;
}

static inline struct server *server_open(void) {
  struct server *server = server_new();
  struct cc_listen spec = {.host = cc_slice_text("127.0.0.1"), .copies = 1};
  server->number = cc_listeners_bind(server->listeners, &spec);
  assert_int_equal(server->number, 0);
  assert_int_equal(cc_listeners_accept(server->listeners, 0, 0), CC_OK);
  return server;
}

static inline void server_close(struct server *server) {
  cc_listeners_close(server->listeners);
  uv_run(&server->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&server->loop), 0);
  cc_buffer_free(&server->log);
  free(server);
}

static inline bool server_says(struct server *server, const char *expected) {
  return server->log.size == strlen(expected) &&
         memcmp(server->log.data, expected, server->log.size) == 0;
}

#define assert_log(server, expected)                                                               \
  do {                                                                                             \
    cc_buffer_add(&(server)->log, "", 1);                                                          \
    assert_string_equal((server)->log.data, expected);                                             \
    (server)->log.size--;                                                                          \
  } while (0)

static inline void guard_expired(uv_timer_t *timer) {
  *(bool *)timer->data = true;
}

// Runs the loop until condition; the guard only bounds a test that has failed.
#define run_until(server, condition)                                                               \
  do {                                                                                             \
    bool late_ = false;                                                                            \
    uv_timer_t guard_, tick_;                                                                      \
    guard_start(server, &guard_, &tick_, &late_);                                                  \
    while (!(condition) && !late_)                                                                 \
      uv_run(&(server)->loop, UV_RUN_ONCE);                                                        \
    guard_stop(server, &guard_, &tick_);                                                           \
    if (late_)                                                                                     \
      fail_msg("never came: %s; log: %.*s", #condition, (int)(server)->log.size,                   \
               (server)->log.data ? (server)->log.data : "");                                      \
  } while (0)

static inline void tick(uv_timer_t *timer) {
  (void)timer;
}

static inline void guard_start(struct server *server, uv_timer_t *guard, uv_timer_t *ticks,
                               bool *late) {
  uv_timer_init(&server->loop, guard);
  guard->data = late;
  uv_update_time(&server->loop);
  uv_timer_start(guard, guard_expired, 20000, 0);
  uv_timer_init(&server->loop, ticks); // so that conditions about the client are looked at
  uv_timer_start(ticks, tick, 1, 1);
}

static inline void guard_count(uv_handle_t *handle) {
  handle->data = NULL;
}

static inline void guard_stop(struct server *server, uv_timer_t *guard, uv_timer_t *ticks) {
  guard->data = ticks->data = server;
  uv_close((uv_handle_t *)guard, guard_count);
  uv_close((uv_handle_t *)ticks, guard_count);
  while (guard->data || ticks->data)
    uv_run(&server->loop, UV_RUN_NOWAIT);
}

// ---- Clients -----------------------------------------------------------------------------------

struct client {
  int fd;
  struct cc_buffer got;
  bool ended;
  int system; // errno that ended it
};

static inline void client_adopt(struct client *client, int fd) {
  *client = (struct client){.fd = fd};
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static inline void client_open(struct client *client, struct server *server) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons((uint16_t)cc_listeners_port(server->listeners, server->number));
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  client_adopt(client, fd);
}

static inline void client_send(struct client *client, const char *text) {
  size_t size = strlen(text);
  assert_int_equal(send(client->fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

static inline void client_read(struct client *client) {
  char piece[65536];
  while (!client->ended) {
    ssize_t size = recv(client->fd, piece, sizeof piece, 0);
    if (size > 0) {
      cc_buffer_add(&client->got, piece, (size_t)size);
      continue;
    }
    if (size < 0 && errno == EAGAIN) return;
    client->ended = true;
    client->system = size < 0 ? errno : 0;
  }
}

static inline bool client_has(struct client *client, const char *text) {
  client_read(client);
  return client->got.size && memmem(client->got.data, client->got.size, text, strlen(text)) != NULL;
}

static inline bool client_ended(struct client *client) {
  client_read(client);
  return client->ended;
}

static inline void client_close(struct client *client) {
  if (client->fd >= 0) close(client->fd);
  client->fd = -1;
  cc_buffer_free(&client->got);
}

static inline void client_reset(struct client *client) {
  struct linger now = {1, 0};
  setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  client_close(client);
}
#endif
