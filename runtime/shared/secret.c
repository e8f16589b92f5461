// SPDX-License-Identifier: Apache-2.0
#include "shared/secret.h"
#include "api/error.h"
#include "api/util.h"
#include "base/buffer.h"
#include "shared/shared.h"
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum { HEAD = 3, WORDS = HEAD + CC_SECRET_BYTES / 8, READS = 256, PATIENCE = 256 };
enum { COPY_LEASE_MS = 600 * 1000 };

// The state: version (32 bits), void (1 bit), the copy (8 bits).
static const uint64_t VOID = 1 << 8;
static const uint64_t COPY = 0xff;
enum { VERSION_SHIFT = 32 };

// A lease: its end in ms (39 bits), the pid (24 bits). The owner word of a copy is FREE, a lease, or
// PUBLISHED with the version, so that it is never the same twice.
enum { PID_BITS = 24 };
static const uint64_t PID = (1 << PID_BITS) - 1;
static const double TIME_LIMIT = 549755813887.0; // 2^39 - 1
static const uint64_t FREE = 0;
static const uint64_t PUBLISHED = UINT64_C(1) << 63;

// Trouble: retry in ms (42 bits), failures (10 bits), the version's lower 12 bits.
enum { RETRY_SHIFT = 22, FAILURES_SHIFT = 12, FAILURES_LIMIT = 1023, STAMP = 0xfff };
static const double RETRY_LIMIT = 4398046511103.0; // 2^42 - 1

struct text { // what a copy holds
  uint64_t words[WORDS];
};

int cc_secret(const char *name, uint32_t size) {
  return cc_shared_named(CC_TABLE_SECRETS, name, size);
}

static uint64_t bounded(double value, double limit) {
  if (!(value > 0)) return 0;
  return (uint64_t)(value < limit ? value : limit);
}

