// SPDX-License-Identifier: Apache-2.0
// How a connection comes to stand: addresses one after the other, deadlines, addresses that are
// forbidden, proxies, and what is told when it does not.
#include "loopback.h"
#include "net/dial.h"
#include "net/tls.h"

static const uint16_t no_port;

// A port on which nothing listens: bound, so that nobody else takes it.
static struct listener closed_port(const char *host) {
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

// A listener whose queue is full: the system leaves further connections without an answer.
struct silent {
  struct listener listener;
  int fill[4];
};

static struct silent silent_on(const char *host) {
  struct silent silent = {.listener = listen_on(host, 0, 0)};
  union cc_address address;
  cc_address_parse(host, &address);
  cc_address_set_port(&address, silent.listener.port);
  for (int i = 0; i < 4; i++) {
    silent.fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(silent.fill[i], &address.any, sizeof address.v4);
  }
  return silent;
}

static void close_silent(struct silent *silent) {
  for (int i = 0; i < 4; i++) {
    close(silent->fill[i]);
  }
  close(silent->listener.fd);
}

static void dial(struct user *user, const struct cc_origin_key *key) {
  *user = (struct user){0};
  int origin = cc_pool_origin(pool, key);
  assert_true(origin >= 0);
  take(user, origin, false);
}

static void await(struct user *user) {
  run_until(*user->calls);
}

static void assert_fails(const struct cc_origin_key *key, int error) {
  struct user user;
  dial(&user, key);
  await(&user);
  assert_string_equal(user.calls, "f");
  assert_int_equal(user.error, error);
}

// ---- Names and addresses -----------------------------------------------------------------------

static void a_name_that_is_not_known_fails(void **state) {
  (void)state;
  assert_fails(&(struct cc_origin_key){.host = "name.example", .port = 80}, CC_EDNS);
}

static void the_next_address_follows_a_refusal(void **state) {
  (void)state;
  struct listener refusing = closed_port("127.0.0.1");
  struct listener listener = listen_on("127.0.0.2", refusing.port, 4);
  answers[0] = "127.0.0.1";
  answers[1] = "127.0.0.2";
  struct cc_origin_key key = {.host = "name.example", .port = listener.port};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "r");
  close(accept_from(listener));
  assert_string_equal(user.out->detail, "");
  drop(&user);
  close(listener.fd);
  close(refusing.fd);
}

static void refused_everywhere_is_refused(void **state) {
  (void)state;
  struct listener refusing = closed_port("127.0.0.1");
  answers[0] = "127.0.0.1";
  answers[1] = "127.0.0.3";
  answers[2] = "255.255.255.255"; // "cannot connect" says less
  struct cc_origin_key key = {
      .host = "name.example", .port = refusing.port, .allow_public_http = true};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "f");
  assert_int_equal(user.error, CC_EREFUSED);
  assert_string_equal(user.detail, "connection refused");
  close(refusing.fd);
}

static void an_unreachable_address_fails(void **state) {
  (void)state;
  struct cc_origin_key key = {.host = "224.0.0.1", .port = 80, .allow_public_http = true};
  assert_fails(&key, CC_ECONNECT); // the system connects to no group address
}

static void localhost_reaches_the_older_protocol(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct cc_origin_key key = {.host = "localhost", .port = listener.port};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "r");
  drop(&user);
  close(listener.fd);
}

// ---- Deadlines ---------------------------------------------------------------------------------

static void a_silent_address_is_a_timeout(void **state) {
  (void)state;
  struct silent silent = silent_on("127.0.0.1");
  settings.connect_ms = 50;
  configure();
  struct cc_origin_key key = {.host = "127.0.0.1", .port = silent.listener.port};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "f");
  assert_int_equal(user.error, CC_ECONNECT_TIMEOUT);
  assert_string_equal(user.detail, "no answer from the address");
  close_silent(&silent);
}

static void the_next_address_follows_a_silent_one(void **state) {
  (void)state;
  struct silent silent = silent_on("127.0.0.1");
  struct listener listener = listen_on("127.0.0.2", silent.listener.port, 4);
  answers[0] = "127.0.0.1";
  answers[1] = "127.0.0.2";
  settings.connect_ms = 20000;
  configure();
  struct cc_origin_key key = {.host = "name.example", .port = listener.port};
  struct user user;
  dial(&user, &key);
  run_until(user.out->phase == CC_PHASE_CONNECTING);
  uint64_t share = user.out->timer.due - uv_now(&loop);
  assert_in_range(share, 9000, 10000);
  cc_timer_set(&user.out->timer, 1); // its time is over
  await(&user);
  assert_string_equal(user.calls, "r");
  drop(&user);
  close(listener.fd);
  close_silent(&silent);
}

static void an_address_gets_a_quarter_of_a_second_at_least(void **state) {
  (void)state;
  struct silent silent = silent_on("127.0.0.1");
  answers[0] = answers[1] = answers[2] = answers[3] = "127.0.0.1";
  settings.connect_ms = 600;
  configure();
  struct cc_origin_key key = {.host = "name.example", .port = silent.listener.port};
  struct user user;
  dial(&user, &key);
  uint64_t begun = uv_now(&loop);
  run_until(user.out->phase == CC_PHASE_CONNECTING);
  assert_int_equal(user.out->timer.due, uv_now(&loop) + 250);
  await(&user);
  assert_int_equal(user.error, CC_ECONNECT_TIMEOUT);
  assert_true(uv_now(&loop) - begun >= 600); // not before the whole time is over
  close_silent(&silent);
}

