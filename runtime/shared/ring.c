// SPDX-License-Identifier: Apache-2.0
#include "shared/ring.h"
#include "api/error.h"
#include "base/error.h"
#include "shared/shared.h"
#include <stdalign.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert(sizeof(struct cc_record) % 8 == 0, "a record is made of whole words");
_Static_assert(sizeof(struct cc_ring_slot) == CC_RECORD_SLOT_BYTES, "the size that is documented");
_Static_assert(offsetof(struct cc_record, candidate) % 8 == 0 &&
                   sizeof(struct cc_record_candidate) % 8 == 0 &&
                   offsetof(struct cc_record, attempt) % 8 == 0 &&
                   sizeof(struct cc_record_attempt) % 8 == 0,
               "lists begin and end at words");

// The exchanges under way in one worker. Only that worker writes it.
struct open_list {
  alignas(64) _Atomic uint64_t published; // round << 16 | count
  struct cc_ring_slot slots[CC_RECORDS_OPEN];
};

struct mapping {
  size_t size;
  uint32_t count;
  uint32_t workers;
  alignas(64) _Atomic uint64_t next;
  alignas(64) struct cc_ring_slot slots[]; // the records, then a list for each worker
};

enum { COUNT_BITS = 16 };

static struct mapping *ring;

static uint64_t writing(uint64_t number) {
  return 2 * number + 1;
}

static uint64_t complete(uint64_t number) {
  return 2 * number + 2;
}

int cc_records_make(uint32_t count, uint32_t workers) {
  if (count > CC_RECORDS_MOST || workers > CC_RECORD_WORKERS) return CC_EINVAL;
  if (ring) return CC_ESTATE;
  if (count == 0) return CC_OK;
  size_t size = sizeof *ring + count * sizeof ring->slots[0] + workers * sizeof(struct open_list);
  int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
  struct mapping *made = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (made == MAP_FAILED) return cc_fail_errno(CC_ESYSTEM, "memory for recent exchanges");
  made->size = size;
  made->count = count;
  made->workers = workers;
  ring = made;
  return CC_OK;
}

void cc_ring_close(void) {
  if (ring) munmap(ring, ring->size);
  ring = NULL;
}

uint32_t cc_records_kept(void) {
  return ring ? ring->count : 0;
}

double cc_records_next(void) {
  return ring ? (double)atomic_load(&ring->next) : 0;
}

struct cc_ring_slot *cc_ring_slot(uint64_t number) {
  return ring ? &ring->slots[number % ring->count] : NULL;
}

// ---- Slots --------------------------------------------------------------------------------------

// The words of a slot that were copied so far, and their checksum (Fletcher's, RFC 1146). The used parts of a record
// stand one behind the other in its slot, so that few cache lines are written.
struct copied {
  size_t count;
  uint64_t low, high;
};

static void add(struct copied *so_far, uint64_t word) {
  so_far->count++;
  so_far->low += word;
  so_far->high += so_far->low;
}

// Store or load the words of a record from first to before end.
static void store_words(struct cc_ring_slot *slot, const struct cc_record *from, size_t first,
                        size_t end, struct copied *so_far) {
  for (size_t i = first; i < end; i++) {
    uint64_t word;
    memcpy(&word, (const char *)from + 8 * i, 8);
    atomic_store_explicit(&slot->words[so_far->count], word, memory_order_release);
    add(so_far, word);
  }
}

static void load_words(struct cc_ring_slot *slot, struct cc_record *to, size_t first, size_t end,
                       struct copied *so_far) {
  for (size_t i = first; i < end; i++) {
    uint64_t word = atomic_load_explicit(&slot->words[so_far->count], memory_order_acquire);
    memcpy((char *)to + 8 * i, &word, 8);
    add(so_far, word);
  }
}

static uint64_t check_of(const struct copied *all, uint64_t mark) {
  return all->low ^ all->high * UINT64_C(0x9e3779b97f4a7c15) ^ mark;
}

enum {
  CANDIDATES = offsetof(struct cc_record, candidate) / 8,
  CANDIDATE = sizeof(struct cc_record_candidate) / 8,
  ATTEMPTS = offsetof(struct cc_record, attempt) / 8,
  ATTEMPT = sizeof(struct cc_record_attempt) / 8,
  TEXT = offsetof(struct cc_record, text)
};

_Static_assert(offsetof(struct cc_record, attempts) < TEXT / 8 * 8, "the sizes are read first");

static size_t text_end(const struct cc_record *record) {
  size_t size = record->text_bytes;
  return (TEXT + (size < CC_RECORD_TEXT_BYTES ? size : CC_RECORD_TEXT_BYTES) + 7) / 8;
}

static size_t candidates_end(const struct cc_record *record) {
  size_t count = record->candidates;
  return CANDIDATES + CANDIDATE * (count < CC_RECORD_CANDIDATES ? count : CC_RECORD_CANDIDATES);
}

