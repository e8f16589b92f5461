// SPDX-License-Identifier: Apache-2.0
// Two streams that talk over loopback, and a note of everything they are told.
#ifndef TESTS_NET_PAIR_H
#define TESTS_NET_PAIR_H
#include "api/error.h"
#include "net/stream.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

struct end {
  struct cc_stream stream; // first: the events find the end by it
  struct cc_buffer got;
  int readies, ready_error;
  int ends, end_error;
  int reads, drains, closes;
  int early;    // callbacks after close, or before their time
  bool in_call; // a call into the stream is under way
  void (*on_ready)(struct end *end);
  void (*on_read)(struct end *end);
  void (*on_end)(struct end *end);
  void *context;
};

struct pair {
  uv_loop_t loop;
  uv_tcp_t server;
  uv_pipe_t pipe_server;
  uv_timer_t watchdog;
  struct sockaddr_in address;
  struct end client, peer;
  struct cc_tls_config *server_config; // TLS on what is accepted
  bool listening, piping, late;
};

static inline void note(struct end *end) {
  if (end->stream.closing || end->in_call) end->early++;
}

static void end_ready(struct cc_stream *stream, int error) {
  struct end *end = (struct end *)stream;
  note(end);
  end->readies++;
  end->ready_error = error;
  if (end->on_ready) end->on_ready(end);
}

static void end_read(struct cc_stream *stream, const char *data, size_t size) {
  struct end *end = (struct end *)stream;
  note(end);
  end->reads++;
  cc_buffer_add(&end->got, data, size);
  if (end->on_read) end->on_read(end);
}

static void end_drain(struct cc_stream *stream) {
  struct end *end = (struct end *)stream;
  note(end);
  if (stream->queued) end->early++;
  end->drains++;
}

static void end_end(struct cc_stream *stream, int error) {
  struct end *end = (struct end *)stream;
  note(end);
  end->ends++;
  end->end_error = error;
  if (end->on_end) end->on_end(end);
}

static void end_closed(struct cc_stream *stream) {
  ((struct end *)stream)->closes++;
}

static const struct cc_stream_events end_events = {end_ready, end_read, end_drain, end_end,
                                                   end_closed};

static inline void barked(uv_timer_t *timer) {
  ((struct pair *)timer->data)->late = true;
}

static inline void step(struct pair *pair) {
  uv_run(&pair->loop, UV_RUN_ONCE);
  if (pair->late) fail_msg("nothing came of it");
}

#define RUN_UNTIL(pair, condition)                                                                 \
  do {                                                                                             \
    while (!(condition))                                                                           \
      step(pair);                                                                                  \
  } while (0)

// The same for what no event of the loop shows.
#define WAIT_UNTIL(pair, condition)                                                                \
  do {                                                                                             \
    while (!(condition)) {                                                                         \
      uv_sleep(5);                                                                                 \
      uv_run(&(pair)->loop, UV_RUN_NOWAIT);                                                        \
      if ((pair)->late) fail_msg("nothing came of it");                                            \
    }                                                                                              \
  } while (0)

// Turns the loop a few times, for what must not happen.
static inline void idle(struct pair *pair) {
  for (int i = 0; i < 20; i++) {
    uv_run(&pair->loop, UV_RUN_NOWAIT);
    uv_sleep(1);
  }
}

static inline void pair_accept(uv_stream_t *server, int status) {
  struct pair *pair = server->data;
  assert_int_equal(status, 0);
  assert_int_equal(cc_stream_accept(&pair->peer.stream, server, &end_events), CC_OK);
  if (!pair->server_config) return;
  int cc_stream_tls_server(struct cc_stream *, struct cc_tls_config *);
  assert_int_equal(cc_stream_tls_server(&pair->peer.stream, pair->server_config), CC_OK);
}

static inline struct pair *pair_new(void) {
  struct pair *pair = cc_alloc(sizeof *pair);
  uv_loop_init(&pair->loop);
  uv_timer_init(&pair->loop, &pair->watchdog);
  pair->watchdog.data = pair;
  uv_timer_start(&pair->watchdog, barked, 30000, 0);
  return pair;
}

