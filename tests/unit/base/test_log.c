// SPDX-License-Identifier: Apache-2.0
// The log: whole lines in order, a sink that is stuck, closed, moved or full, and forked children.
#include "api/error.h"
#include "base/log.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

// The writer is a thread; a child that starts its own is what is tried here.
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
  return "die_after_fork=0";
}

enum { LONG_MS = 20000 };
static char folder[64], path[128], second_path[128];
static char content[4 << 20];

static int begin(void **state) {
  (void)state;
  strcpy(folder, "/tmp/ccrelay-log-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/log", folder);
  snprintf(second_path, sizeof second_path, "%s/second", folder);
  return 0;
}

static int end(void **state) {
  (void)state;
  cc_log_close();
  unlink(path);
  unlink(second_path);
  return rmdir(folder);
}

static void line(const char *text) {
  cc_log(text, (uint32_t)strlen(text));
}

static size_t read_fd(int fd) {
  size_t size = 0;
  ssize_t got;
  while ((got = read(fd, content + size, sizeof content - 1 - size)) > 0)
    size += (size_t)got;
  content[size] = 0;
  return size;
}

static const char *content_of(const char *file) {
  int fd = open(file, O_RDONLY);
  content[0] = 0;
  if (fd < 0) return "(none)";
  read_fd(fd);
  close(fd);
  return content;
}

// Makes a pipe the log's stderr, runs talk in a child and returns what came out of the pipe.
static const char *through_stderr(void (*talk)(void)) {
  int ends[2], status;
  assert_int_equal(pipe(ends), 0);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]), close(ends[1]);
    talk();
    cc_log_flush(LONG_MS);
    cc_log_close();
    _exit(0);
  }
  close(ends[1]);
  read_fd(ends[0]);
  close(ends[0]);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return content;
}

static void two_lines(void) {
  line("one");
  line("");
  cc_log("two and more", 3);
}

static void lines_go_to_stderr_at_first(void **state) {
  (void)state;
  assert_string_equal(through_stderr(two_lines), "one\n\ntwo\n");
}

static void a_file_gets_all_lines_in_order(void **state) {
  (void)state;
  struct stat facts;
  assert_int_equal(cc_log_open(path), CC_OK);
  assert_int_equal(stat(path, &facts), 0);
  assert_int_equal(facts.st_mode & 07777, 0600);
  size_t size = 0;
  static char expected[1 << 20];
  for (int i = 0; i < 30000; i++) {
    char text[32];
    int length = snprintf(text, sizeof text, "line %d", i);
    cc_log(text, (uint32_t)length);
    size += (size_t)sprintf(expected + size, "%s\n", text);
    if (i % 10000 == 0) cc_log_flush(LONG_MS);
  }
  cc_log_flush(LONG_MS);
  assert_true(cc_log_dropped() == 0);
  assert_string_equal(content_of(path), expected);
  cc_log_close();
  assert_int_equal(cc_log_open(path), CC_OK); // appends
  line("again");
  cc_log_flush(LONG_MS);
  assert_string_equal(content_of(path) + size, "again\n");
}

static void a_path_that_cannot_be_opened_changes_nothing(void **state) {
  (void)state;
  assert_int_equal(cc_log_open(path), CC_OK);
  assert_int_equal(cc_log_open("/nowhere/at/all"), CC_ESYSTEM);
  line("still here");
  cc_log_flush(LONG_MS);
  assert_int_equal(cc_log_open(folder), CC_ESYSTEM);
  line("and here");
  cc_log_flush(LONG_MS);
  assert_string_equal(content_of(path), "still here\nand here\n");
}

static void the_sink_can_be_changed(void **state) {
  (void)state;
  assert_int_equal(cc_log_open(path), CC_OK);
  line("first");
  cc_log_flush(LONG_MS);
  assert_int_equal(cc_log_open(second_path), CC_OK);
  line("second");
  cc_log_flush(LONG_MS);
  assert_string_equal(content_of(path), "first\n");
  assert_string_equal(content_of(second_path), "second\n");
}

