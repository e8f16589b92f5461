// SPDX-License-Identifier: Apache-2.0
// A table of names is an index of hashes into dense entries. An entry is claimed (its owner word holds the pid),
// named, and then published by putting its number into the first empty place of the index on the probe path of
// the name. Nothing is ever removed from the index, so two processes with the same new name meet at the same
// place: one wins, the other gives its entry back.
#include "shared/shared.h"
#include "api/crypto.h"
#include "api/process.h"
#include "api/util.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "no locks in shared memory");

enum { FREE = 0, READY = 1, CLAIM_SHIFT = 1 }; // an owner word; or pid << 1 of the claimant
enum { NUMBER_BITS = 20 };                     // an index word: hash above, number + 1 below

struct counts {
  _Atomic uint32_t names; // one above the highest published number
  _Atomic uint32_t hint;  // where to look for a free entry first
};

struct mapping {
  uint32_t version;
  uint32_t size;
  uint64_t seed;
  uint64_t id;
  _Atomic uint32_t workers;
  _Atomic uint64_t log_dropped; // lines of all processes
  struct counts counts[4];
  struct cc_shared_slot slots[CC_WORKERS];
  struct cc_shared_slot helpers[CC_HELPERS];
  _Atomic uint32_t cell_owners[CC_CELLS];
  _Atomic uint32_t limit_owners[CC_LIMITS];
  _Atomic uint32_t secret_owners[CC_SECRETS];
  _Atomic uint32_t histogram_owners[CC_HISTOGRAMS];
  _Atomic uint64_t cell_index[2 * CC_CELLS];
  _Atomic uint64_t limit_index[2 * CC_LIMITS];
  _Atomic uint64_t secret_index[2 * CC_SECRETS];
  _Atomic uint64_t histogram_index[2 * CC_HISTOGRAMS];
  uint64_t cell_names[CC_CELLS][CC_NAME_BYTES / 8];
  uint64_t limit_names[CC_LIMITS][CC_NAME_BYTES / 8];
  uint64_t secret_names[CC_SECRETS][CC_NAME_BYTES / 8];
  uint64_t histogram_names[CC_HISTOGRAMS][CC_NAME_BYTES / 8];
  struct cc_shared_cell cells[CC_CELLS];
  struct cc_shared_limit limits[CC_LIMITS];
  struct cc_shared_secret secrets[CC_SECRETS];
  struct cc_shared_histogram histograms[CC_HISTOGRAMS];
  struct cc_shared_entry reservations[CC_WORKERS][CC_ENTRIES];
};

struct table {
  uint32_t capacity;
  struct counts *counts;
  _Atomic uint32_t *owners;
  _Atomic uint64_t *index;
  uint64_t (*names)[CC_NAME_BYTES / 8];
};

static _Atomic(struct mapping *) current;
static int this_slot = -1;

static struct mapping *map(void) {
  int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
  struct mapping *made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (made == MAP_FAILED) return NULL;
  made->version = CC_SHARED_VERSION;
  made->size = sizeof *made;
  if (cc_random(&made->seed, sizeof made->seed) != CC_OK) made->seed = (uint64_t)cc_time();
  if (cc_random(&made->id, sizeof made->id) != CC_OK) made->id = (uint64_t)cc_getpid();
  return made;
}

static struct mapping *shared(void) {
  struct mapping *found = atomic_load(&current);
  if (found) return found;
  struct mapping *made = map();
  if (!made) {
    fputs("ccrelay: no shared memory\n", stderr);
    abort();
  }
  if (atomic_compare_exchange_strong(&current, &found, made)) return made;
  munmap(made, sizeof *made);
  return found;
}

int cc_share(uint32_t workers) {
  if (workers > CC_WORKERS) return CC_EINVAL;
  if (!atomic_load(&current)) {
    struct mapping *made = map(), *none = NULL;
    if (!made) return cc_fail_errno(CC_ESYSTEM, "shared memory");
    if (!atomic_compare_exchange_strong(&current, &none, made)) munmap(made, sizeof *made);
  }
  uint32_t before = 0;
  if (!atomic_compare_exchange_strong(&shared()->workers, &before, workers)) return CC_ESTATE;
  cc_log_count_in(&shared()->log_dropped);
  return CC_OK;
}

void cc_shared_close(void) {
  cc_log_count_in(NULL);
  struct mapping *old = atomic_exchange(&current, NULL);
  if (old) munmap(old, sizeof *old);
  this_slot = -1;
}

uint64_t cc_shared_id(void) {
  return shared()->id;
}

uint64_t cc_shared_hash(const uint64_t *words, size_t count) {
  uint64_t hash = shared()->seed;
  for (size_t i = 0; i < count; i++) {
    hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
  }
  return hash;
}

