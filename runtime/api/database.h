// SPDX-License-Identifier: Apache-2.0
// A database in a file (SQLite). Its calls wait for the disk: only processes that serve no request use it.
#ifndef CC_API_DATABASE_H
#define CC_API_DATABASE_H
#include "api/types.h"
#pragma GCC visibility push(default)

struct cc_database;
struct cc_statement;

// Opens the database at path for this process alone, in WAL mode with synchronous = NORMAL
// (https://www.sqlite.org/wal.html): what is committed outlives every process, and a power cut may lose the last
// commits. The file gets mode 0600; a new folder is made with 0700 if only the last part of its path is missing.
// CC_EINUSE when another process has it open with this function; CC_EDAMAGED when it is no database or
// fails its own check; CC_ESYSTEM.
int cc_database_open(const char *path, struct cc_database **out);

// Closes it with all its statements. NULL is allowed.
void cc_database_close(struct cc_database *database);

// Whether the file that was opened is still at its path.
bool cc_database_in_place(const struct cc_database *database);

// From now on, statements that run at cc_now() >= deadline fail with CC_ETOTAL_TIMEOUT. 0: no deadline.
void cc_database_deadline(struct cc_database *database, double deadline);

// Runs statements that return no rows. CC_EDAMAGED, CC_ESYSTEM.
int cc_database_run(struct cc_database *database, const char *sql);

// Makes a statement, which belongs to the database. CC_EINVAL when sql is not one statement or does not fit
// the tables, CC_EDAMAGED, CC_ESYSTEM.
int cc_database_prepare(struct cc_database *database, const char *sql, struct cc_statement **out);

// Set parameter index (from 1 on) of a statement; parameters that are not set are NULL. A number without a
// fraction is an INTEGER. CC_EINVAL when there is no such parameter.
int cc_statement_number(struct cc_statement *statement, int index, double value);
int cc_statement_text(struct cc_statement *statement, int index, const char *data, uint32_t size);

// Runs a statement up to its next row: 1 when there is one, 0 at the end, CC_EDAMAGED, CC_ETOTAL_TIMEOUT or CC_ESYSTEM. After 0
// or an error it can be run again, without parameters.
int cc_statement_step(struct cc_statement *statement);

// Ends a statement before its last row.
void cc_statement_reset(struct cc_statement *statement);

// Column index (from 0 on) of the row: as a number, NULL as NaN; as text, borrowed until the next call for
// this statement.
double cc_statement_value(struct cc_statement *statement, int column);
void cc_statement_value_text(struct cc_statement *statement, int column, struct cc_slice *out);

#pragma GCC visibility pop
#endif
