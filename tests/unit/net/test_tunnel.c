// SPDX-License-Identifier: Apache-2.0
// What stands between a socket and a ready connection: an HTTP proxy, TLS, or both.
#include "loopback.h"
#include "net/outbound_internal.h"
#include "net/tls.h"
#include <stdio.h>

static void time_is_over(struct user *user) {
  cc_timer_set(&user->out->timer, 1);
}

// ---- Proxies -----------------------------------------------------------------------------------

static struct cc_origin_key through(struct listener proxy, bool tls, char *host) {
  return (struct cc_origin_key){.host = host,
                                .port = tls ? 443 : 80,
                                .tls = tls,
                                .proxy_host = "127.0.0.1",
                                .proxy_port = proxy.port,
                                .proxy_auth = "Basic Zm9v"};
}

static void a_proxy_relays_plain_http(void **state) {
  (void)state;
  struct listener proxy = listen_any();
  struct cc_origin_key key = through(proxy, false, "name.example");
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "r");
  assert_string_equal(cc_outbound_host(user.out), "name.example");
  assert_string_equal(cc_outbound_prefix(user.out), "http://name.example");
  assert_string_equal(cc_outbound_proxy_auth(user.out), "Basic Zm9v");
  drop(&user);
  key.port = 8080;
  key.host = "[fc00::1]";
  dial(&user, &key);
  assert_string_equal(cc_outbound_host(user.out), "[fc00::1]:8080");
  assert_string_equal(cc_outbound_prefix(user.out), "http://[fc00::1]:8080");
  drop(&user);
  struct cc_origin_key direct = {.host = "127.0.0.1", .port = proxy.port};
  dial(&user, &direct);
  assert_string_equal(cc_outbound_prefix(user.out), "");
  assert_null(cc_outbound_proxy_auth(user.out));
  drop(&user);
  close(proxy.fd);
}

static void a_public_literal_is_forbidden_through_a_proxy_too(void **state) {
  (void)state;
  struct listener proxy = listen_any();
  struct cc_origin_key key = through(proxy, false, "224.0.0.1");
  assert_fails(&key, CC_EADDRESS_FORBIDDEN);
  key.allow_public_http = true;
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "r");
  drop(&user);
  close(proxy.fd);
}

static int connect_head(struct user *user, struct listener proxy, const char *host) {
  struct cc_origin_key key = through(proxy, true, (char *)host);
  dial(user, &key);
  run_until(user->out->phase == CC_PHASE_TUNNELLING);
  return accept_from(proxy);
}

static void a_tunnel_is_asked_for(void **state) {
  (void)state;
  struct listener proxy = listen_any();
  struct user user;
  int peer = connect_head(&user, proxy, "name.example");
  assert_string_equal(peer_read_head(peer), "CONNECT name.example:443 HTTP/1.1\r\n"
                                            "Host: name.example:443\r\n"
                                            "Proxy-Authorization: Basic Zm9v\r\n\r\n");
  assert_string_equal(cc_outbound_prefix(user.out), "");
  assert_null(cc_outbound_proxy_auth(user.out)); // nothing of it reaches the upstream
  drop(&user);
  close(peer);
  peer = connect_head(&user, proxy, "[::1]");
  const char *wanted = "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n";
  assert_memory_equal(peer_read_head(peer), wanted, strlen(wanted));
  drop(&user);
  close(peer);
  close(proxy.fd);
}

static void tls_begins_in_the_tunnel(void **state) {
  (void)state;
  static const char *const good[] = {
      "HTTP/1.1 200 Connection established\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 201 x\r\nContent-Length: 12\r\n\r\n"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    struct listener proxy = listen_any();
    struct user user;
    unsigned char record[3];
    int peer = connect_head(&user, proxy, "name.example");
    peer_read_head(peer);
    peer_send(peer, good[i]);
    run_until(user.out->phase == CC_PHASE_SECURING);
    run_some();
    assert_int_equal(recv(peer, record, 3, 0), 3);
    assert_int_equal(record[0], 22); // a handshake record
    assert_int_equal(record[1], 3);
    close(peer);
    await(&user);
    assert_int_equal(user.error, CC_ETLS);
    close(proxy.fd);
  }
}

struct refusal {
  const char *answer;
  const char *detail;
};