static struct table table_of(enum cc_shared_table which) {
  struct mapping *all = shared();
  switch (which) {
  case CC_TABLE_CELLS:
    return (struct table){CC_CELLS, &all->counts[0], all->cell_owners, all->cell_index,
                          all->cell_names};
  case CC_TABLE_LIMITS:
    return (struct table){CC_LIMITS, &all->counts[1], all->limit_owners, all->limit_index,
                          all->limit_names};
  case CC_TABLE_SECRETS:
    return (struct table){CC_SECRETS, &all->counts[2], all->secret_owners, all->secret_index,
                          all->secret_names};
  default:
    return (struct table){CC_HISTOGRAMS, &all->counts[3], all->histogram_owners,
                          all->histogram_index, all->histogram_names};
  }
}

static void finish(const struct table *table, uint32_t number) {
  if (atomic_load(&table->owners[number]) != READY) atomic_store(&table->owners[number], READY);
  uint32_t names = atomic_load(&table->counts->names);
  while (names <= number &&
         !atomic_compare_exchange_weak(&table->counts->names, &names, number + 1)) {
  }
}

static uint64_t index_word(uint64_t hash, uint32_t number) {
  return (hash >> NUMBER_BITS << NUMBER_BITS) | (number + 1);
}

// The number of a name, or -1 and the first empty place on its probe path.
static int find(const struct table *table, const uint64_t *name, uint64_t hash, uint32_t *place) {
  uint32_t mask = 2 * table->capacity - 1;
  for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
    uint64_t word = atomic_load(&table->index[at]);
    *place = at;
    if (!word) return -1;
    if ((word ^ hash) >> NUMBER_BITS) continue;
    uint32_t number = (uint32_t)(word & ((1u << NUMBER_BITS) - 1)) - 1;
    if (memcmp(table->names[number], name, CC_NAME_BYTES) == 0) return (int)number;
  }
}

static bool is_published(const struct table *table, uint32_t number) {
  const uint64_t *name = table->names[number];
  uint64_t hash = cc_shared_hash(name, CC_NAME_BYTES / 8);
  uint32_t place;
  return find(table, name, hash, &place) == (int)number;
}

bool cc_shared_is_dead(int pid) {
  return pid != getpid() && kill(pid, 0) != 0 && errno == ESRCH;
}

// Takes an entry whose claimant died before publishing it; finishes it if it was published.
static bool take_over(const struct table *table, uint32_t number, uint32_t claim) {
  uint32_t owner = atomic_load(&table->owners[number]);
  if (owner == FREE) return atomic_compare_exchange_strong(&table->owners[number], &owner, claim);
  if (owner == READY || !cc_shared_is_dead((int)(owner >> CLAIM_SHIFT))) return false;
  if (!is_published(table, number))
    return atomic_compare_exchange_strong(&table->owners[number], &owner, claim);
  finish(table, number);
  return false;
}

static int claim_entry(const struct table *table) {
  uint32_t claim = (uint32_t)getpid() << CLAIM_SHIFT;
  for (uint32_t n = atomic_load(&table->counts->hint); n < table->capacity; n++) {
    uint32_t owner = FREE;
    if (!atomic_compare_exchange_strong(&table->owners[n], &owner, claim)) continue;
    atomic_store(&table->counts->hint, n + 1);
    return (int)n;
  }
  for (uint32_t n = 0; n < table->capacity; n++)
    if (take_over(table, n, claim)) return (int)n;
  return CC_ELIMIT;
}

static void give_back(const struct table *table, uint32_t number) {
  atomic_store(&table->owners[number], FREE);
  if (atomic_load(&table->counts->hint) > number) atomic_store(&table->counts->hint, number);
}

static int insert(const struct table *table, const uint64_t *name, uint64_t hash, uint32_t place) {
  int number = claim_entry(table);
  if (number < 0) return number;
  memcpy(table->names[number], name, CC_NAME_BYTES);
  for (;;) {
    uint64_t none = 0;
    uint64_t word = index_word(hash, (uint32_t)number);
    if (atomic_compare_exchange_strong(&table->index[place], &none, word)) break;
    int other = find(table, name, hash, &place);
    if (other < 0) continue;
    give_back(table, (uint32_t)number);
    return other;
  }
  finish(table, (uint32_t)number);
  return number;
}

static bool fill_name(uint64_t *words, const char *name, uint32_t size) {
  if (size == 0 || size >= CC_NAME_BYTES) return false;
  memset(words, 0, CC_NAME_BYTES);
  memcpy(words, name, size);
  ((unsigned char *)words)[CC_NAME_BYTES - 1] = (unsigned char)size;
  return true;
}

int cc_shared_known(enum cc_shared_table which, const char *name, uint32_t size) {
  uint64_t words[CC_NAME_BYTES / 8];
  uint32_t place;
  if (!fill_name(words, name, size)) return CC_EINVAL;
  struct table table = table_of(which);
  int number = find(&table, words, cc_shared_hash(words, CC_NAME_BYTES / 8), &place);
  return number < 0 ? CC_ENOTFOUND : number;
}

