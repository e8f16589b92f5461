// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include "api/process.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

// A service manager's socket at name ("@" for abstract), which is put into NOTIFY_SOCKET.
static int manager(const char *name) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  size_t size = strlen(name);
  memcpy(at.sun_path, name, size);
  if (name[0] == '@') at.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t room = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
  assert_int_equal(bind(fd, (struct sockaddr *)&at, room), 0);
  setenv("NOTIFY_SOCKET", name, 1);
  return fd;
}

static void gets(int fd, const char *text) {
  char data[64] = {0};
  assert_int_equal(recv(fd, data, sizeof data - 1, MSG_DONTWAIT), (ssize_t)strlen(text));
  assert_string_equal(data, text);
}

static void an_abstract_socket_gets_the_state(void **state) {
  (void)state;
  char name[64];
  snprintf(name, sizeof name, "@ccrelay-test-%d", (int)getpid());
  int fd = manager(name);
  assert_int_equal(cc_notify("READY=1\nSTATUS=serving"), CC_OK);
  gets(fd, "READY=1\nSTATUS=serving");
  close(fd);
}

static void a_socket_at_a_path_gets_the_state(void **state) {
  (void)state;
  char folder[] = "/tmp/ccrelay-notify-XXXXXX", name[64];
  assert_non_null(mkdtemp(folder));
  snprintf(name, sizeof name, "%s/notify", folder);
  int fd = manager(name);
  assert_int_equal(cc_notify("STOPPING=1"), CC_OK);
  gets(fd, "STOPPING=1");
  close(fd);
  unlink(name);
  assert_int_equal(cc_notify("READY=1"), CC_ESYSTEM);
  rmdir(folder);
}

static void without_a_usable_address_nothing_is_sent(void **state) {
  (void)state;
  char longest[200];
  unsetenv("NOTIFY_SOCKET");
  assert_int_equal(cc_notify("READY=1"), CC_ENOTFOUND);
  setenv("NOTIFY_SOCKET", "", 1);
  assert_int_equal(cc_notify("READY=1"), CC_ENOTFOUND);
  setenv("NOTIFY_SOCKET", "vsock:2:9", 1);
  assert_int_equal(cc_notify("READY=1"), CC_EINVAL);
  memset(longest, '/', sizeof longest);
  longest[sizeof longest - 1] = 0;
  setenv("NOTIFY_SOCKET", longest, 1);
  assert_int_equal(cc_notify("READY=1"), CC_EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_abstract_socket_gets_the_state),
      cmocka_unit_test(a_socket_at_a_path_gets_the_state),
      cmocka_unit_test(without_a_usable_address_nothing_is_sent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
