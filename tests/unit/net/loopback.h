// SPDX-License-Identifier: Apache-2.0
// A bench for connections: one loop, a resolver whose answers a test sets, a pool, and peers that
// are plain blocking sockets on loopback addresses. A user writes down what it is told, one letter
// a call, and can act from within a call.
#ifndef TEST_LOOPBACK_H
#define TEST_LOOPBACK_H
#include "api/error.h"
#include "net/outbound.h"
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static uv_loop_t loop;
static struct cc_resolver *resolver;
static struct cc_pool *pool;
static struct cc_pool_settings settings;
static const char *answers[4]; // addresses that every name has; none: CC_EDNS
static uv_sem_t hanging;       // a name "hang" waits here

static int look_up(const char *host, struct cc_addresses *found) {
  found->count = 0;
  if (strcmp(host, "hang") == 0) {
    uv_sem_wait(&hanging);
    return CC_EDNS;
  }
  for (int i = 0; i < 4 && answers[i]; i++)
    cc_address_parse(answers[i], &found->list[found->count++]);
  return found->count ? CC_OK : CC_EDNS;
}

#define run_until(condition)                                                                       \
  do {                                                                                             \
    while (!(condition)) {                                                                         \
      uv_run(&loop, UV_RUN_ONCE);                                                                  \
    }                                                                                              \
  } while (0)

static inline void run_some(void) { // what is ready now, and what follows from it
  for (int i = 0; i < 20; i++)
    uv_run(&loop, UV_RUN_NOWAIT);
}

static inline void configure(void) {
  cc_pool_configure(pool, &settings);
}

static int set_up(void **state) {
  (void)state;
  static const struct cc_resolver_system system = {look_up, uv_now};
  alarm(60); // a test that hangs ends here
  memset(answers, 0, sizeof answers);
  uv_sem_init(&hanging, 0);
  uv_loop_init(&loop);
  resolver = cc_resolver_new(&loop);
  cc_resolver_replace(resolver, &system);
  pool = cc_pool_new(&loop, resolver);
  settings = (struct cc_pool_settings){
      60000, 60000, 4, 20000, {.head_bytes = 4096, .headers = 20, .target_bytes = 100}, 0};
  configure();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  if (pool) cc_pool_close(pool);
  cc_resolver_close(resolver);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_sem_destroy(&hanging);
  return uv_loop_close(&loop);
}

// ---- Peers -------------------------------------------------------------------------------------

struct listener {
  int fd;
  uint16_t port;
};

static inline struct listener listen_on(const char *host, uint16_t port, int backlog) {
  union cc_address address;
  socklen_t size = sizeof address;
  int on = 1;
  assert_true(cc_address_parse(host, &address));
  cc_address_set_port(&address, port);
  struct listener listener = {socket(AF_INET, SOCK_STREAM, 0), 0};
  setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  assert_int_equal(bind(listener.fd, &address.any, sizeof address.v4), 0);
  assert_int_equal(listen(listener.fd, backlog), 0);
  assert_int_equal(getsockname(listener.fd, &address.any, &size), 0);
  listener.port = ntohs(address.v4.sin_port);
  return listener;
}

static inline struct listener listen_any(void) {
  return listen_on("127.0.0.1", 0, 16);
}

static inline int accept_from(struct listener listener) {
  int fd = accept(listener.fd, NULL, NULL);
  assert_true(fd >= 0);
  return fd;
}

// A port on which nothing listens: bound, so that nobody else takes it.
static inline struct listener closed_port(const char *host) {
  struct listener listener = listen_on(host, 0, 1);
  close(listener.fd);
  union cc_address address;
  cc_address_parse(host, &address);
  cc_address_set_port(&address, listener.port);
  int on = 1;
  listener.fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  assert_int_equal(bind(listener.fd, &address.any, sizeof address.v4), 0);
  return listener;
}

static inline void peer_send_bytes(int fd, const char *data, size_t size) {
  assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), (ssize_t)size);
}

static inline void peer_send(int fd, const char *text) {
  peer_send_bytes(fd, text, strlen(text));
}

// Reads up to the blank line; the text is good until the next call.
static inline const char *peer_read_head(int fd) {
  static char text[8192];
  size_t size = 0;
  do {
    assert_true(size < sizeof text - 1);
    assert_int_equal(recv(fd, text + size, 1, 0), 1);
    text[++size] = 0;
  } while (size < 4 || strcmp(text + size - 4, "\r\n\r\n") != 0);
  return text;
}

