// SPDX-License-Identifier: Apache-2.0
// Databases, over SQLite. SQLite's own locks allow several writers, such as an operator's sqlite3. A lock file beside
// the database keeps out a second relay; the kernel frees that lock when the process ends.
#include "api/database.h"
#include "api/util.h"
#include "base/buffer.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  BUSY_MS = 2000,
  PATH_BYTES = 4096,
  STEPS = 10000
}; // instructions of SQLite between two looks at the clock

struct cc_database {
  sqlite3 *handle;
  int lock; // descriptor of the lock file
  double deadline;
  dev_t device;
  ino_t inode;
  char path[];
};

static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                               "PRAGMA journal_size_limit = 4194304; PRAGMA trusted_schema = OFF;";

static sqlite3_stmt *own(struct cc_statement *statement) {
  return (sqlite3_stmt *)statement;
}

// The error for a result of SQLite.
static int failed(sqlite3 *handle, int result) {
  int error = CC_ESYSTEM;
  if (result == SQLITE_CORRUPT || result == SQLITE_NOTADB) error = CC_EDAMAGED;
  if (result == SQLITE_ERROR) error = CC_EINVAL;
  if (result == SQLITE_INTERRUPT) error = CC_ETOTAL_TIMEOUT;
  return cc_fail(error, "%s", handle ? sqlite3_errmsg(handle) : sqlite3_errstr(result));
}

// ---- Open and close ----------------------------------------------------------------------------

static bool make_folder(const char *path) {
  char folder[PATH_BYTES];
  if (strlen(path) >= sizeof folder) return false;
  strcpy(folder, path);
  char *slash = strrchr(folder, '/');
  if (!slash || slash == folder) return true;
  *slash = '\0';
  return mkdir(folder, 0700) == 0 || errno == EEXIST;
}

static int lock_file(const char *path) {
  char name[PATH_BYTES];
  int size = snprintf(name, sizeof name, "%s.lock", path);
  if (size < 0 || (size_t)size >= sizeof name) return cc_fail(CC_ESYSTEM, "the path is too long");
  int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return cc_fail_errno(CC_ESYSTEM, name);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  int error = cc_fail_errno(errno == EWOULDBLOCK ? CC_EINUSE : CC_ESYSTEM, name);
  close(fd);
  return error;
}

// SQLite gives the files beside the database the mode of the database.
static int make_file(const char *path) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return cc_fail_errno(CC_ESYSTEM, path);
  int error = fchmod(fd, 0600) == 0 ? CC_OK : cc_fail_errno(CC_ESYSTEM, path);
  close(fd);
  return error;
}

static int check(struct cc_database *database) {
  struct cc_statement *statement;
  int error = cc_database_prepare(database, "PRAGMA quick_check(1)", &statement);
  if (error != CC_OK) return error;
  error = cc_statement_step(statement);
  if (error < 0) return error;
  const char *said = (const char *)sqlite3_column_text(own(statement), 0);
  error = said && strcmp(said, "ok") == 0 ? CC_OK : cc_fail(CC_EDAMAGED, "%s", said ? said : "");
  sqlite3_finalize(own(statement));
  return error;
}

static int open_handle(struct cc_database *database) {
  struct stat facts;
  int error = make_file(database->path);
  if (error != CC_OK) return error;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
  int result = sqlite3_open_v2(database->path, &database->handle, flags, NULL);
  if (result != SQLITE_OK) return failed(database->handle, result);
  sqlite3_busy_timeout(database->handle, BUSY_MS);
  if (stat(database->path, &facts) != 0) return cc_fail_errno(CC_ESYSTEM, database->path);
  database->device = facts.st_dev;
  database->inode = facts.st_ino;
  error = cc_database_run(database, settings);
  return error == CC_OK ? check(database) : error;
}

int cc_database_open(const char *path, struct cc_database **out) {
  *out = NULL;
  if (!make_folder(path)) return cc_fail_errno(CC_ESYSTEM, path);
  int lock = lock_file(path);
  if (lock < 0) return lock;
  struct cc_database *database = cc_alloc(sizeof *database + strlen(path) + 1);
  strcpy(database->path, path);
  database->lock = lock;
  int error = open_handle(database);
  if (error == CC_OK)
    *out = database;
  else
    cc_database_close(database);
  return error;
}

void cc_database_close(struct cc_database *database) {
  if (!database) return;
  sqlite3_stmt *statement;
  while (database->handle && (statement = sqlite3_next_stmt(database->handle, NULL)))
    sqlite3_finalize(statement);
  sqlite3_close(database->handle);
  close(database->lock);
  free(database);
}

bool cc_database_in_place(const struct cc_database *database) {
  struct stat facts;
  if (stat(database->path, &facts) != 0) return false;
  return facts.st_dev == database->device && facts.st_ino == database->inode;
}

static int is_over(void *data) {
  struct cc_database *database = data;
  return database->deadline > 0 && cc_now() >= database->deadline;
}

void cc_database_deadline(struct cc_database *database, double deadline) {
  database->deadline = deadline;
  sqlite3_progress_handler(database->handle, deadline > 0 ? STEPS : 0, is_over, database);
}

// ---- Statements --------------------------------------------------------------------------------

int cc_database_run(struct cc_database *database, const char *sql) {
  int result = sqlite3_exec(database->handle, sql, NULL, NULL, NULL);
  return result == SQLITE_OK ? CC_OK : failed(database->handle, result);
}

int cc_database_prepare(struct cc_database *database, const char *sql, struct cc_statement **out) {
  sqlite3_stmt *statement = NULL;
  const char *rest = "";
  int result =
      sqlite3_prepare_v3(database->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, &rest);
  *out = (struct cc_statement *)statement;
  if (result != SQLITE_OK) return failed(database->handle, result);
  if (statement && !*rest) return CC_OK;
  sqlite3_finalize(statement);
  *out = NULL;
  return cc_fail(CC_EINVAL, "not one statement: %s", sql);
}

int cc_statement_number(struct cc_statement *statement, int index, double value) {
  bool is_whole = value == floor(value) && fabs(value) < 9007199254740992.0;
  int result = is_whole ? sqlite3_bind_int64(own(statement), index, (sqlite3_int64)value)
                        : sqlite3_bind_double(own(statement), index, value);
  return result == SQLITE_OK ? CC_OK : CC_EINVAL;
}

int cc_statement_text(struct cc_statement *statement, int index, const char *data, uint32_t size) {
  int result = sqlite3_bind_text(own(statement), index, data, (int)size, SQLITE_TRANSIENT);
  return result == SQLITE_OK ? CC_OK : CC_EINVAL;
}

int cc_statement_step(struct cc_statement *statement) {
  int result = sqlite3_step(own(statement));
  if (result == SQLITE_ROW) return 1;
  int error = result == SQLITE_DONE ? 0 : failed(sqlite3_db_handle(own(statement)), result);
  cc_statement_reset(statement);
  return error;
}

void cc_statement_reset(struct cc_statement *statement) {
  sqlite3_reset(own(statement));
  sqlite3_clear_bindings(own(statement));
}

double cc_statement_value(struct cc_statement *statement, int column) {
  if (sqlite3_column_type(own(statement), column) == SQLITE_NULL) return NAN;
  return sqlite3_column_double(own(statement), column);
}

void cc_statement_value_text(struct cc_statement *statement, int column, struct cc_slice *out) {
  out->data = (const char *)sqlite3_column_text(own(statement), column);
  out->size = out->data ? (uint32_t)sqlite3_column_bytes(own(statement), column) : 0;
}