int cc_shared_named(enum cc_shared_table which, const char *name, uint32_t size) {
  uint64_t words[CC_NAME_BYTES / 8];
  uint32_t place;
  if (!fill_name(words, name, size)) return CC_EINVAL;
  struct table table = table_of(which);
  uint64_t hash = cc_shared_hash(words, CC_NAME_BYTES / 8);
  int number = find(&table, words, hash, &place);
  if (number < 0) return insert(&table, words, hash, place);
  finish(&table, (uint32_t)number);
  return number;
}

int cc_shared_names(enum cc_shared_table which) {
  return (int)atomic_load(&table_of(which).counts->names);
}

int cc_shared_name(enum cc_shared_table which, int number, struct cc_slice *out) {
  struct table table = table_of(which);
  *out = cc_slice("", 0);
  if (number < 0 || (uint32_t)number >= table.capacity) return CC_ENOTFOUND;
  if (atomic_load(&table.owners[number]) != READY) return CC_ENOTFOUND;
  const char *name = (const char *)table.names[number];
  *out = cc_slice(name, (unsigned char)name[CC_NAME_BYTES - 1]);
  return CC_OK;
}

struct cc_shared_cell *cc_shared_cell(int number) {
  return number >= 0 && number < CC_CELLS ? &shared()->cells[number] : NULL;
}

struct cc_shared_limit *cc_shared_limit(int number) {
  return number >= 0 && number < CC_LIMITS ? &shared()->limits[number] : NULL;
}

struct cc_shared_secret *cc_shared_secret(int number) {
  return number >= 0 && number < CC_SECRETS ? &shared()->secrets[number] : NULL;
}

struct cc_shared_histogram *cc_shared_histogram(int number) {
  return number >= 0 && number < CC_HISTOGRAMS ? &shared()->histograms[number] : NULL;
}

static bool is_worker(uint32_t slot) {
  return slot < atomic_load(&shared()->workers);
}

static struct cc_shared_slot *slot_at(uint32_t slot) {
  if (is_worker(slot)) return &shared()->slots[slot];
  uint32_t helper = slot - CC_HELPER_SLOT; // of other slots it is too large
  return helper < CC_HELPERS ? &shared()->helpers[helper] : NULL;
}

struct cc_shared_entry *cc_shared_reservations(int slot) {
  return is_worker((uint32_t)slot) ? shared()->reservations[slot] : NULL;
}

void cc_shared_this(int slot) {
  this_slot = slot;
  cc_shared_script(false);
}

int cc_shared_own(void) {
  return this_slot;
}

void cc_shared_busy(double since) {
  struct cc_shared_slot *own = slot_at((uint32_t)this_slot);
  if (own) atomic_store(&own->busy, since);
}

void cc_shared_exchanges(int delta) {
  struct cc_shared_slot *own = slot_at((uint32_t)this_slot);
  if (own) atomic_fetch_add(&own->exchanges, delta);
}

void cc_shared_script(bool runs) {
  struct cc_shared_slot *own = slot_at((uint32_t)this_slot);
  if (own) atomic_store_explicit(&own->script, runs, memory_order_relaxed);
}

void cc_shared_slot_started(uint32_t number, int pid) {
  struct cc_shared_slot *slot = slot_at(number);
  if (!slot) return;
  atomic_store(&slot->started, cc_time());
  atomic_store(&slot->pid, pid);
}

void cc_shared_slot_ended(uint32_t number, int status) {
  struct cc_shared_slot *slot = slot_at(number);
  if (!slot) return;
  atomic_store(&slot->pid, 0);
  atomic_store(&slot->status, status);
  atomic_store(&slot->busy, 0);
  atomic_store(&slot->exchanges, 0);
}

int cc_worker(uint32_t number, struct cc_worker *out) {
  struct cc_shared_slot *slot = slot_at(number);
  *out = (struct cc_worker){0};
  if (!slot) return CC_ENOTFOUND;
  out->pid = atomic_load(&slot->pid);
  out->status = atomic_load(&slot->status);
  out->started = atomic_load(&slot->started);
  out->busy = atomic_load(&slot->busy);
  out->exchanges = atomic_load(&slot->exchanges);
  out->script = atomic_load(&slot->script);
  return CC_OK;
}

double cc_worker_cpu(uint32_t number) {
  struct cc_shared_slot *slot = slot_at(number);
  int pid = slot ? atomic_load(&slot->pid) : 0;
  clockid_t its;
  struct timespec time;
  if (pid <= 0 || clock_getcpuclockid(pid, &its) || clock_gettime(its, &time)) return -1;
  return (double)time.tv_sec * 1000 + (double)time.tv_nsec / 1e6;
}

int cc_kill(uint32_t number, int signal_number) {
  struct cc_shared_slot *slot = slot_at(number);
  int pid = slot ? atomic_load(&slot->pid) : 0;
  if (pid <= 0) return CC_ENOTFOUND;
  if (kill(pid, signal_number) == 0) return CC_OK;
  if (errno == ESRCH) return CC_ENOTFOUND;
  return cc_fail_errno(errno == EINVAL ? CC_EINVAL : CC_ESYSTEM, "kill");
}