static inline void peer_reset(int fd) {
  struct linger linger = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(fd);
}

// How the other side ended: 0 in order, ECONNRESET by a reset. Skips bytes.
static inline int peer_await_end(int fd) {
  char bytes[4096];
  ssize_t size;
  while ((size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) != 0) {
    if (size < 0 && errno != EAGAIN) return errno;
    if (size < 0) uv_run(&loop, UV_RUN_NOWAIT);
  }
  return 0;
}

static inline bool peer_open(int fd) {
  char byte;
  return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

// ---- A user ------------------------------------------------------------------------------------

struct user {
  struct cc_outbound *out; // NULL when it has gone
  char calls[64];          // r ready, d drain, h head, b body, e end, f fail
  int error;
  char detail[120];
  int status;
  bool reused;
  bool tls_failed;
  bool inside; // a call is going on
  struct cc_buffer body;
  char act_at; // the call in which act is called, once
  void (*act)(struct user *user);
};

static inline void called(struct user *user, char call) {
  size_t size = strlen(user->calls);
  bool again = size && user->calls[size - 1] == call && call == 'b';
  assert_true(size < sizeof user->calls - 1);
  assert_false(user->inside);
  assert_non_null(user->out);
  if (!again) user->calls[size] = call; // a run of body pieces counts once
  if (user->act_at != call) return;
  user->act_at = 0;
  user->inside = true;
  user->act(user);
  user->inside = false;
}

static void on_ready(struct cc_outbound *out) {
  struct user *user = out->user;
  user->reused = out->reused;
  called(user, 'r');
}

static void on_drain(struct cc_outbound *out) {
  called(out->user, 'd');
}

static void on_head(struct cc_outbound *out, const struct cc_http1_head *head) {
  struct user *user = out->user;
  user->status = head->status;
  called(user, 'h');
}

static void on_body(struct cc_outbound *out, struct cc_slice piece) {
  struct user *user = out->user;
  cc_buffer_add(&user->body, piece.data, piece.size);
  called(user, 'b');
}

static void on_end(struct cc_outbound *out) {
  called(out->user, 'e');
}

static void on_fail(struct cc_outbound *out, int error) {
  struct user *user = out->user;
  user->error = error;
  user->reused = out->reused;
  user->tls_failed = out->tls_failed;
  strcpy(user->detail, out->detail);
  called(user, 'f');
  user->out = NULL;
}

static const struct cc_outbound_events user_events = {on_ready, on_drain, on_head,
                                                      on_body,  on_end,   on_fail};

static inline void take(struct user *user, int origin, bool fresh) {
  size_t calls = strlen(user->calls);
  user->out = cc_pool_take(pool, origin, fresh, &user_events, user);
  assert_non_null(user->out);
  assert_int_equal(strlen(user->calls), calls);
}

static inline void give_back(struct user *user) {
  cc_outbound_release(user->out);
  user->out = NULL;
}

static inline void drop(struct user *user) {
  cc_outbound_drop(user->out);
  user->out = NULL;
}

static inline bool told(const struct user *user, char call) {
  return strchr(user->calls, call) != NULL;
}

static inline void assert_body(const struct user *user, const char *text) {
  assert_int_equal(user->body.size, strlen(text));
  assert_memory_equal(user->body.data, text, strlen(text));
}

static inline void request(struct user *user) {
  struct cc_slice text = cc_slice_text("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  cc_outbound_begin(user->out, false);
  assert_int_equal(cc_outbound_write(user->out, &text, 1), CC_OK);
}

static inline int plain_origin(const char *host, uint16_t port) {
  struct cc_origin_key key = {.host = (char *)host, .port = port};
  return cc_pool_origin(pool, &key);
}

// A connection on which a request has been sent; returns the peer's side.
static inline int open_message(struct user *user, struct listener listener) {
  take(user, plain_origin("127.0.0.1", listener.port), true);
  run_until(told(user, 'r'));
  int peer = accept_from(listener);
  request(user);
  peer_read_head(peer);
  return peer;
}

static inline void dial(struct user *user, const struct cc_origin_key *key) {
  *user = (struct user){0};
  int origin = cc_pool_origin(pool, key);
  assert_true(origin >= 0);
  take(user, origin, false);
}

static inline void await(struct user *user) {
  run_until(*user->calls);
}

static inline void assert_fails(const struct cc_origin_key *key, int error) {
  struct user user;
  dial(&user, key);
  await(&user);
  assert_string_equal(user.calls, "f");
  assert_int_equal(user.error, error);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#endif
