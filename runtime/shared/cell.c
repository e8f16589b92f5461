// SPDX-License-Identifier: Apache-2.0
#include "shared/cell.h"
#include "api/error.h"
#include "shared/shared.h"
#include <sched.h>
#include <string.h>

enum { WORDS = CC_TEXT_BYTES / 8, READS = 64, PATIENCE = 64 };

// The state of a text: version (32 bits), claims (31 bits), busy (1 bit).
static const uint64_t BUSY = 1;
static const uint64_t CLAIMS = UINT64_C(0xfffffffe);
static const uint64_t VERSION = UINT64_C(0xffffffff) << 32;
static const uint64_t NEXT_VERSION = UINT64_C(1) << 32;

static const double WHOLE = 9007199254740992.0; // 2^53

static int64_t whole(double value) {
  if (value != value) return 0;
  if (value > WHOLE) value = WHOLE;
  if (value < -WHOLE) value = -WHOLE;
  return (int64_t)value;
}

// Cells of policies fill at most half of the table, so that there is room for the relay's own.
static bool is_out_of_room(const char *name, uint32_t size) {
  static const char prefix[] = "policy:";
  if (size < sizeof prefix - 1 || memcmp(name, prefix, sizeof prefix - 1) != 0) return false;
  return cc_shared_names(CC_TABLE_CELLS) >= CC_CELLS / 2;
}

int cc_cell(const char *name, uint32_t size) {
  if (!is_out_of_room(name, size)) return cc_shared_named(CC_TABLE_CELLS, name, size);
  int number = cc_shared_known(CC_TABLE_CELLS, name, size);
  return number == CC_ENOTFOUND ? CC_ELIMIT : number;
}

int cc_cells(void) {
  return cc_shared_names(CC_TABLE_CELLS);
}

int cc_cell_name(int number, struct cc_slice *out) {
  return cc_shared_name(CC_TABLE_CELLS, number, out);
}

double cc_cell_get(int number) {
  struct cc_shared_cell *cell = cc_shared_cell(number);
  return cell ? (double)atomic_load(&cell->value) : 0;
}

void cc_cell_set(int number, double value) {
  struct cc_shared_cell *cell = cc_shared_cell(number);
  if (cell) atomic_store(&cell->value, whole(value));
}

double cc_cell_add(int number, double value) {
  struct cc_shared_cell *cell = cc_shared_cell(number);
  if (!cell) return 0;
  int64_t before = atomic_load(&cell->value), after;
  do
    after = whole((double)(before + whole(value)));
  while (!atomic_compare_exchange_weak(&cell->value, &before, after));
  return (double)after;
}

bool cc_cell_swap(int number, double expected, double desired) {
  struct cc_shared_cell *cell = cc_shared_cell(number);
  int64_t before = whole(expected);
  if (!cell || (double)before != expected) return false;
  return atomic_compare_exchange_strong(&cell->value, &before, whole(desired));
}

static bool read_copy(struct cc_shared_text *text, uint64_t *words) {
  uint64_t check = atomic_load_explicit(&text->check, memory_order_acquire);
  for (int i = 0; i < WORDS; i++)
    words[i] = atomic_load_explicit(&text->words[i], memory_order_acquire);
  return cc_shared_hash(words, WORDS) == check;
}

static void write_copy(struct cc_shared_text *text, const uint64_t *words) {
  atomic_store_explicit(&text->check, cc_shared_hash(words, WORDS), memory_order_release);
  for (int i = 0; i < WORDS; i++)
    atomic_store_explicit(&text->words[i], words[i], memory_order_release);
}

int cc_cell_text(int number, char *out, uint32_t capacity) {
  struct cc_shared_cell *cell = cc_shared_cell(number);
  if (!cell) return 0;
  uint64_t words[WORDS];
  for (int i = 0; i < READS; i++) {
    uint64_t state = atomic_load(&cell->text_state);
    if (!(state & VERSION)) return 0;
    bool sound = read_copy(&cell->text[state / NEXT_VERSION & 1], words);
    if (!sound || (atomic_load(&cell->text_state) ^ state) & VERSION) continue;
    uint32_t size = *(unsigned char *)words;
    if (size > capacity) size = capacity;
    memcpy(out, (char *)words + 1, size);
    return (int)size;
  }
  return 0;
}

static uint64_t claim(struct cc_shared_cell *cell) {
  uint64_t state = atomic_load(&cell->text_state);
  for (int waited = 0;;) {
    if (state & BUSY && waited++ < PATIENCE) {
      sched_yield();
      state = atomic_load(&cell->text_state);
      continue;
    }
    uint64_t mine = (state & VERSION) | ((state + 2) & CLAIMS) | BUSY;
    if (atomic_compare_exchange_strong(&cell->text_state, &state, mine)) return mine;
  }
}

// Where to cut a text that is too long, not within a UTF-8 character.
static uint32_t cut(const char *text, uint32_t size) {
  if (size < CC_TEXT_BYTES) return size;
  uint32_t end = CC_TEXT_BYTES - 1;
  for (uint32_t back = 0; back < 4; back++)
    if (((unsigned char)text[end - back] & 0xc0) != 0x80) return end - back;
  return end;
}

void cc_cell_write(int number, const char *text, uint32_t size) {
  struct cc_shared_cell *cell = cc_shared_cell(number);
  if (!cell) return;
  uint64_t words[WORDS] = {0};
  size = cut(text, size);
  *(unsigned char *)words = (unsigned char)size;
  if (size) memcpy((char *)words + 1, text, size);
  uint64_t state = claim(cell);
  write_copy(&cell->text[(state / NEXT_VERSION + 1) & 1], words);
  uint64_t done = (state + NEXT_VERSION) & ~BUSY;
  atomic_compare_exchange_strong(&cell->text_state, &state, done);
}
