// SPDX-License-Identifier: Apache-2.0
#include "net/listener_socket.h"
#include "server.h"
#include <fcntl.h>
#include <sys/un.h>

static char folder[] = "/tmp/ccrelay-passed-XXXXXX";

static void set_number(const char *name, long value) {
  char text[32];
  snprintf(text, sizeof text, "%ld", value);
  setenv(name, text, 1);
}

static void the_variables_say_how_many(void **state) {
  (void)state;
  assert_int_equal(cc_passed_sockets(), 0);
  set_number("LISTEN_FDS", 1);
  assert_int_equal(cc_passed_sockets(), 0); // for no process
  set_number("LISTEN_FDS", 1);
  set_number("LISTEN_PID", getpid() + 1);
  assert_int_equal(cc_passed_sockets(), 0); // for another process
  int kept = fcntl(CC_FIRST_PASSED, F_DUPFD_CLOEXEC, 20), fd = open("/dev/null", O_RDONLY);
  assert_true(fd >= 0);
  if (fd != CC_FIRST_PASSED) assert_int_equal(dup2(fd, CC_FIRST_PASSED), CC_FIRST_PASSED);
  set_number("LISTEN_FDS", 1);
  set_number("LISTEN_PID", getpid());
  setenv("LISTEN_FDNAMES", "x", 1);
  assert_int_equal(cc_passed_sockets(), 1);
  assert_int_equal(fcntl(CC_FIRST_PASSED, F_GETFD), FD_CLOEXEC);
  assert_null(getenv("LISTEN_FDNAMES"));
  assert_int_equal(cc_passed_sockets(), 0); // once
  if (kept >= 0) dup2(kept, CC_FIRST_PASSED);
}

static void variables_that_are_wrong(void **state) {
  (void)state;
  static const char *const counts[] = {"", "x", "1x", "-1", "65", "99999999999999999999"};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    setenv("LISTEN_FDS", counts[i], 1);
    set_number("LISTEN_PID", getpid());
    assert_int_equal(cc_passed_sockets(), CC_EINVAL);
  }
  set_number("LISTEN_FDS", 60); // not open
  set_number("LISTEN_PID", getpid());
  assert_int_equal(cc_passed_sockets(), CC_ESYSTEM);
}

static int opened(const char *host, const char *path, uint32_t *port) {
  int fd = -1;
  if (path)
    assert_int_equal(cc_socket_unix(path, &fd), CC_OK);
  else
    assert_int_equal(cc_socket_tcp(cc_slice_text(host), 0, 1, &fd, port), CC_OK);
  return fd;
}

static void addresses_are_those_of_the_configuration(void **state) {
  (void)state;
  char text[CC_PASSED_ADDRESS], expected[CC_PASSED_ADDRESS], path[64];
  uint32_t port;
  int fd = opened("127.0.0.1", NULL, &port);
  snprintf(expected, sizeof expected, "127.0.0.1:%u", port);
  assert_int_equal(cc_passed_address(fd, text, sizeof text), CC_OK);
  assert_string_equal(text, expected);
  assert_int_equal(cc_passed_address(fd, text, 5), CC_EINVAL);
  close(fd);
  snprintf(path, sizeof path, "%s/socket", folder);
  snprintf(expected, sizeof expected, "unix:%s", path);
  fd = opened(NULL, path, NULL);
  assert_int_equal(cc_passed_address(fd, text, sizeof text), CC_OK);
  assert_string_equal(text, expected);
  close(fd);
  unlink(path);
}

static void other_descriptors_are_refused(void **state) {
  (void)state;
  char text[CC_PASSED_ADDRESS];
  struct sockaddr_un abstract = {.sun_family = AF_UNIX};
  int deaf = socket(AF_INET, SOCK_STREAM, 0), datagram = socket(AF_INET, SOCK_DGRAM, 0);
  int file = open("/dev/null", O_RDONLY), unnamed = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(unnamed, (struct sockaddr *)&abstract, sizeof(sa_family_t)), 0);
  assert_int_equal(listen(unnamed, 1), 0);
  int list[] = {deaf, datagram, file, unnamed, -1};
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    assert_int_equal(cc_passed_address(list[i], text, sizeof text), CC_EINVAL);
    if (list[i] >= 0) close(list[i]);
  }
}

static void say_yes(struct server *server, struct cc_inbound *in) {
  struct cc_slice part = {"yes", 3};
  (void)server;
  assert_int_equal(cc_inbound_head(in, 200, NULL, 0, 3), CC_OK);
  assert_int_equal(cc_inbound_write(in, &part, 1), CC_OK);
  cc_inbound_end(in);
}

// Each slot of a worker gets the same socket.
static void a_passed_socket_serves(void **state) {
  (void)state;
  struct server *server = server_new();
  struct client client;
  uint32_t port;
  int fd = opened("127.0.0.1", NULL, &port);
  struct cc_listen spec = {.passed = (uint32_t)fd, .copies = 3};
  server->on_complete = say_yes;
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), 0);
  assert_int_equal(cc_listeners_port(server->listeners, 0), port);
  assert_int_equal(cc_listeners_accept(server->listeners, 0, 2), CC_OK);
  client_open(&client, server);
  client_send(&client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, client_has(&client, "yes"));
  client_close(&client);
  spec.passed = (uint32_t)socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), CC_EINVAL);
  close((int)spec.passed);
  server_close(server);
}

// The service manager owns the path: it is there for the next process.
static void its_path_stays(void **state) {
  (void)state;
  struct server *server = server_new();
  char path[64];
  snprintf(path, sizeof path, "%s/kept", folder);
  struct cc_listen spec = {.passed = (uint32_t)opened(NULL, path, NULL), .copies = 1};
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), 0);
  server_close(server);
  assert_int_equal(access(path, F_OK), 0);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_variables_say_how_many),
      cmocka_unit_test(variables_that_are_wrong),
      cmocka_unit_test(addresses_are_those_of_the_configuration),
      cmocka_unit_test(other_descriptors_are_refused),
      cmocka_unit_test(a_passed_socket_serves),
      cmocka_unit_test(its_path_stays),
  };
  if (!mkdtemp(folder)) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  rmdir(folder);
  return failed;
}