static inline void pair_listen(struct pair *pair) {
  int size = sizeof pair->address;
  uv_ip4_addr("127.0.0.1", 0, &pair->address);
  uv_tcp_init(&pair->loop, &pair->server);
  pair->server.data = pair;
  assert_int_equal(uv_tcp_bind(&pair->server, (struct sockaddr *)&pair->address, 0), 0);
  assert_int_equal(uv_listen((uv_stream_t *)&pair->server, 8, pair_accept), 0);
  uv_tcp_getsockname(&pair->server, (struct sockaddr *)&pair->address, &size);
  pair->listening = true;
}

static inline void pair_connect(struct pair *pair) {
  pair->client.in_call = true;
  assert_int_equal(cc_stream_connect(&pair->client.stream, &pair->loop,
                                     (struct sockaddr *)&pair->address, &end_events),
                   CC_OK);
  pair->client.in_call = false;
}

// A listening, connected pair; neither side reads yet.
static inline struct pair *pair_plain(void) {
  struct pair *pair = pair_new();
  pair_listen(pair);
  pair_connect(pair);
  RUN_UNTIL(pair, pair->client.readies && pair->peer.stream.standing);
  assert_int_equal(pair->client.ready_error, CC_OK);
  return pair;
}

static inline void limit_buffer(struct end *end, int which) {
  int fd, size = 128 << 10;
  assert_int_equal(uv_fileno(&end->stream.uv.handle, &fd), 0);
  assert_int_equal(setsockopt(fd, SOL_SOCKET, which, &size, sizeof size), 0);
}

// What the client writes goes in small steps; otherwise the system may take megabytes in one.
static inline void small_steps(struct pair *pair) {
  limit_buffer(&pair->client, SO_SNDBUF);
  limit_buffer(&pair->peer, SO_RCVBUF);
}

static inline void end_free(struct pair *pair, struct end *end) {
  if (end->stream.events) {
    if (!end->stream.closing) cc_stream_reset(&end->stream);
    RUN_UNTIL(pair, end->closes);
    assert_int_equal(end->closes, 1);
  }
  assert_int_equal(end->early, 0);
  cc_buffer_free(&end->got);
}

// Forgets an end, so that another connection can take its place.
static inline void end_again(struct pair *pair, struct end *end) {
  end_free(pair, end);
  memset(end, 0, sizeof *end);
}

static inline void pair_free(struct pair *pair) {
  end_free(pair, &pair->client);
  end_free(pair, &pair->peer);
  if (pair->listening) uv_close((uv_handle_t *)&pair->server, NULL);
  if (pair->piping) uv_close((uv_handle_t *)&pair->pipe_server, NULL);
  uv_close((uv_handle_t *)&pair->watchdog, NULL);
  uv_run(&pair->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&pair->loop), 0);
  free(pair);
}

static inline int end_write(struct end *end, const char *data, size_t size) {
  struct cc_slice part = {data, (uint32_t)size};
  end->in_call = true;
  int error = cc_stream_write(&end->stream, &part, 1);
  end->in_call = false;
  return error;
}

static inline int end_say(struct end *end, const char *text) {
  return end_write(end, text, strlen(text));
}

static inline void end_listen(struct end *end) {
  end->in_call = true;
  cc_stream_read(&end->stream);
  end->in_call = false;
}

static inline bool end_has(const struct end *end, const char *text) {
  return end->got.size == strlen(text) && memcmp(end->got.data, text, end->got.size) == 0;
}

// Bytes that show when one is lost, doubled or out of place.
static inline char *pattern(size_t size) {
  char *bytes = cc_alloc(size);
  uint32_t state = 1;
  for (size_t i = 0; i < size; i++) {
    state = state * 1664525 + 1013904223;
    bytes[i] = (char)(state >> 24);
  }
  return bytes;
}
#endif
