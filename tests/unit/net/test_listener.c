// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"
#include "server.h"
#include <sys/resource.h>
#include <sys/stat.h>

static char folder[] = "/tmp/ccrelay-listener-XXXXXX";
static char path[64];

static void say_yes(struct server *server, struct cc_inbound *in) {
  struct cc_slice part = {"yes", 3};
  (void)server;
  assert_int_equal(cc_inbound_head(in, 200, NULL, 0, 3), CC_OK);
  assert_int_equal(cc_inbound_write(in, &part, 1), CC_OK);
  cc_inbound_end(in);
}

static void ask(struct client *client) {
  cc_buffer_clear(&client->got);
  client_send(client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
}

static struct cc_listen tcp(const char *host, uint32_t port, uint32_t copies) {
  return (struct cc_listen){.host = cc_slice_text(host), .port = port, .copies = copies};
}

static void binds_and_accepts_later(void **state) {
  (void)state;
  struct server *server = server_new();
  struct client client;
  struct cc_listen spec = tcp("127.0.0.1", 0, 1);
  server->on_complete = say_yes;
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), 0);
  assert_true(cc_listeners_port(server->listeners, 0) > 0);
  assert_int_equal(cc_listeners_port(server->listeners, 1), 0);
  assert_int_equal(cc_listeners_port(server->listeners, -1), 0);
  client_open(&client, server);
  ask(&client);
  for (int i = 0; i < 50; i++)
    uv_run(&server->loop, UV_RUN_NOWAIT);
  assert_int_equal(server->heads, 0);
  assert_int_equal(cc_listeners_accept(server->listeners, 1, 0), CC_EINVAL);
  assert_int_equal(cc_listeners_accept(server->listeners, 0, 0), CC_OK);
  assert_int_equal(cc_listeners_accept(server->listeners, 0, 0), CC_ESTATE);
  run_until(server, client_has(&client, "yes"));
  client_close(&client);
  server_close(server);
}

static void addresses_that_cannot_be(void **state) {
  (void)state;
  struct server *server = server_open();
  uint32_t port = cc_listeners_port(server->listeners, 0);
  struct cc_listen specs[] = {tcp("127.0.0.1", port, 1), tcp("127.0.0.1", port, 2),
                              tcp("203.0.113.7", 0, 1),  tcp("127.0.0.1", 70000, 1),
                              tcp("no.such", 0, 1),      tcp("", 0, 1)};
  int expected[] = {CC_EADDRESS, CC_EADDRESS, CC_EADDRESS, CC_EINVAL, CC_EINVAL, CC_EINVAL};
  for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
    assert_int_equal(cc_listeners_bind(server->listeners, &specs[i]), expected[i]);
  server_close(server);
}

// An address that copies share is still nobody else's.
static void shared_addresses_are_not_taken_twice(void **state) {
  (void)state;
  struct server *first = server_new(), *second = server_new();
  struct cc_listen spec = tcp("127.0.0.1", 0, 3);
  assert_int_equal(cc_listeners_bind(first->listeners, &spec), 0);
  spec.port = cc_listeners_port(first->listeners, 0);
  assert_int_equal(cc_listeners_bind(second->listeners, &spec), CC_EADDRESS);
  server_close(first);
  assert_int_equal(cc_listeners_bind(second->listeners, &spec), 0);
  server_close(second);
}

static void version_six(void **state) {
  (void)state;
  struct server *server = server_new();
  struct cc_listen spec = tcp("::1", 0, 2);
  int result = cc_listeners_bind(server->listeners, &spec);
  if (result == CC_EADDRESS || result == CC_ESYSTEM) {
    print_message("no IPv6 here: %s\n", cc_system_error());
    server_close(server);
    skip();
  }
  server->on_complete = say_yes;
  assert_int_equal(cc_listeners_accept(server->listeners, 0, 0), CC_OK);
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  address.sin6_port = htons((uint16_t)cc_listeners_port(server->listeners, 0));
  // The kernel spreads connections over both copies; some come to ours.
  struct client clients[40];
  for (int i = 0; i < 40; i++) {
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    client_adopt(&clients[i], fd);
    ask(&clients[i]);
  }
  run_until(server, server->completes > 0);
  assert_true(server->completes < 40);
  for (int i = 0; i < 40; i++)
    client_close(&clients[i]);
  server_close(server);
}