static void lines_too_long_are_dropped(void **state) {
  (void)state;
  static char text[300000];
  memset(text, 'x', sizeof text);
  assert_int_equal(cc_log_open(path), CC_OK);
  cc_log(text, 1 << 18);
  assert_true(cc_log_dropped() == 1);
  cc_log(text, (1 << 18) - 1);
  line("after");
  cc_log_flush(LONG_MS);
  assert_int_equal(strlen(content_of(path)), (1 << 18) + 6);
  assert_string_equal(content + (1 << 18), "after\n");
  assert_true(cc_log_dropped() == 1);
}

// A pipe that nobody reads: callers go on, what finds no room is counted, and when the reader
// comes back every line that was not counted is there, whole.
static void a_stuck_pipe_blocks_nobody(void **state) {
  (void)state;
  double before = cc_log_dropped();
  static char text[1000];
  memset(text, 'p', sizeof text);
  assert_int_equal(mkfifo(path, 0600), 0);
  int reader = open(path, O_RDONLY | O_NONBLOCK);
  assert_int_equal(cc_log_open(path), CC_OK);
  for (int i = 0; i < 3000; i++)
    cc_log(text, sizeof text);
  cc_log_flush(50);
  double dropped = cc_log_dropped() - before;
  assert_true(dropped > 1000 && dropped < 2500);
  size_t expected = (size_t)(3000 - dropped) * 1001, size = 0;
  while (size < expected) {
    ssize_t got = read(reader, content + size, sizeof content - size);
    if (got > 0)
      size += (size_t)got;
    else
      usleep(1000);
  }
  cc_log_flush(LONG_MS);
  assert_int_equal(size, expected);
  for (size_t i = 0; i < size; i++)
    assert_int_equal(content[i], i % 1001 == 1000 ? '\n' : 'p');
  assert_true(cc_log_dropped() - before == dropped);
  close(reader);
}

static void a_stuck_sink_can_be_left(void **state) {
  (void)state;
  static char text[10000]; // longer than what a pipe takes at once: cut in the middle
  memset(text, 'q', sizeof text);
  assert_int_equal(mkfifo(path, 0600), 0);
  int reader = open(path, O_RDONLY | O_NONBLOCK);
  double before = cc_log_dropped();
  assert_int_equal(cc_log_open(path), CC_OK);
  for (int i = 0; i < 50; i++)
    cc_log(text, sizeof text);
  cc_log_flush(100);
  assert_int_equal(cc_log_open(second_path), CC_OK);
  cc_log_flush(LONG_MS);
  assert_true(cc_log_dropped() == before);
  size_t in_pipe = read_fd(reader);
  content_of(second_path);
  assert_true(in_pipe % 10001 != 0);
  assert_true(strlen(content) % 10001 == 0); // whole lines only, the one cut short included
  assert_int_equal(strlen(content) / 10001 + in_pipe / 10001, 50);
  close(reader);
}

static void closing_does_not_wait_for_a_stuck_sink(void **state) {
  (void)state;
  static char text[1000];
  memset(text, 'r', sizeof text);
  assert_int_equal(mkfifo(path, 0600), 0);
  int reader = open(path, O_RDONLY | O_NONBLOCK);
  double before = cc_log_dropped();
  assert_int_equal(cc_log_open(path), CC_OK);
  for (int i = 0; i < 500; i++)
    cc_log(text, sizeof text);
  cc_log_close();
  double dropped = cc_log_dropped() - before;
  assert_true(dropped > 100);
  assert_int_equal(read_fd(reader) / 1001, 500 - dropped);
  close(reader);
}