static uint64_t bits_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static double double_of(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t version_of(uint64_t state) {
  return (uint32_t)(state >> VERSION_SHIFT);
}

// ---- Leases ------------------------------------------------------------------------------------

static uint64_t lease(double now, double lease_ms) {
  uint64_t end = bounded(now + lease_ms, TIME_LIMIT);
  return end << PID_BITS | ((uint64_t)getpid() & PID);
}

static bool is_mine(uint64_t word) {
  return (word & PID) == ((uint64_t)getpid() & PID);
}

static bool is_over(uint64_t word, double now) {
  return (double)(word >> PID_BITS) <= now || cc_shared_is_dead((int)(word & PID));
}

bool cc_secret_claim(int number, double now, double lease_ms) {
  struct cc_shared_secret *secret = cc_shared_secret(number);
  if (!secret || !(lease_ms > 0)) return false;
  uint64_t before = atomic_load(&secret->claim);
  if (before && !is_over(before, now)) return false;
  return atomic_compare_exchange_strong(&secret->claim, &before, lease(now, lease_ms));
}

static void end_claim(struct cc_shared_secret *secret) {
  uint64_t claim = atomic_load(&secret->claim);
  if (is_mine(claim)) atomic_compare_exchange_strong(&secret->claim, &claim, 0);
}

// ---- Reading -----------------------------------------------------------------------------------

static void load(struct cc_shared_copy *copy, uint64_t *words, size_t from, size_t to) {
  for (size_t i = from; i < to; i++)
    words[i] = atomic_load_explicit(&copy->words[i], memory_order_acquire);
}

static size_t words_of(uint64_t size) {
  return HEAD + (size_t)(size + 7) / 8;
}

// The head of the copy that state names, if it is still of that version.
static bool load_head(struct cc_shared_secret *secret, uint64_t state, uint64_t *head) {
  struct cc_shared_copy *copy = &secret->copies[(state & COPY) % CC_SECRET_COPIES];
  uint64_t check = atomic_load_explicit(&copy->head_check, memory_order_acquire);
  load(copy, head, 0, HEAD);
  return cc_shared_hash(head, HEAD) == check && head[0] == version_of(state) &&
         head[2] <= CC_SECRET_BYTES;
}

// False when another process wrote meanwhile, or the copy is damaged.
static bool load_text(struct cc_shared_secret *secret, uint64_t state, struct text *text) {
  struct cc_shared_copy *copy = &secret->copies[(state & COPY) % CC_SECRET_COPIES];
  if (!load_head(secret, state, text->words)) return false;
  uint64_t check = atomic_load_explicit(&copy->check, memory_order_acquire);
  size_t count = words_of(text->words[2]);
  load(copy, text->words, HEAD, count);
  return cc_shared_hash(text->words, count) == check;
}

static double expiry(struct cc_shared_secret *secret, uint64_t state, uint32_t *size) {
  uint64_t head[HEAD];
  if (!version_of(state) || state & VOID || !load_head(secret, state, head)) return 0;
  *size = (uint32_t)head[2];
  return double_of(head[1]);
}

int cc_secret_look(int number, struct cc_secret *out) {
  struct cc_shared_secret *secret = cc_shared_secret(number);
  *out = (struct cc_secret){0};
  if (!secret) return CC_ENOTFOUND;
  for (int i = 0; i < READS; i++) {
    uint64_t state = atomic_load(&secret->state);
    out->version = version_of(state);
    out->expires = expiry(secret, state, &out->size);
    if (out->expires > 0 || atomic_load(&secret->state) == state) break;
  }
  uint64_t trouble = atomic_load(&secret->trouble), claim = atomic_load(&secret->claim);
  if ((trouble & STAMP) == (out->version & STAMP)) {
    out->retry = (double)(trouble >> RETRY_SHIFT);
    out->failures = (uint32_t)(trouble >> FAILURES_SHIFT) & FAILURES_LIMIT;
  }
  out->claimed = claim && !is_over(claim, cc_now());
  return CC_OK;
}

static int hand_out(const struct text *text, char *out, uint32_t capacity, uint32_t *version) {
  uint32_t size = (uint32_t)text->words[2];
  *version = (uint32_t)text->words[0];
  if (size > capacity) return CC_ELIMIT;
  if (size) memcpy(out, text->words + HEAD, size);
  return (int)size;
}

int cc_secret_read(int number, char *out, uint32_t capacity, uint32_t *version) {
  struct cc_shared_secret *secret = cc_shared_secret(number);
  int status = CC_ENOTFOUND;
  struct text text;
  *version = 0;
  for (int i = 0; secret && i < READS; i++) {
    uint64_t state = atomic_load(&secret->state);
    if (!version_of(state) || state & VOID) break;
    bool sound = load_text(secret, state, &text);
    if (sound) status = hand_out(&text, out, capacity, version);
    if (sound || atomic_load(&secret->state) == state) break;
  }
  cc_wipe(&text, sizeof text);
  return status;
}

// ---- Writing -----------------------------------------------------------------------------------

// Wipes all of it, unless its size is known: a published copy is whole.
static void wipe(struct cc_shared_copy *copy, bool published) {
  uint64_t size = atomic_load(&copy->words[2]);
  size_t count = published && size < CC_SECRET_BYTES ? words_of(size) : WORDS;
  for (size_t i = 0; i < count; i++)
    if (atomic_load_explicit(&copy->words[i], memory_order_relaxed))
      atomic_store_explicit(&copy->words[i], 0, memory_order_release);
}

// Whether the copy may be taken from its owner. The state is read last: see secret.h.
static bool is_left(struct cc_shared_secret *secret, int index, uint64_t owner, double now) {
  if (owner == FREE) return true;
  if (!(owner & PUBLISHED) && !is_over(owner, now)) return false;
  uint64_t state = atomic_load(&secret->state);
  return !version_of(state) || (int)(state & COPY) != index;
}

// A free copy is blank, so one that was just taken is blank too.
static bool take(struct cc_shared_secret *secret, int index, uint64_t mine, double now) {
  struct cc_shared_copy *copy = &secret->copies[index];
  uint64_t before = atomic_load(&copy->owner);
  if (!is_left(secret, index, before, now)) return false;
  if (!atomic_compare_exchange_strong(&copy->owner, &before, mine)) return false;
  if (before != FREE) wipe(copy, before & PUBLISHED);
  return true;
}

static int take_any(struct cc_shared_secret *secret, uint64_t mine, double now) {
  for (int waited = 0; waited < PATIENCE; waited++) {
    for (int index = 0; index < CC_SECRET_COPIES; index++)
      if (take(secret, index, mine, now)) return index;
    sched_yield();
  }
  return CC_ESTATE;
}

static void retire(struct cc_shared_secret *secret, int index, uint64_t mine, double now) {
  uint64_t before = atomic_load(&secret->copies[index].owner);
  if (!(before & PUBLISHED) || !take(secret, index, mine, now)) return;
  atomic_compare_exchange_strong(&secret->copies[index].owner, &mine, FREE);
}

static void store(struct cc_shared_copy *copy, const uint64_t *words, size_t from, size_t to) {
  for (size_t i = from; i < to; i++)
    atomic_store_explicit(&copy->words[i], words[i], memory_order_release);
}

// Publishes the text as the next version; the copy holds all but its head. Returns the state that was
// replaced.
static uint64_t publish(struct cc_shared_secret *secret, int index, struct text *text) {
  struct cc_shared_copy *copy = &secret->copies[index];
  uint64_t before = atomic_load(&secret->state), after;
  do {
    uint32_t version = version_of(before) + 1;
    text->words[0] = version ? version : 1;
    store(copy, text->words, 0, HEAD);
    atomic_store(&copy->head_check, cc_shared_hash(text->words, HEAD));
    atomic_store(&copy->check, cc_shared_hash(text->words, words_of(text->words[2])));
    after = text->words[0] << VERSION_SHIFT | (uint64_t)index;
  } while (!atomic_compare_exchange_strong(&secret->state, &before, after));
  return before;
}

int cc_secret_write(int number, const char *data, uint32_t size, double expires) {
  struct cc_shared_secret *secret = cc_shared_secret(number);
  if (!secret) return CC_ENOTFOUND;
  if (size > CC_SECRET_BYTES) return CC_ELIMIT;
  if (!(expires > 0)) return CC_EINVAL;
  double now = cc_now();
  uint64_t mine = lease(now, COPY_LEASE_MS);
  int index = take_any(secret, mine, now);
  if (index < 0) return index;
  struct text text;
  text.words[1] = bits_of(expires);
  text.words[2] = size;
  if (size) text.words[words_of(size) - 1] = 0; // behind its end
  if (size) memcpy(text.words + HEAD, data, size);
  store(&secret->copies[index], text.words, HEAD, words_of(size));
  uint64_t before = publish(secret, index, &text), own = mine;
  uint64_t published = PUBLISHED | text.words[0];
  atomic_compare_exchange_strong(&secret->copies[index].owner, &own, published);
  cc_wipe(&text, words_of(size) * sizeof *text.words);
  retire(secret, index, mine, now); // another text may have been published already
  if (version_of(before)) retire(secret, (int)(before & COPY), mine, now);
  end_claim(secret);
  return CC_OK;
}

// ---- Failures ----------------------------------------------------------------------------------

void cc_secret_fail(int number, double retry) {
  struct cc_shared_secret *secret = cc_shared_secret(number);
  if (!secret || !is_mine(atomic_load(&secret->claim))) return;
  uint64_t stamp = version_of(atomic_load(&secret->state)) & STAMP;
  uint64_t before = atomic_load(&secret->trouble), after;
  do {
    uint64_t failures = 0;
    if ((before & STAMP) == stamp) failures = before >> FAILURES_SHIFT & FAILURES_LIMIT;
    if (failures < FAILURES_LIMIT) failures++;
    after = bounded(retry, RETRY_LIMIT) << RETRY_SHIFT | failures << FAILURES_SHIFT | stamp;
  } while (!atomic_compare_exchange_strong(&secret->trouble, &before, after));
  end_claim(secret);
}

void cc_secret_void(int number, uint32_t version) {
  struct cc_shared_secret *secret = cc_shared_secret(number);
  if (!secret) return;
  uint64_t state = atomic_load(&secret->state);
  while (version && version_of(state) == version && !(state & VOID) &&
         !atomic_compare_exchange_strong(&secret->state, &state, state | VOID)) {
  }
}