static void copies_are_for_different_processes(void **state) {
  (void)state;
  struct server *master = server_new(), *first = server_new(), *second = server_new();
  struct cc_listen spec = tcp("127.0.0.1", 0, 2);
  struct client clients[40];
  assert_int_equal(cc_listeners_bind(master->listeners, &spec), 0);
  for (int i = 0; i < 40; i++) {
    client_open(&clients[i], master);
    ask(&clients[i]);
  }
  // Two loops in place of two processes: each inherits a duplicate of all descriptors.
  assert_int_equal(cc_listeners_accept(master->listeners, 0, 1), CC_OK);
  for (int i = 0; i < 200; i++)
    uv_run(&master->loop, UV_RUN_NOWAIT);
  unsigned ours = master->completes;
  assert_in_range(ours, 1, 39);
  cc_listeners_inherit(first->listeners, master->listeners, 2);
  assert_int_equal(cc_listeners_port(first->listeners, 0), cc_listeners_port(master->listeners, 0));
  assert_int_equal(cc_listeners_accept(first->listeners, 0, 1), CC_ESTATE);
  assert_int_equal(cc_listeners_accept(first->listeners, 0, 2), CC_OK);
  run_until(first, first->completes == 40 - ours);
  for (int i = 0; i < 40; i++)
    client_close(&clients[i]);
  server_close(first);
  server_close(second);
  server_close(master);
}

static int connect_unix(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

static void unix_socket(void **state) {
  (void)state;
  struct server *server = server_new(), *other = server_new();
  struct cc_listen spec = {.path = cc_slice_text(path), .copies = 4};
  struct client client;
  struct stat found;
  server->on_complete = say_yes;
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), 0);
  assert_int_equal(stat(path, &found), 0);
  assert_int_equal(found.st_mode & 0777, 0600);
  assert_int_equal(cc_listeners_port(server->listeners, 0), 0);
  assert_int_equal(cc_listeners_bind(other->listeners, &spec), CC_EADDRESS);
  assert_int_equal(cc_listeners_accept(server->listeners, 0, 3), CC_OK);
  client_adopt(&client, connect_unix());
  ask(&client);
  run_until(server, client_has(&client, "yes"));
  client_close(&client);
  server_close(server);
  assert_int_equal(stat(path, &found), -1);
  server_close(other);
}

static void unix_socket_files_of_others(void **state) {
  (void)state;
  struct server *server = server_new();
  struct cc_listen spec = {.path = cc_slice_text(path), .copies = 1};
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int file = open(path, O_CREAT | O_WRONLY, 0600);
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), CC_EADDRESS);
  assert_int_equal(close(file) | unlink(path), 0);
  strcpy(address.sun_path, path);
  int stale = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof address), 0);
  close(stale);
  assert_int_equal(access(path, F_OK), 0);
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), 0);
  char longer[200];
  memset(longer, 'a', sizeof longer);
  spec.path = cc_slice(longer, sizeof longer);
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), CC_EINVAL);
  server_close(server);
}

static void run_a_while(struct server *server) {
  for (int turn = 0; turn < 50; turn++)
    uv_run(&server->loop, UV_RUN_NOWAIT);
}

static void connections_over_the_limit_wait(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client clients[3];
  server->limit = 1;
  for (int i = 0; i < 3; i++) {
    client_open(&clients[i], server);
    ask(&clients[i]);
  }
  for (unsigned i = 0; i < 3; i++) {
    run_until(server, server->completes == i + 1);
    run_a_while(server);
    assert_int_equal(server->completes, i + 1); // the others wait, and nobody is turned away
    assert_int_equal(cc_listeners_connections(server->listeners), 1);
    say_yes(server, server->in);
    run_until(server, client_has(&clients[i], "yes"));
    bool last = i == 2;
    assert_int_equal(client_has(&clients[i], "connection: close"), !last); // a place for the next
    client_close(&clients[i]);
  }
  run_until(server, server->closes == 3);
  server_close(server);
}

