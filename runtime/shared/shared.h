// SPDX-License-Identifier: Apache-2.0
// The memory that the master and its workers share: one anonymous mapping made before the first fork. It holds
// the worker slots with their reservations, and the tables of cells, limits, secrets and histograms.
//
// Processes that die: nothing here waits for another process. Every change that others rely on is one atomic
// operation, so a process killed between any two instructions leaves at worst a name entry that is claimed
// but not finished; the next process that needs room takes it back. A worker slot has one writer for each
// field: the process that runs in it for what it is doing, the master for who runs in it.
//
// Without cc_share the mapping is made at first use, without worker slots, so that tools and tests have the
// tables too.
#ifndef CC_SHARED_H
#define CC_SHARED_H
#include "api/types.h"
#include <stdalign.h>
#include <stdatomic.h>

enum {
  CC_SHARED_VERSION = 6,
  CC_WORKERS = 256,
  CC_CELLS = 65536,
  CC_LIMITS = 32768,
  CC_SECRETS = 1024,
  CC_HISTOGRAMS = 1024,
  CC_ENTRIES = 4096,      // open reservations of one worker
  CC_NAME_BYTES = 64,     // up to 63 bytes, zeros, and the size in the last byte
  CC_TEXT_BYTES = 192,    // the size, and a text of up to 191 bytes
  CC_WINDOW_SECONDS = 61, // every second that a window of 60 s can touch
  CC_WINDOW_KINDS = 3,    // requests, input tokens, output tokens
  CC_RATE_KINDS = 4,      // requests, tokens, input tokens, output tokens
  CC_SECRET_BYTES = 12 * 1024,
  CC_SECRET_COPIES = 4,  // the one that is read, and those under way
  CC_SHARED_BUCKETS = 23 // of a histogram
};

struct cc_shared_slot {
  alignas(64) _Atomic int32_t pid;
  _Atomic int32_t status;
  _Atomic double started;
  _Atomic double busy;
  _Atomic int32_t exchanges;
  _Atomic int32_t script; // a script runs, or ran when the process ended
};

// One of the two copies of a cell's text. check is a hash of the words.
struct cc_shared_text {
  _Atomic uint64_t check;
  _Atomic uint64_t words[CC_TEXT_BYTES / 8];
};

struct cc_shared_cell {
  alignas(64) _Atomic int64_t value;
  _Atomic uint64_t text_state; // see cell.c
  struct cc_shared_text text[2];
};

struct cc_shared_limit {
  alignas(64) _Atomic uint64_t latest; // see limit.c, for all of these
  _Atomic int64_t skew;
  _Atomic double configured[CC_RATE_KINDS];
  _Atomic double learned[CC_RATE_KINDS];
  _Atomic uint64_t left[CC_RATE_KINDS];
  _Atomic uint64_t window[CC_WINDOW_KINDS][CC_WINDOW_SECONDS];
};

struct cc_shared_entry {
  _Atomic uint64_t place; // see reservations.c, for both
  _Atomic uint64_t tokens;
};

// One of the copies of a secret. The checks are hashes of the head, and of head and text.
struct cc_shared_copy {
  _Atomic uint64_t owner; // see secret.c, for all of these
  _Atomic uint64_t head_check;
  _Atomic uint64_t check;
  _Atomic uint64_t words[3 + CC_SECRET_BYTES / 8]; // the head: version, expires, size; the text
};

struct cc_shared_secret {
  alignas(64) _Atomic uint64_t state;
  _Atomic uint64_t claim;
  _Atomic uint64_t trouble;
  struct cc_shared_copy copies[CC_SECRET_COPIES];
};

struct cc_shared_histogram {
  alignas(64) _Atomic uint64_t sum; // in microseconds
  _Atomic uint64_t counts[CC_SHARED_BUCKETS];
};

enum cc_shared_table { CC_TABLE_CELLS, CC_TABLE_LIMITS, CC_TABLE_SECRETS, CC_TABLE_HISTOGRAMS };

// The number of the entry with this name (1 to 63 bytes) in a table, made when new: 0 or more. CC_EINVAL for
// a bad name, CC_ELIMIT when the table is full. Numbers are given out from 0 on.
int cc_shared_named(enum cc_shared_table table, const char *name, uint32_t size);
// The same, but CC_ENOTFOUND instead of making one.
int cc_shared_known(enum cc_shared_table table, const char *name, uint32_t size);
// All numbers given out so far are below this one.
int cc_shared_names(enum cc_shared_table table);
// The name of an entry, valid as long as the mapping: CC_OK, or CC_ENOTFOUND and an empty slice.
int cc_shared_name(enum cc_shared_table table, int number, struct cc_slice *out);

// The entry of a number, or NULL when the number is out of range.
struct cc_shared_cell *cc_shared_cell(int number);
struct cc_shared_limit *cc_shared_limit(int number);
struct cc_shared_secret *cc_shared_secret(int number);
struct cc_shared_histogram *cc_shared_histogram(int number);
// The CC_ENTRIES reservations of a worker slot, or NULL when there is no such slot.
struct cc_shared_entry *cc_shared_reservations(int slot);

// Whether the process with this pid has ended. A pid that is used again has not.
bool cc_shared_is_dead(int pid);

// A random number, the same in all processes of a relay.
uint64_t cc_shared_id(void);

// A hash of words that differs from one mapping to the next.
uint64_t cc_shared_hash(const uint64_t *words, size_t count);

// Sets and returns the worker slot this process runs in; -1, as at the start, for the master and tools.
void cc_shared_this(int slot);
int cc_shared_own(void);

// Record what the process in this slot is doing. Outside a slot they do nothing.
void cc_shared_busy(double since);
void cc_shared_exchanges(int delta);
void cc_shared_script(bool runs);

// The master records that a process was started in a slot, or has ended. The end also clears what the process
// was doing, but for the script it ran.
void cc_shared_slot_started(uint32_t slot, int pid);
void cc_shared_slot_ended(uint32_t slot, int status);

// Unmaps all of it in this process. The next use begins with a new, empty mapping.
void cc_shared_close(void);
#endif
