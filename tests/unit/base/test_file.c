// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include "base/file.h"
#include "base/process.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[128];

static const char *in_folder(const char *name) {
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void put(const char *name, const char *text, size_t size, mode_t mode) {
  int fd = open(in_folder(name), O_CREAT | O_WRONLY | O_TRUNC, mode);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, size), size);
  assert_int_equal(fchmod(fd, mode), 0);
  close(fd);
}

static int make_folder(void **state) {
  (void)state;
  strcpy(folder, "/tmp/ccrelay-file-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static void a_file_is_read_with_its_facts(void **state) {
  (void)state;
  struct cc_file file;
  put("plain", "a\0bc", 4, 0640);
  assert_int_equal(cc_file_read(in_folder("plain"), 4, &file), CC_OK);
  assert_int_equal(file.size, 4);
  assert_memory_equal(file.data, "a\0bc", 5);
  assert_int_equal(file.mode, 0640);
  assert_int_equal(file.owner, cc_user());
  assert_int_equal(file.group, cc_group());
  cc_free(file.data);
  put("empty", "", 0, 0600);
  assert_int_equal(cc_file_read(in_folder("empty"), 0, &file), CC_OK);
  assert_int_equal(file.size, 0);
  assert_string_equal(file.data, "");
  cc_free(file.data);
}

static void the_limit_holds(void **state) {
  (void)state;
  struct cc_file file;
  static char large[20000];
  memset(large, 'l', sizeof large);
  put("large", large, sizeof large, 0600);
  assert_int_equal(cc_file_read(in_folder("large"), 19999, &file), CC_ELIMIT);
  assert_null(file.data);
  assert_int_equal(cc_file_read(in_folder("large"), 20000, &file), CC_OK);
  assert_int_equal(file.size, 20000);
  assert_memory_equal(file.data, large, 20000);
  cc_free(file.data);
  assert_int_equal(cc_file_read(in_folder("large"), UINT32_MAX, &file), CC_OK);
  cc_free(file.data);
}

static void a_file_without_a_size_is_read(void **state) {
  (void)state;
  struct cc_file file;
  assert_int_equal(cc_file_read("/proc/self/status", 100000, &file), CC_OK);
  assert_true(file.size > 100);
  assert_memory_equal(file.data, "Name:", 5);
  cc_free(file.data);
  assert_int_equal(cc_file_read("/proc/self/status", 50, &file), CC_ELIMIT);
  assert_null(file.data);
}

static void a_link_is_followed_and_its_target_judged(void **state) {
  (void)state;
  struct cc_file file;
  put("target", "t", 1, 0646);
  assert_int_equal(symlink("target", in_folder("link")), 0);
  assert_int_equal(cc_file_read(path, 10, &file), CC_OK);
  assert_int_equal(file.size, 1);
  assert_int_equal(file.mode, 0646);
  cc_free(file.data);
  assert_int_equal(symlink("loop", in_folder("loop")), 0);
  assert_int_equal(cc_file_read(path, 10, &file), CC_ESYSTEM);
  assert_non_null(strstr(cc_system_error(), strerror(ELOOP)));
}

static void what_a_link_says_is_told(void **state) {
  (void)state;
  char target[8];
  assert_int_equal(symlink("a/b", in_folder("link")), 0);
  assert_int_equal(cc_file_link(path, target, sizeof target), 3);
  assert_memory_equal(target, "a/b", 3);
  assert_int_equal(cc_file_link(path, target, 4), 3);
  assert_int_equal(cc_file_link(path, target, 3), CC_ELIMIT);
  put("plain", "x", 1, 0600);
  assert_int_equal(cc_file_link(in_folder("plain"), target, sizeof target), CC_EINVAL);
  assert_int_equal(cc_file_link(in_folder("missing"), target, sizeof target), CC_ENOTFOUND);
  assert_int_equal(cc_file_link(in_folder("plain/below"), target, sizeof target), CC_ENOTFOUND);
}

static void what_is_no_file_is_refused(void **state) {
  (void)state;
  struct cc_file file;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  assert_int_equal(cc_file_read(in_folder("missing"), 10, &file), CC_ENOTFOUND);
  put("plain", "x", 1, 0600);
  assert_int_equal(cc_file_read(in_folder("plain/below"), 10, &file), CC_ENOTFOUND);
  assert_int_equal(cc_file_read(folder, 10, &file), CC_EINVAL);
  assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
  assert_int_equal(cc_file_read(path, 10, &file), CC_EINVAL); // and does not hang
  assert_int_equal(cc_file_read("/dev/zero", 10, &file), CC_EINVAL);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  strcpy(address.sun_path, in_folder("socket"));
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(cc_file_read(path, 10, &file), CC_EINVAL);
  close(fd);
  assert_null(file.data);
}

static void a_file_of_others_is_refused(void **state) {
  (void)state;
  int status;
  struct cc_file file;
  put("locked", "x", 1, 0000);
  pid_t child = fork();
  if (child == 0) {
    if (cc_user() == 0 && setuid(65534) != 0) _exit(1);
    if (cc_file_read(in_folder("locked"), 10, &file) != CC_ESYSTEM) _exit(2);
    _exit(strstr(cc_system_error(), strerror(EACCES)) ? 0 : 3);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_folder_lists_names_by_suffix(void **state) {
  (void)state;
  char *names;
  uint32_t size;
  assert_int_equal(cc_folder(folder, ".lua", &names, &size), CC_OK);
  assert_int_equal(size, 0);
  assert_non_null(names);
  cc_free(names);
  put("b.lua", "", 0, 0600);
  put("a.lua", "", 0, 0600);
  put("c.txt", "", 0, 0600);
  put(".lua", "", 0, 0600);
  put("lua", "", 0, 0600);
  assert_int_equal(cc_folder(folder, ".lua", &names, &size), CC_OK);
  assert_int_equal(size, 16);
  assert_memory_equal(names, ".lua\0a.lua\0b.lua", 17);
  cc_free(names);
  assert_int_equal(cc_folder(folder, "", &names, &size), CC_OK);
  assert_int_equal(size, 26);
  cc_free(names);
}

static void a_missing_folder_is_not_found(void **state) {
  (void)state;
  char *names;
  uint32_t size;
  put("plain", "", 0, 0600);
  assert_int_equal(cc_folder(in_folder("missing"), "", &names, &size), CC_ENOTFOUND);
  assert_null(names);
  assert_int_equal(cc_folder(in_folder("plain"), "", &names, &size), CC_ENOTFOUND);
}

static void too_many_names_are_refused(void **state) {
  (void)state;
  char *names, name[300];
  uint32_t size;
  memset(name, 'n', sizeof name);
  for (int i = 0; i < 4200; i++) {
    snprintf(name + 246, 16, "%07d", i);
    char full[400];
    snprintf(full, sizeof full, "%s/%s", folder, name);
    int fd = open(full, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
  }
  assert_int_equal(cc_folder(folder, "", &names, &size), CC_ELIMIT);
  assert_null(names);
}

// The text of a file, and its mode.
static void assert_file(const char *name, const char *text, uint32_t mode) {
  struct cc_file file;
  assert_int_equal(cc_file_read(in_folder(name), 100, &file), CC_OK);
  assert_string_equal(file.data, text);
  assert_int_equal(file.mode, mode);
  cc_free(file.data);
}

static uint32_t count_entries(void) {
  char *names;
  uint32_t size, count = 0;
  assert_int_equal(cc_folder(folder, "", &names, &size), CC_OK);
  for (uint32_t i = 0; i < size; i++)
    count += !names[i];
  cc_free(names);
  return count + !!size;
}

static void a_file_is_written_whole_and_keeps_its_mode(void **state) {
  (void)state;
  assert_int_equal(cc_file_write(in_folder("new"), "one", 3, 0600), CC_OK);
  assert_file("new", "one", 0600);
  put("there", "a longer text", 13, 0664);
  assert_int_equal(cc_file_write(in_folder("there"), "two", 3, 0600), CC_OK);
  assert_file("there", "two", 0664);
  assert_int_equal(cc_file_write(in_folder("sub/new"), "", 0, 0640), CC_OK);
  assert_file("sub/new", "", 0640);
  struct stat facts;
  assert_int_equal(stat(in_folder("sub"), &facts), 0);
  assert_int_equal(facts.st_mode & 07777, 0700);
  assert_int_equal(count_entries(), 3);
}

static void a_link_stays_a_link_when_written_through(void **state) {
  (void)state;
  struct stat facts;
  put("target", "old", 3, 0640);
  assert_int_equal(symlink("target", in_folder("link")), 0);
  assert_int_equal(cc_file_write(in_folder("link"), "new", 3, 0600), CC_OK);
  assert_int_equal(lstat(in_folder("link"), &facts), 0);
  assert_true(S_ISLNK(facts.st_mode));
  assert_file("target", "new", 0640);
}

static void what_cannot_be_written_is_refused_and_leaves_nothing(void **state) {
  (void)state;
  assert_int_equal(symlink("nowhere", in_folder("dangling")), 0);
  assert_int_equal(cc_file_write(in_folder("dangling"), "x", 1, 0600), CC_ENOTFOUND);
  assert_int_equal(cc_file_write(in_folder("no/such/file"), "x", 1, 0600), CC_ENOTFOUND);
  assert_int_equal(mkdir(in_folder("folder"), 0700), 0);
  assert_int_equal(cc_file_write(in_folder("folder"), "x", 1, 0600), CC_EINVAL);
  put("plain", "x", 1, 0600);
  assert_int_equal(cc_file_write(in_folder("plain/file"), "x", 1, 0600), CC_ESYSTEM);
  assert_int_equal(count_entries(), 3);
}

static void a_folder_is_locked_by_one_process(void **state) {
  (void)state;
  int lock = cc_folder_lock(in_folder("new"), true, 0);
  assert_true(lock >= 0);
  assert_int_equal(cc_folder_lock(path, true, 0), CC_EINUSE);
  assert_non_null(strstr(cc_system_error(), "another process changes it"));
  cc_folder_unlock(lock);
  lock = cc_folder_lock(path, false, 0);
  assert_true(lock >= 0);
  cc_folder_unlock(lock);
  struct stat facts;
  assert_int_equal(stat(path, &facts), 0);
  assert_int_equal(facts.st_mode & 07777, 0700);
}

static void a_lock_ends_with_its_process_and_is_waited_for(void **state) {
  (void)state;
  int status, ready[2];
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    if (cc_folder_lock(folder, false, 0) < 0 || write(ready[1], "r", 1) != 1) _exit(1);
    usleep(50000);
    _exit(0);
  }
  assert_int_equal(read(ready[0], &status, 1), 1);
  int lock = cc_folder_lock(folder, false, 60000);
  assert_true(lock >= 0);
  cc_folder_unlock(lock);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  close(ready[0]);
  close(ready[1]);
}

static void only_a_folder_that_is_there_is_locked(void **state) {
  (void)state;
  assert_int_equal(cc_folder_lock(in_folder("missing"), false, 0), CC_ENOTFOUND);
  assert_int_equal(cc_folder_lock(in_folder("no/such"), true, 0), CC_ENOTFOUND);
  assert_int_equal(count_entries(), 0);
  put("plain", "x", 1, 0600);
  assert_int_equal(cc_folder_lock(in_folder("plain"), true, 0), CC_ESYSTEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_file_is_read_with_its_facts),
      TEST(a_file_is_written_whole_and_keeps_its_mode),
      TEST(a_link_stays_a_link_when_written_through),
      TEST(what_cannot_be_written_is_refused_and_leaves_nothing),
      TEST(the_limit_holds),
      TEST(a_file_without_a_size_is_read),
      TEST(a_link_is_followed_and_its_target_judged),
      TEST(what_a_link_says_is_told),
      TEST(what_is_no_file_is_refused),
      TEST(a_file_of_others_is_refused),
      TEST(a_folder_is_locked_by_one_process),
      TEST(a_lock_ends_with_its_process_and_is_waited_for),
      TEST(only_a_folder_that_is_there_is_locked),
      TEST(a_folder_lists_names_by_suffix),
      TEST(a_missing_folder_is_not_found),
      TEST(too_many_names_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