static void an_idle_connection_gives_way_to_one_that_waits(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client fresh, first, second, late;
  server->limit = 3;
  server->on_complete = say_yes;
  client_open(&fresh, server); // has said nothing yet: it may be about to
  run_until(server, cc_listeners_connections(server->listeners) == 1);
  struct client *kept[] = {&first, &second};
  for (int i = 0; i < 2; i++) {
    client_open(kept[i], server);
    ask(kept[i]);
    run_until(server, client_has(kept[i], "yes"));
    uint64_t then = uv_now(&server->loop);
    run_until(server, uv_now(&server->loop) > then);
  }
  client_open(&late, server);
  ask(&late);
  run_until(server, client_has(&late, "yes"));
  run_until(server, client_ended(&first)); // idle longest
  assert_false(client_ended(&second));
  assert_false(client_ended(&fresh));
  ask(&second);
  run_until(server, client_has(&second, "yes"));
  client_close(&fresh);
  client_close(&first);
  client_close(&second);
  client_close(&late);
  server_close(server);
}

// The client has sent its next request already: a close would lose it.
static void a_connection_with_a_request_under_way_is_not_idle(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client kept, late;
  server->limit = 1;
  server->on_complete = say_yes;
  client_open(&kept, server);
  ask(&kept);
  run_until(server, client_has(&kept, "yes"));
  struct cc_inbound *in = server->in;
  assert_true(cc_inbound_is_idle(in));
  client_send(&kept, "G");
  while (cc_inbound_is_idle(in)) // as soon as the system has it, read or not
    continue;
  client_send(&kept, "ET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  client_open(&late, server);
  ask(&late);
  cc_buffer_clear(&kept.got);
  run_until(server, client_has(&kept, "yes"));
  run_until(server, client_has(&late, "yes"));
  client_close(&kept);
  client_close(&late);
  server_close(server);
}

// ---- TLS ---------------------------------------------------------------------------------------

static struct {
  struct cc_stream stream;
  struct cc_tls_config *config;
  struct cc_buffer got;
  bool secure, closed;
} secret;

static void secret_ready(struct cc_stream *stream, int error) {
  struct cc_slice request = cc_slice_text("GET /a HTTP/1.1\r\nHost: relay.test\r\n\r\n");
  assert_int_equal(error, CC_OK);
  if (!secret.secure) {
    secret.secure = true;
    assert_int_equal(cc_stream_tls_client(stream, secret.config, "relay.test"), CC_OK);
  } else {
    assert_int_equal(cc_stream_write(stream, &request, 1), CC_OK);
    cc_stream_read(stream);
  }
}

static void secret_read(struct cc_stream *stream, const char *data, size_t size) {
  (void)stream;
  cc_buffer_add(&secret.got, data, size);
}

static void secret_end(struct cc_stream *stream, int error) {
  (void)error;
  cc_stream_close(stream);
}

static void secret_closed(struct cc_stream *stream) {
  (void)stream;
  secret.closed = true;
}

static const struct cc_stream_events secret_events = {
    .ready = secret_ready, .read = secret_read, .end = secret_end, .closed = secret_closed};

static const char *in_folder(const char *name) {
  static char names[4][96];
  static unsigned turn;
  char *text = names[turn++ % 4];
  snprintf(text, sizeof names[0], "%s/%s", folder, name);
  return text;
}

static void answers_under_tls(void **state) {
  (void)state;
  struct server *server = server_new();
  struct cc_listen spec = tcp("127.0.0.1", 0, 1);
  struct client plain;
  struct sockaddr_in address;
  spec.cert = cc_slice_text(in_folder("good.pem"));
  spec.key = cc_slice_text(in_folder("nothing.key"));
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), CC_ETLS);
  spec.key = cc_slice_text(in_folder("good.key"));
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), 0);
  assert_int_equal(cc_listeners_accept(server->listeners, 0, 0), CC_OK);
  assert_int_equal(cc_tls_client_new(in_folder("root.pem"), &secret.config), CC_OK);
  server->on_complete = say_yes;
  uv_ip4_addr("127.0.0.1", (int)cc_listeners_port(server->listeners, 0), &address);
  cc_stream_connect(&secret.stream, &server->loop, (struct sockaddr *)&address, &secret_events);
  run_until(server, secret.got.size && memmem(secret.got.data, secret.got.size, "yes", 3));
  client_open(&plain, server);
  ask(&plain);
  run_until(server, client_ended(&plain));
  assert_false(client_has(&plain, "HTTP"));
  assert_int_equal(server->heads, 1);
  client_close(&plain);
  cc_listeners_drain(server->listeners);
  run_until(server, secret.closed);
  cc_buffer_free(&secret.got);
  cc_tls_release(secret.config);
  server_close(server);
}