static void a_refused_tunnel_is_the_proxys_fault(void **state) {
  (void)state;
  static const struct refusal refusals[] = {
      {"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 9\r\n\r\nforbidden",
       "the proxy answered 407"},
      {"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", "the proxy answered 302"},
      {"SSH-2.0-OpenSSH\r\n\r\n", "the proxy's answer is malformed"},
      {"HTTP/1.1 101 x\r\nupgrade: a\r\nconnection: upgrade\r\n\r\n",
       "the proxy's answer is malformed"},
      {"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03", "the proxy sent bytes of its own into the tunnel"},
      {"HTTP/1.1 200 OK\r\n", "the proxy closed the connection"},
      {"", "the proxy closed the connection"},
  };
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    struct listener proxy = listen_any();
    struct user user;
    int peer = connect_head(&user, proxy, "name.example");
    peer_read_head(peer);
    peer_send(peer, refusals[i].answer);
    shutdown(peer, SHUT_WR);
    await(&user);
    assert_string_equal(user.calls, "f");
    assert_int_equal(user.error, CC_EPROXY);
    assert_string_equal(user.detail, refusals[i].detail);
    peer_await_end(peer);
    close(peer);
    close(proxy.fd);
  }
}

static void a_silent_proxy_is_a_timeout(void **state) {
  (void)state;
  struct listener proxy = listen_any();
  struct user user;
  int peer = connect_head(&user, proxy, "name.example");
  peer_send(peer, "HTTP/1.1 200");
  assert_true(user.out->timer.due > uv_now(&loop));
  time_is_over(&user);
  await(&user);
  assert_int_equal(user.error, CC_ECONNECT_TIMEOUT);
  assert_string_equal(user.detail, "no answer from the proxy");
  close(peer);
  close(proxy.fd);
}

static void a_silent_tls_server_is_a_timeout(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct cc_origin_key key = {.host = "127.0.0.1", .port = listener.port, .tls = true};
  struct user user;
  dial(&user, &key);
  run_until(user.out->phase == CC_PHASE_SECURING);
  time_is_over(&user);
  await(&user);
  assert_int_equal(user.error, CC_ECONNECT_TIMEOUT);
  assert_string_equal(user.detail, "the TLS handshake did not finish");
  close(listener.fd);
}

static void a_refusing_proxy_is_refused(void **state) {
  (void)state;
  struct listener refusing = closed_port("127.0.0.1");
  struct cc_origin_key key = through(refusing, true, "name.example");
  assert_fails(&key, CC_EREFUSED);
  key.tls = false;
  key.proxy_host = "224.0.0.1"; // the proxy itself may be anywhere
  assert_fails(&key, CC_ECONNECT);
  close(refusing.fd);
}

// ---- TLS ---------------------------------------------------------------------------------------

#define DATA TEST_DATA "/origin/"

// A server in the same loop: for each head that comes in, it sends its answer.
struct server {
  uv_tcp_t handle;
  struct cc_tls_config *config;
  struct cc_stream stream; // the last one accepted
  struct cc_buffer got;
  const char *answer;
  uint16_t port;
  bool open;
  bool notify; // ends TLS after the answer
  bool cut;    // closes the connection after the answer without ending TLS
};

static void server_ready(struct cc_stream *stream, int error) {
  if (error)
    cc_stream_close(stream);
  else
    cc_stream_read(stream);
}

static void server_read(struct cc_stream *stream, const char *data, size_t size) {
  struct server *server = stream->data;
  struct cc_slice answer = cc_slice_text(server->answer);
  int fd;
  cc_buffer_add(&server->got, data, size);
  if (size < 4 || memcmp(data + size - 4, "\r\n\r\n", 4) != 0) return;
  cc_stream_write(stream, &answer, 1);
  uv_fileno(&stream->uv.handle, &fd);
  if (server->notify) cc_stream_close(stream);
  if (server->cut) shutdown(fd, SHUT_WR);
}

static void server_end(struct cc_stream *stream, int error) {
  (void)error;
  cc_stream_close(stream);
}

static void server_closed(struct cc_stream *stream) {
  ((struct server *)stream->data)->open = false;
}

static const struct cc_stream_events server_events = {server_ready, server_read, NULL, server_end,
                                                      server_closed};

static void server_accept(uv_stream_t *handle, int status) {
  struct server *server = (struct server *)handle;
  assert_int_equal(status, 0);
  assert_false(server->open);
  server->stream.data = server;
  assert_int_equal(cc_stream_accept(&server->stream, handle, &server_events), CC_OK);
  server->open = true;
  assert_int_equal(cc_stream_tls_server(&server->stream, server->config), CC_OK);
}