static size_t attempts_end(const struct cc_record *record) {
  size_t count = record->attempts;
  return ATTEMPTS + ATTEMPT * (count < CC_RECORD_ATTEMPTS ? count : CC_RECORD_ATTEMPTS);
}

static void store(struct cc_ring_slot *slot, const struct cc_record *record, uint64_t number) {
  struct copied all = {0};
  store_words(slot, record, 0, text_end(record), &all);
  store_words(slot, record, CANDIDATES, candidates_end(record), &all);
  store_words(slot, record, ATTEMPTS, attempts_end(record), &all);
  uint64_t check = check_of(&all, complete(number));
  atomic_store_explicit(&slot->check, check, memory_order_release);
}

// Marks a slot as being written, unless a newer record is in it.
static bool claim(struct cc_ring_slot *slot, uint64_t number) {
  uint64_t mark = atomic_load(&slot->mark);
  while (mark < writing(number))
    if (atomic_compare_exchange_weak(&slot->mark, &mark, writing(number))) return true;
  return false;
}

static void write_slot(struct cc_ring_slot *slot, const struct cc_record *record, uint64_t number) {
  if (!claim(slot, number)) return;
  store(slot, record, number);
  uint64_t mark = writing(number);
  atomic_compare_exchange_strong(&slot->mark, &mark, complete(number));
}

// Whether the copied record is whole.
static bool load(struct cc_ring_slot *slot, struct cc_record *out, uint64_t number) {
  struct copied all = {0};
  load_words(slot, out, 0, TEXT / 8, &all); // with the sizes of the rest
  load_words(slot, out, TEXT / 8, text_end(out), &all);
  load_words(slot, out, CANDIDATES, candidates_end(out), &all);
  load_words(slot, out, ATTEMPTS, attempts_end(out), &all);
  uint64_t check = atomic_load_explicit(&slot->check, memory_order_acquire);
  return check_of(&all, complete(number)) == check;
}

static int read_slot(struct cc_ring_slot *slot, struct cc_record *out, uint64_t number) {
  uint64_t mark = atomic_load(&slot->mark);
  if (mark < complete(number)) return CC_ESTATE;
  if (mark > complete(number)) return CC_ENOTFOUND;
  bool whole = load(slot, out, number);
  return whole && atomic_load(&slot->mark) == mark ? CC_OK : CC_ENOTFOUND;
}

// ---- Records ------------------------------------------------------------------------------------

void cc_record_write(struct cc_record *record) {
  if (!ring) return;
  uint64_t number = atomic_fetch_add(&ring->next, 1);
  record->number = (double)number;
  record->worker = (int16_t)cc_shared_own();
  write_slot(cc_ring_slot(number), record, number);
}

int cc_record_read(double number, struct cc_record *out) {
  uint64_t next = ring ? atomic_load(&ring->next) : 0;
  if (!(number >= 0) || !(number < (double)next)) return CC_ENOTFOUND;
  uint64_t wanted = (uint64_t)number;
  return read_slot(cc_ring_slot(wanted), out, wanted);
}

// ---- Exchanges under way ------------------------------------------------------------------------

static struct open_list *list_of(uint32_t worker) {
  if (!ring || worker >= ring->workers) return NULL;
  return (struct open_list *)&ring->slots[ring->count] + worker;
}

static uint64_t round_of(uint64_t published) {
  return published >> COUNT_BITS;
}

static struct open_list *own_list(void) {
  int own = cc_shared_own();
  return own < 0 ? NULL : list_of((uint32_t)own);
}

void cc_open_write(uint32_t index, struct cc_record *record) {
  struct open_list *list = own_list();
  if (!list || index >= CC_RECORDS_OPEN) return;
  record->worker = (int16_t)cc_shared_own();
  uint64_t round = round_of(atomic_load(&list->published)) + 1;
  struct cc_ring_slot *slot = &list->slots[index];
  atomic_store(&slot->mark, writing(round));
  store(slot, record, round);
  atomic_store(&slot->mark, complete(round));
}

void cc_open_publish(uint32_t count) {
  struct open_list *list = own_list();
  if (!list) return;
  if (count > CC_RECORDS_OPEN) count = CC_RECORDS_OPEN;
  uint64_t round = round_of(atomic_load(&list->published)) + 1;
  atomic_store(&list->published, round << COUNT_BITS | count);
}

uint32_t cc_open_count(uint32_t worker) {
  struct open_list *list = list_of(worker);
  return list ? (uint32_t)(atomic_load(&list->published) & ((1u << COUNT_BITS) - 1)) : 0;
}

int cc_open_read(uint32_t worker, uint32_t index, struct cc_record *out) {
  struct open_list *list = list_of(worker);
  if (!list || index >= CC_RECORDS_OPEN) return CC_ENOTFOUND;
  int code = read_slot(&list->slots[index], out, round_of(atomic_load(&list->published)));
  return code == CC_OK ? CC_OK : CC_ENOTFOUND;
}