static void a_closed_pipe_counts_and_goes_on(void **state) {
  (void)state;
  assert_int_equal(mkfifo(path, 0600), 0);
  int reader = open(path, O_RDONLY | O_NONBLOCK);
  double before = cc_log_dropped();
  assert_int_equal(cc_log_open(path), CC_OK);
  close(reader);
  line("lost"); // SIGPIPE has its default action here
  line("too");
  cc_log_flush(LONG_MS);
  assert_true(cc_log_dropped() - before == 2);
  reader = open(path, O_RDONLY | O_NONBLOCK);
  line("back");
  cc_log_flush(LONG_MS);
  read_fd(reader);
  assert_string_equal(content, "back\n");
  close(reader);
}

static void a_line_cut_short_is_ended(void **state) {
  (void)state;
  static char text[100000];
  memset(text, 's', sizeof text);
  assert_int_equal(mkfifo(path, 0600), 0);
  int reader = open(path, O_RDONLY | O_NONBLOCK);
  double before = cc_log_dropped();
  assert_int_equal(cc_log_open(path), CC_OK);
  cc_log(text, sizeof text);
  cc_log_flush(100);
  close(reader);
  cc_log_flush(LONG_MS);
  assert_true(cc_log_dropped() - before == 1);
  reader = open(path, O_RDONLY | O_NONBLOCK);
  size_t size = read_fd(reader);
  line("next");
  cc_log_flush(LONG_MS);
  assert_true(size > 0 && content[size - 1] == 's');
  read_fd(reader);
  assert_string_equal(content, "\nnext\n");
  close(reader);
}

// stderr is a blocking pipe here, and stays one.
static void a_stuck_stderr_is_not_waited_for(void **state) {
  (void)state;
  int ends[2], status;
  static char text[100000];
  assert_int_equal(pipe(ends), 0);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    cc_log_close();
    double before = cc_log_dropped();
    cc_log(text, sizeof text);
    cc_log_flush(100);
    cc_log_close();
    _exit(cc_log_dropped() - before == 1 ? 0 : 1);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  close(ends[0]), close(ends[1]);
}

static void a_full_disk_counts_and_goes_on(void **state) {
  (void)state;
  double before = cc_log_dropped();
  if (cc_log_open("/dev/full") != CC_OK) {
    printf("not tried: no /dev/full here\n");
    return;
  }
  line("lost");
  cc_log_flush(LONG_MS);
  assert_true(cc_log_dropped() - before == 1);
}

static void pass_a_second(void) {
  struct timespec pause = {1, 50000000};
  nanosleep(&pause, NULL);
}

static void a_moved_file_is_opened_anew(void **state) {
  (void)state;
  struct stat facts;
  assert_int_equal(cc_log_open(path), CC_OK);
  line("old");
  cc_log_flush(LONG_MS);
  assert_int_equal(rename(path, second_path), 0);
  pass_a_second();
  line("new");
  cc_log_flush(LONG_MS);
  assert_string_equal(content_of(second_path), "old\n");
  assert_string_equal(content_of(path), "new\n");
  assert_int_equal(stat(path, &facts), 0);
  assert_int_equal(facts.st_mode & 07777, 0600);
  assert_int_equal(unlink(path), 0);
  pass_a_second();
  line("newer");
  cc_log_flush(LONG_MS);
  assert_string_equal(content_of(path), "newer\n");
}

static void a_file_that_cannot_be_made_again_is_used_on(void **state) {
  (void)state;
  char inside[160], elsewhere[100];
  snprintf(inside, sizeof inside, "%s/sub", folder);
  snprintf(elsewhere, sizeof elsewhere, "%s/moved", folder);
  assert_int_equal(mkdir(inside, 0700), 0);
  snprintf(inside, sizeof inside, "%s/sub/log", folder);
  assert_int_equal(cc_log_open(inside), CC_OK);
  line("before");
  cc_log_flush(LONG_MS);
  snprintf(inside, sizeof inside, "%s/sub", folder);
  assert_int_equal(rename(inside, elsewhere), 0);
  pass_a_second();
  line("after");
  cc_log_flush(LONG_MS);
  snprintf(inside, sizeof inside, "%s/moved/log", folder);
  assert_string_equal(content_of(inside), "before\nafter\n");
  unlink(inside);
  rmdir(elsewhere);
}

