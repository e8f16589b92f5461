// SPDX-License-Identifier: Apache-2.0
#include "api/database.h"
#include "api/error.h"
#include "api/util.h"
#include <fcntl.h>
#include <math.h>
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

static char folder[64], path[128];

static int make_folder(void **state) {
  (void)state;
  strcpy(folder, "/tmp/ccrelay-database-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/state/usage.db", folder);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static struct cc_database *opened(void) {
  struct cc_database *database;
  assert_int_equal(cc_database_open(path, &database), CC_OK);
  return database;
}

static struct cc_statement *prepared(struct cc_database *database, const char *sql) {
  struct cc_statement *statement;
  assert_int_equal(cc_database_prepare(database, sql, &statement), CC_OK);
  return statement;
}

static double one_value(struct cc_database *database, const char *sql) {
  struct cc_statement *statement = prepared(database, sql);
  assert_int_equal(cc_statement_step(statement), 1);
  double value = cc_statement_value(statement, 0);
  cc_statement_reset(statement);
  return value;
}

static void put(const char *where, const char *text) {
  int fd = open(where, O_CREAT | O_WRONLY | O_TRUNC, 0644);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
}

static void values_come_back(void **state) {
  (void)state;
  struct cc_slice text;
  struct cc_database *database = opened();
  assert_int_equal(cc_database_run(database, "CREATE TABLE t (a, b, c)"), CC_OK);
  struct cc_statement *insert = prepared(database, "INSERT INTO t VALUES (?1, ?2, ?3)");
  assert_int_equal(cc_statement_number(insert, 1, 4503599627370497.0), CC_OK);
  assert_int_equal(cc_statement_text(insert, 2, "a\0b", 3), CC_OK);
  assert_int_equal(cc_statement_number(insert, 4, 1), CC_EINVAL);
  assert_int_equal(cc_statement_step(insert), 0);
  assert_int_equal(cc_statement_number(insert, 1, 0.25), CC_OK);
  assert_int_equal(cc_statement_step(insert), 0);
  struct cc_statement *all = prepared(database, "SELECT a, b, c, typeof(a) FROM t ORDER BY rowid");
  assert_int_equal(cc_statement_step(all), 1);
  assert_true(cc_statement_value(all, 0) == 4503599627370497.0);
  assert_true(isnan(cc_statement_value(all, 2)));
  cc_statement_value_text(all, 1, &text);
  assert_int_equal(text.size, 3);
  assert_memory_equal(text.data, "a\0b", 3);
  cc_statement_value_text(all, 3, &text);
  assert_memory_equal(text.data, "integer", 7);
  assert_int_equal(cc_statement_step(all), 1);
  assert_true(cc_statement_value(all, 0) == 0.25);
  cc_statement_value_text(all, 1, &text);
  assert_int_equal(text.size, 0);
  assert_int_equal(cc_statement_step(all), 0);
  assert_int_equal(cc_statement_step(all), 1);
  cc_database_close(database);
}

static void faults_are_told(void **state) {
  (void)state;
  struct cc_database *database = opened();
  struct cc_statement *statement;
  assert_int_equal(cc_database_prepare(database, "SELECT x FROM nothing", &statement), CC_EINVAL);
  assert_non_null(strstr(cc_system_error(), "nothing"));
  assert_int_equal(cc_database_prepare(database, "SELECT 1; SELECT 2", &statement), CC_EINVAL);
  assert_int_equal(cc_database_prepare(database, "", &statement), CC_EINVAL);
  assert_int_equal(cc_database_run(database, "nonsense"), CC_EINVAL);
  cc_database_close(database);
  cc_database_close(NULL);
}

static void only_the_owner_may_read_it(void **state) {
  (void)state;
  struct stat facts;
  char beside[160];
  struct cc_database *database = opened();
  assert_int_equal(cc_database_run(database, "CREATE TABLE t (a); INSERT INTO t VALUES (1)"),
                   CC_OK);
  const char *names[] = {"", "-wal", "-shm", ".lock"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(beside, sizeof beside, "%s%s", path, names[i]);
    assert_int_equal(stat(beside, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
  }
  snprintf(beside, sizeof beside, "%s/state", folder);
  assert_int_equal(stat(beside, &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0700);
  cc_database_close(database);
  assert_int_equal(chmod(path, 0644), 0);
  cc_database_close(opened());
  assert_int_equal(stat(path, &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0600);
}

static void one_process_at_a_time(void **state) {
  (void)state;
  struct cc_database *database = opened(), *second;
  assert_int_equal(cc_database_open(path, &second), CC_EINUSE);
  assert_null(second);
  cc_database_close(database);
  cc_database_close(opened());
}

static void what_is_no_database_is_damaged(void **state) {
  (void)state;
  struct cc_database *database;
  cc_database_close(opened());
  put(path, "this is a text of some length, and no database at all");
  assert_int_equal(cc_database_open(path, &database), CC_EDAMAGED);
  assert_null(database);
}

// Pages in the middle are overwritten.
static void a_damaged_one_is_found_when_it_is_opened(void **state) {
  (void)state;
  char junk[8192];
  struct cc_database *database = opened();
  cc_database_run(
      database,
      "CREATE TABLE t (a PRIMARY KEY); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
      "FROM n WHERE i < 5000) INSERT INTO t SELECT 'value ' || i FROM n");
  cc_database_close(database);
  memset(junk, 0xa5, sizeof junk);
  int fd = open(path, O_WRONLY);
  assert_int_equal(pwrite(fd, junk, sizeof junk, 3 * 4096), sizeof junk);
  close(fd);
  assert_int_equal(cc_database_open(path, &database), CC_EDAMAGED);
}

static void a_missing_or_replaced_file_is_noticed(void **state) {
  (void)state;
  struct cc_database *database = opened();
  assert_true(cc_database_in_place(database));
  unlink(path);
  assert_false(cc_database_in_place(database));
  put(path, "");
  assert_false(cc_database_in_place(database));
  cc_database_close(database);
}

static void a_statement_ends_at_its_deadline(void **state) {
  (void)state;
  struct cc_database *database = opened();
  const char *endless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
  struct cc_statement *statement = prepared(database, endless);
  cc_database_deadline(database, cc_now() + 20);
  assert_int_equal(cc_statement_step(statement), CC_ETOTAL_TIMEOUT);
  cc_database_deadline(database, 0);
  assert_true(one_value(database, "SELECT 7") == 7);
  cc_database_close(database);
}

static void no_folder_is_an_error_of_the_system(void **state) {
  (void)state;
  struct cc_database *database;
  assert_int_equal(cc_database_open("/proc/none/at/all/usage.db", &database), CC_ESYSTEM);
  assert_true(*cc_system_error());
}

// What was committed outlives a process that is killed; what was not is gone, and the next process may open it.
static void commits_outlive_a_kill(void **state) {
  (void)state;
  int pipes[2];
  char byte;
  assert_int_equal(pipe(pipes), 0);
  pid_t pid = fork();
  if (pid == 0) {
    struct cc_database *database;
    if (cc_database_open(path, &database) != CC_OK) _exit(1);
    cc_database_run(database, "CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES (1); COMMIT");
    cc_database_run(database, "BEGIN; INSERT INTO t VALUES (2)");
    if (write(pipes[1], "x", 1) != 1) _exit(1);
    for (;;)
      pause();
  }
  assert_int_equal(read(pipes[0], &byte, 1), 1);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  struct cc_database *database = opened();
  assert_true(one_value(database, "SELECT sum(a) FROM t") == 1);
  cc_database_close(database);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
  const struct CMUnitTest tests[] = {
      TEST(values_come_back),
      TEST(faults_are_told),
      TEST(only_the_owner_may_read_it),
      TEST(one_process_at_a_time),
      TEST(what_is_no_database_is_damaged),
      TEST(a_damaged_one_is_found_when_it_is_opened),
      TEST(a_missing_or_replaced_file_is_noticed),
      TEST(a_statement_ends_at_its_deadline),
      TEST(no_folder_is_an_error_of_the_system),
      TEST(commits_outlive_a_kill),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