static void a_hanging_name_is_a_timeout(void **state) {
  (void)state;
  settings.connect_ms = 30;
  configure();
  struct cc_origin_key key = {.host = "hang", .port = 80};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_int_equal(user.error, CC_ECONNECT_TIMEOUT);
  assert_string_equal(user.detail, "no answer about the host name");
  uv_sem_post(&hanging);
  struct user next;
  dial(&next, &key);
  cc_outbound_drop(next.out); // given up while the name is looked up
  uv_sem_post(&hanging);
}

// ---- Plain http to the public ------------------------------------------------------------------

static void plain_http_goes_to_private_addresses_only(void **state) {
  (void)state;
  answers[0] = "224.0.0.1";
  struct cc_origin_key name = {.host = "name.example", .port = 80};
  struct cc_origin_key literal = {.host = "[ff02::1]", .port = 80};
  assert_fails(&name, CC_EADDRESS_FORBIDDEN);
  assert_fails(&literal, CC_EADDRESS_FORBIDDEN);
}

static void a_private_address_behind_a_public_one_serves(void **state) {
  (void)state;
  struct listener listener = listen_any();
  answers[0] = "224.0.0.1";
  answers[1] = "127.0.0.1";
  struct cc_origin_key key = {.host = "name.example", .port = listener.port};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "r");
  drop(&user);
  close(listener.fd);
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
  settings.connect_ms = 300;
  configure();
  int peer = connect_head(&user, proxy, "name.example");
  peer_send(peer, "HTTP/1.1 200");
  await(&user);
  assert_int_equal(user.error, CC_ECONNECT_TIMEOUT);
  assert_string_equal(user.detail, "no answer from the proxy");
  close(peer);
  close(proxy.fd);
}

static void a_silent_tls_server_is_a_timeout(void **state) {
  (void)state;
  struct listener listener = listen_any();
  settings.connect_ms = 300;
  configure();
  struct cc_origin_key key = {.host = "127.0.0.1", .port = listener.port, .tls = true};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_int_equal(user.error, CC_ECONNECT_TIMEOUT);
  assert_string_equal(user.detail, "no end of the TLS handshake");
  close(listener.fd);
}

static void a_refusing_proxy_is_refused(void **state) {
  (void)state;
  struct listener refusing = closed_port("127.0.0.1");
  struct cc_origin_key key = through(refusing, true, "name.example");
  assert_fails(&key, CC_EREFUSED);
  close(refusing.fd);
}

// ---- Keys --------------------------------------------------------------------------------------

static void malformed_origins_are_refused(void **state) {
  (void)state;
  char longest[256];
  memset(longest, 'a', sizeof longest);
  longest[254] = 0;
  static const char *const hosts[] = {"",    "a b",  "a\r\nb",       "a/b",
                                      "a@b", "a:80", "[name]",       "[::1",
                                      "a?b", "::g",  "fe80::1%eth0", "\xc3\xa4"};
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    assert_int_equal(plain_origin(hosts[i], 80), CC_EINVAL);
  }
  assert_int_equal(plain_origin(longest, 80), CC_EINVAL);
  longest[253] = 0;
  assert_int_equal(plain_origin(longest, 80), 0);
  assert_int_equal(plain_origin(NULL, 80), CC_EINVAL);
  assert_int_equal(plain_origin("a", no_port), CC_EINVAL);
  struct cc_origin_key key = {.host = "a", .port = 80, .proxy_host = "b", .proxy_port = no_port};
  assert_int_equal(cc_pool_origin(pool, &key), CC_EINVAL);
  key.proxy_port = 3128;
  assert_int_equal(cc_pool_origin(pool, &key), 1);
  key.proxy_auth = "Basic x\r\nx: y";
  assert_int_equal(cc_pool_origin(pool, &key), CC_EINVAL);
  key.proxy_host = "b c";
  key.proxy_auth = NULL;
  assert_int_equal(cc_pool_origin(pool, &key), CC_EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_name_that_is_not_known_fails),
      CASE(the_next_address_follows_a_refusal),
      CASE(refused_everywhere_is_refused),
      CASE(an_unreachable_address_fails),
      CASE(localhost_reaches_the_older_protocol),
      CASE(a_silent_address_is_a_timeout),
      CASE(the_next_address_follows_a_silent_one),
      CASE(an_address_gets_a_quarter_of_a_second_at_least),
      CASE(a_hanging_name_is_a_timeout),
      CASE(plain_http_goes_to_private_addresses_only),
      CASE(a_private_address_behind_a_public_one_serves),
      CASE(a_proxy_relays_plain_http),
      CASE(a_public_literal_is_forbidden_through_a_proxy_too),
      CASE(a_tunnel_is_asked_for),
      CASE(tls_begins_in_the_tunnel),
      CASE(a_refused_tunnel_is_the_proxys_fault),
      CASE(a_silent_proxy_is_a_timeout),
      CASE(a_silent_tls_server_is_a_timeout),
      CASE(a_refusing_proxy_is_refused),
      CASE(malformed_origins_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