static void a_child_has_a_log_of_its_own(void **state) {
  (void)state;
  int status;
#ifdef __SANITIZE_THREAD__
  printf("not tried: this sanitizer allows no threads in a child of a threaded process\n");
  return;
#endif
  assert_int_equal(cc_log_open(path), CC_OK);
  for (int i = 0; i < 200; i++)
    line("parent");
  fflush(NULL);
  pid_t child = fork(); // the writer may be at work
  if (child == 0) {
    if (cc_log_dropped() != 0) _exit(1);
    cc_log_flush(LONG_MS);
    line("child");
    cc_log_flush(LONG_MS);
    cc_log_close();
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  line("parent");
  cc_log_flush(LONG_MS);
  int parents = 0, children = 0;
  content_of(path);
  for (char *at = strtok(content, "\n"); at; at = strtok(NULL, "\n")) {
    parents += strcmp(at, "parent") == 0;
    children += strcmp(at, "child") == 0;
  }
  assert_int_equal(parents, 201);
  assert_int_equal(children, 1);
}

enum { THREADS = 4, LINES = 2000 };

static void *log_many(void *argument) {
  for (int i = 0; i < LINES; i++) {
    char text[64];
    int size = snprintf(text, sizeof text, "%d %d end", (int)(intptr_t)argument, i);
    cc_log(text, (uint32_t)size);
  }
  return NULL;
}

static void threads_and_processes_log_whole_lines(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  int seen[2 * THREADS] = {0}, status;
  assert_int_equal(cc_log_open(path), CC_OK);
  fflush(NULL);
  pid_t child = fork();
  for (intptr_t i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, log_many, (void *)(i + (child ? 0 : THREADS)));
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  cc_log_flush(LONG_MS);
  if (child == 0) {
    cc_log_close();
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  content_of(path);
  for (char *at = strtok(content, "\n"); at; at = strtok(NULL, "\n")) {
    int who = -1, which = -1;
    char last[4] = "";
    assert_int_equal(sscanf(at, "%d %d %3s", &who, &which, last), 3);
    assert_in_range(who, 0, 2 * THREADS - 1);
    assert_int_equal(which, seen[who]++);
    assert_string_equal(last, "end");
  }
  for (int i = 0; i < 2 * THREADS; i++)
    assert_int_equal(seen[i], LINES);
}

static void closing_writes_what_can_be_written(void **state) {
  (void)state;
  assert_int_equal(cc_log_open(path), CC_OK);
  line("last words");
  cc_log_close();
  assert_string_equal(content_of(path), "last words\n");
  cc_log_close();
  cc_log_flush(LONG_MS); // nothing to wait for
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(lines_go_to_stderr_at_first),
      TEST(a_file_gets_all_lines_in_order),
      TEST(a_path_that_cannot_be_opened_changes_nothing),
      TEST(the_sink_can_be_changed),
      TEST(lines_too_long_are_dropped),
      TEST(a_stuck_pipe_blocks_nobody),
      TEST(a_stuck_sink_can_be_left),
      TEST(closing_does_not_wait_for_a_stuck_sink),
      TEST(a_closed_pipe_counts_and_goes_on),
      TEST(a_line_cut_short_is_ended),
      TEST(a_stuck_stderr_is_not_waited_for),
      TEST(a_full_disk_counts_and_goes_on),
      TEST(a_moved_file_is_opened_anew),
      TEST(a_file_that_cannot_be_made_again_is_used_on),
      TEST(a_child_has_a_log_of_its_own),
      TEST(threads_and_processes_log_whole_lines),
      TEST(closing_writes_what_can_be_written),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
