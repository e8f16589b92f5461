// SPDX-License-Identifier: Apache-2.0
// Connections that only tell whether somebody is there.
#include "api/attempt.h"
#include "api/error.h"
#include "api/job.h"
#include "api/loop.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

static struct cc_relay *relay;

static struct cc_slice text(const char *bytes) {
  return (struct cc_slice){bytes, (uint32_t)strlen(bytes)};
}

static int begin(void **state) {
  (void)state;
  alarm(60);
  relay = cc_open();
  return 0;
}

static int end(void **state) {
  (void)state;
  cc_close(relay);
  return 0;
}

static int check(bool tls, const char *host, uint16_t port, uint32_t timeout_ms) {
  struct cc_event event;
  struct cc_fetched got;
  struct cc_origin spec = {.tls = tls, .host = text(host), .port = port};
  int origin = cc_origin(relay, &spec);
  assert_true(origin >= 0);
  cc_id id = cc_connect_check(relay, origin, timeout_ms);
  assert_true(id > 0);
  do
    assert_true(cc_next(relay, &event));
  while (event.type != CC_EVENT_FETCH);
  assert_true(event.id == id);
  assert_int_equal(cc_fetched(relay, id, &got), CC_OK);
  assert_int_equal(got.status, 0);
  assert_int_equal(got.body.size, 0);
  return got.error;
}

// Listens, and accepts nothing by itself.
static int silent(uint16_t *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(fd, 8), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

static void a_port_that_listens_is_there_and_sees_no_byte(void **state) {
  (void)state;
  uint16_t port;
  char byte;
  int fd = silent(&port);
  for (int i = 0; i < 2; i++) { // each with a connection of its own
    assert_int_equal(check(false, "127.0.0.1", port, 20000), CC_OK);
    int peer = accept(fd, NULL, NULL);
    assert_true(peer >= 0);
    struct cc_event event;
    cc_timer(relay, 0, 1);
    assert_true(cc_next(relay, &event));
    assert_true(recv(peer, &byte, 1, 0) <= 0);
    close(peer);
  }
  close(fd);
}

static void a_closed_port_is_refused(void **state) {
  (void)state;
  assert_int_equal(check(false, "127.0.0.1", 1, 20000), CC_EREFUSED);
}

static void a_name_that_is_none_is_told(void **state) {
  (void)state;
  assert_int_equal(check(false, "nobody.invalid", 80, 20000), CC_EDNS);
}

static void who_accepts_without_tls_is_not_there(void **state) {
  (void)state;
  uint16_t port;
  int fd = silent(&port);
  assert_int_equal(check(true, "127.0.0.1", port, 80), CC_ETOTAL_TIMEOUT);
  close(fd);
}

static void closing_ends_what_is_under_way(void **state) {
  (void)state;
  uint16_t port;
  int fd = silent(&port);
  struct cc_origin spec = {.tls = true, .host = text("127.0.0.1"), .port = port};
  assert_true(cc_connect_check(relay, cc_origin(relay, &spec), 20000) > 0);
  cc_close(relay);
  relay = cc_open(); // nothing is left over, or the sanitizer tells
  close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_port_that_listens_is_there_and_sees_no_byte, begin, end),
      cmocka_unit_test_setup_teardown(a_closed_port_is_refused, begin, end),
      cmocka_unit_test_setup_teardown(a_name_that_is_none_is_told, begin, end),
      cmocka_unit_test_setup_teardown(who_accepts_without_tls_is_not_there, begin, end),
      cmocka_unit_test_setup_teardown(closing_ends_what_is_under_way, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
