// SPDX-License-Identifier: Apache-2.0
// Clocks, this process, versions.
#ifndef CC_API_UTIL_H
#define CC_API_UTIL_H
#include "api/types.h"
#pragma GCC visibility push(default)

// Milliseconds: of a clock that never jumps, and since 1970-01-01 00:00 UTC.
double cc_now(void);
double cc_time(void);

// Frees what a function allocated for its caller. NULL is allowed.
void cc_free(void *memory);

// Sets the name of this process that ps shows, and forbids core dumps, which would hold secrets.
void cc_process(const char *title);

int cc_getpid(void);
int cc_cpus(void);       // that this process may use
uint32_t cc_user(void);  // effective user
uint32_t cc_group(void); // effective group
bool cc_terminal(int fd);

// The version of ccrelay ("0.1.0"), those of the libraries in use ("libuv 1.44.2, llhttp 8.1.0, ..."),
// and the text of these headers. Static texts.
const char *cc_version(void);
const char *cc_libraries(void);
const char *cc_relay_header(void);

#pragma GCC visibility pop
#endif