static void start_server(struct server *server, const char *answer) {
  struct listener listener = listen_any();
  *server = (struct server){.answer = answer, .port = listener.port};
  assert_int_equal(cc_tls_server_new(DATA "server.pem", DATA "server.key", &server->config), CC_OK);
  uv_tcp_init(&loop, &server->handle);
  assert_int_equal(uv_tcp_open(&server->handle, listener.fd), 0);
  assert_int_equal(uv_listen((uv_stream_t *)&server->handle, 16, server_accept), 0);
}

static void stop_server(struct server *server) {
  uv_close((uv_handle_t *)&server->handle, NULL);
  if (server->open) cc_stream_reset(&server->stream);
  run_until(!server->open);
  run_some();
  cc_buffer_free(&server->got);
  cc_tls_release(server->config);
}

static struct cc_origin_key secure(const struct server *server, char *host, char *ca_file) {
  answers[0] = "127.0.0.1";
  return (struct cc_origin_key){
      .tls = true, .host = host, .port = server->port, .ca_file = ca_file};
}

static const char FIXED[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

static void a_secure_connection_serves_again(void **state) {
  (void)state;
  static char *const hosts[] = {"name.example", "127.0.0.1"};
  for (int i = 0; i < 2; i++) {
    struct server server;
    start_server(&server, FIXED);
    struct cc_origin_key key = secure(&server, hosts[i], DATA "ca.pem");
    for (int round = 0; round < 3; round++) {
      struct user user;
      dial(&user, &key);
      await(&user);
      assert_string_equal(user.calls, "r");
      assert_int_equal(user.reused, round > 0);
      request(&user);
      run_until(told(&user, 'e'));
      assert_string_equal(user.calls, "rhbe");
      assert_body(&user, "hello");
      give_back(&user);
      run_some(); // tickets may come while it is idle
      assert_int_equal(cc_pool_idle(pool, cc_pool_origin(pool, &key)), 1);
      cc_buffer_free(&user.body);
    }
    stop_server(&server);
    run_until(cc_pool_idle(pool, cc_pool_origin(pool, &key)) == 0);
  }
}

static void a_certificate_must_fit(void **state) {
  (void)state;
  struct server server;
  start_server(&server, FIXED);
  struct cc_origin_key keys[] = {secure(&server, "other.example", DATA "ca.pem"),
                                 secure(&server, "name.example", NULL)};
  for (int i = 0; i < 2; i++) {
    struct user user;
    dial(&user, &keys[i]);
    await(&user);
    assert_string_equal(user.calls, "f");
    assert_int_equal(user.error, CC_ETLS);
    assert_true(user.tls_failed);
    assert_true(strlen(user.detail) > 10);
    run_until(!server.open);
    assert_int_equal(server.got.size, 0);
  }
  stop_server(&server);
}

static void an_unusable_ca_file_makes_no_origin(void **state) {
  (void)state;
  struct cc_origin_key key = {.tls = true, .host = "a", .port = 443, .ca_file = DATA "server.key"};
  assert_int_equal(cc_pool_origin(pool, &key), CC_ETLS);
  key.ca_file = DATA "missing.pem";
  assert_int_equal(cc_pool_origin(pool, &key), CC_ETLS);
}

static void put_file(const char *path, const char *from) {
  char text[8192];
  FILE *in = fopen(from, "r"), *out = fopen(path, "w");
  assert_true(in && out);
  fwrite(text, 1, fread(text, 1, sizeof text, in), out);
  fclose(in);
  fclose(out);
}

static void a_changed_ca_file_is_read_again(void **state) {
  (void)state;
  struct server server;
  struct user user;
  char path[] = "/tmp/ca-XXXXXX";
  close(mkstemp(path));
  start_server(&server, FIXED);
  struct cc_origin_key key = secure(&server, "name.example", path);
  put_file(path, DATA "server.pem"); // a certificate, but no authority
  int origin = cc_pool_origin(pool, &key);
  dial(&user, &key);
  await(&user);
  assert_int_equal(user.error, CC_ETLS);
  run_until(!server.open);
  put_file(path, DATA "ca.pem");
  dial(&user, &key);
  assert_int_equal(cc_pool_origin(pool, &key), origin);
  await(&user);
  assert_string_equal(user.calls, "r");
  drop(&user);
  run_until(!server.open);
  put_file(path, DATA "server.key");
  assert_int_equal(cc_pool_origin(pool, &key), CC_ETLS);
  take(&user, origin, true); // the last good one stays in use
  user.calls[0] = 0;
  await(&user);
  assert_string_equal(user.calls, "r");
  drop(&user);
  unlink(path);
  stop_server(&server);
}

static void a_body_that_ends_with_the_connection_needs_the_end_of_tls(void **state) {
  (void)state;
  for (int cut = 0; cut < 2; cut++) {
    struct server server;
    struct user user;
    start_server(&server, "HTTP/1.1 200 OK\r\n\r\nhello");
    server.cut = cut;
    server.notify = !cut;
    struct cc_origin_key key = secure(&server, "name.example", DATA "ca.pem");
    dial(&user, &key);
    await(&user);
    request(&user);
    run_until(told(&user, 'e') || told(&user, 'f'));
    assert_string_equal(user.calls, cut ? "rhbf" : "rhbe");
    assert_int_equal(user.error, cut ? CC_EEOF : CC_OK);
    assert_body(&user, "hello");
    if (user.out) drop(&user);
    cc_buffer_free(&user.body);
    stop_server(&server);
  }
}

static void pause_each_piece(struct user *user) {
  cc_outbound_pause(user->out);
  user->act_at = 'b';
}

static void pausing_works_under_tls(void **state) {
  (void)state;
  struct server server;
  struct user user;
  start_server(&server, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                        "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
  struct cc_origin_key key = secure(&server, "name.example", DATA "ca.pem");
  dial(&user, &key);
  await(&user);
  user.act_at = 'b';
  user.act = pause_each_piece;
  request(&user);
  run_until(user.body.size == 3);
  run_some();
  assert_int_equal(user.body.size, 3);
  cc_outbound_resume(user.out);
  run_until(user.body.size == 5);
  run_some();
  assert_false(told(&user, 'e'));
  cc_outbound_resume(user.out);
  run_until(told(&user, 'e'));
  assert_body(&user, "hello");
  give_back(&user);
  cc_buffer_free(&user.body);
  stop_server(&server);
}

static void pass_on(int from, int to) {
  char bytes[4096];
  ssize_t size;
  while ((size = recv(from, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
    peer_send_bytes(to, bytes, (size_t)size);
}

static int connect_to(uint16_t port) {
  union cc_address address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  cc_address_parse("127.0.0.1", &address);
  cc_address_set_port(&address, port);
  assert_int_equal(connect(fd, &address.any, sizeof address.v4), 0);
  return fd;
}

static void tls_goes_through_a_tunnel(void **state) {
  (void)state;
  struct server server;
  struct user user;
  struct listener proxy = listen_any();
  start_server(&server, FIXED);
  struct cc_origin_key key = secure(&server, "name.example", DATA "ca.pem");
  key.proxy_host = "127.0.0.1";
  key.proxy_port = proxy.port;
  dial(&user, &key);
  run_until(user.out->phase == CC_PHASE_TUNNELLING);
  int peer = accept_from(proxy);
  peer_read_head(peer);
  peer_send(peer, "HTTP/1.1 200 OK\r\n\r\n");
  int beyond = connect_to(server.port);
  while (!told(&user, 'e')) {
    uv_run(&loop, UV_RUN_NOWAIT);
    pass_on(peer, beyond);
    pass_on(beyond, peer);
    if (user.out->phase == CC_PHASE_READY) request(&user);
  }
  assert_string_equal(user.calls, "rhbe");
  assert_body(&user, "hello");
  give_back(&user);
  assert_int_equal(cc_pool_idle(pool, cc_pool_origin(pool, &key)), 1);
  cc_buffer_free(&user.body);
  close(peer);
  close(beyond);
  close(proxy.fd);
  stop_server(&server);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_proxy_relays_plain_http),
      CASE(a_public_literal_is_forbidden_through_a_proxy_too),
      CASE(a_tunnel_is_asked_for),
      CASE(tls_begins_in_the_tunnel),
      CASE(a_refused_tunnel_is_the_proxys_fault),
      CASE(a_silent_proxy_is_a_timeout),
      CASE(a_silent_tls_server_is_a_timeout),
      CASE(a_refusing_proxy_is_refused),
      CASE(a_secure_connection_serves_again),
      CASE(a_certificate_must_fit),
      CASE(an_unusable_ca_file_makes_no_origin),
      CASE(a_changed_ca_file_is_read_again),
      CASE(a_body_that_ends_with_the_connection_needs_the_end_of_tls),
      CASE(pausing_works_under_tls),
      CASE(tls_goes_through_a_tunnel),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