// ---- Ends --------------------------------------------------------------------------------------

static void draining_refuses_the_next(void **state) {
  (void)state;
  struct server *server = server_open();
  uint32_t port = cc_listeners_port(server->listeners, 0);
  cc_listeners_drain(server->listeners);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
  assert_int_equal(errno, ECONNREFUSED);
  close(fd);
  assert_int_equal(cc_listeners_accept(server->listeners, 0, 0), CC_ESTATE);
  server_close(server);
}

static void fill_descriptors(int *fds, int *count) {
  *count = 0;
  while ((fds[*count] = open("/dev/null", O_RDONLY)) >= 0)
    ++*count;
  assert_int_equal(errno, EMFILE);
}

// Without a descriptor the loop must neither spin nor forget to accept later.
static void no_descriptors_left(void **state) {
  (void)state;
  struct server *server = server_open();
  struct rlimit before, few = {0};
  struct client kept, late;
  int fds[256], count;
  server->on_complete = say_yes;
  client_open(&kept, server);
  ask(&kept);
  run_until(server, client_has(&kept, "yes"));
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  few = before;
  few.rlim_cur = 200;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
  client_open(&late, server);
  ask(&late);
  fill_descriptors(fds, &count);
  for (int i = 0; i < 200; i++)
    uv_run(&server->loop, UV_RUN_NOWAIT);
  assert_int_equal(server->completes, 1);
  ask(&kept);
  run_until(server, client_has(&kept, "yes"));
  while (count)
    close(fds[--count]);
  setrlimit(RLIMIT_NOFILE, &before);
  client_close(&late);
  client_open(&late, server);
  ask(&late);
  run_until(server, client_has(&late, "yes"));
  client_close(&late);
  client_close(&kept);
  server_close(server);
}

// libuv's spare descriptor may be gone too: then it tells us, and would tell us for ever.
static void no_spare_descriptor_either(void **state) {
  (void)state;
  struct server *server = server_open();
  struct rlimit before, few;
  struct client late;
  int fds[256], count;
  server->on_complete = say_yes;
  client_open(&late, server);
  ask(&late);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  few = before;
  few.rlim_cur = 3;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
  fill_descriptors(fds, &count);
  for (int i = 0; i < 200; i++)
    uv_run(&server->loop, UV_RUN_NOWAIT);
  assert_int_equal(server->completes, 0);
  setrlimit(RLIMIT_NOFILE, &before);
  client_close(&late);
  client_open(&late, server);
  ask(&late);
  run_until(server, client_has(&late, "yes"));
  client_close(&late);
  server_close(server);
}

static void closing_breaks_all(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  client_open(&client, server);
  ask(&client);
  run_until(server, server->completes);
  server_close(server);
  assert_true(client_ended(&client));
  assert_int_equal(client.got.size, 0);
  client_close(&client);
}

static int make_folder(void **state) {
  (void)state;
  char command[256];
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/s", folder);
  snprintf(command, sizeof command, "sh " TEST_DATA "/tls/make.sh %s", folder);
  return system(command);
}

static int remove_folder(void **state) {
  (void)state;
  char command[64];
  snprintf(command, sizeof command, "rm -r %s", folder);
  return system(command);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(binds_and_accepts_later),
      cmocka_unit_test(addresses_that_cannot_be),
      cmocka_unit_test(shared_addresses_are_not_taken_twice),
      cmocka_unit_test(version_six),
      cmocka_unit_test(copies_are_for_different_processes),
      cmocka_unit_test(unix_socket),
      cmocka_unit_test(unix_socket_files_of_others),
      cmocka_unit_test(connections_over_the_limit_wait),
      cmocka_unit_test(an_idle_connection_gives_way_to_one_that_waits),
      cmocka_unit_test(a_connection_with_a_request_under_way_is_not_idle),
      cmocka_unit_test(answers_under_tls),
      cmocka_unit_test(draining_refuses_the_next),
      cmocka_unit_test(no_descriptors_left),
      cmocka_unit_test(no_spare_descriptor_either),
      cmocka_unit_test(closing_breaks_all),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
