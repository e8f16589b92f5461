// SPDX-License-Identifier: Apache-2.0
#include "shared/reservations.h"
#include "shared/shared.h"

enum { TOKEN_BITS = 27, TRIES = 64 };

static const uint64_t SENT = UINT64_C(1) << 63;
static const uint64_t TOKENS = (UINT64_C(1) << TOKEN_BITS) - 1;

static uint32_t next; // where to look for a free entry first

static uint64_t place_of(const struct cc_reservation *reservation) {
  return ((uint64_t)reservation->limit + 1) << 32 | reservation->second;
}

static bool is_free(uint64_t place, uint32_t now) {
  return !place || (uint32_t)place + CC_WINDOW_SECONDS < now;
}

uint32_t cc_reservations_add(const struct cc_reservation *reservation) {
  struct cc_shared_entry *entries = cc_shared_reservations(cc_shared_own());
  for (int i = 0; entries && i < TRIES; i++) {
    uint32_t at = next++ % CC_ENTRIES;
    if (!is_free(atomic_load(&entries[at].place), reservation->second)) continue;
    atomic_store(&entries[at].place, 0);
    atomic_store(&entries[at].tokens, (uint64_t)reservation->input_tokens << TOKEN_BITS |
                                          (uint64_t)reservation->output_tokens);
    atomic_store(&entries[at].place, place_of(reservation));
    return at + 1;
  }
  return 0;
}

static struct cc_shared_entry *find(uint32_t entry) {
  struct cc_shared_entry *entries = cc_shared_reservations(cc_shared_own());
  return entries && entry > 0 && entry <= CC_ENTRIES ? &entries[entry - 1] : NULL;
}

void cc_reservations_remove(const struct cc_reservation *reservation) {
  struct cc_shared_entry *entry = find(reservation->entry);
  if (entry && atomic_load(&entry->place) == place_of(reservation)) atomic_store(&entry->place, 0);
}

void cc_reservations_sent(uint32_t number) {
  struct cc_shared_entry *entry = find(number);
  if (entry) atomic_fetch_or(&entry->tokens, SENT);
}

bool cc_reservations_take(uint32_t slot, uint32_t *at, struct cc_reservation *reservation) {
  struct cc_shared_entry *entries = cc_shared_reservations((int)slot);
  while (entries && *at < CC_ENTRIES) {
    struct cc_shared_entry *entry = &entries[(*at)++];
    uint64_t place = atomic_exchange(&entry->place, 0);
    uint64_t tokens = atomic_load(&entry->tokens);
    if (!place || tokens & SENT) continue;
    *reservation = (struct cc_reservation){.limit = (int32_t)(place >> 32) - 1,
                                           .second = (uint32_t)place,
                                           .requests = 1,
                                           .input_tokens = (double)(tokens >> TOKEN_BITS & TOKENS),
                                           .output_tokens = (double)(tokens & TOKENS)};
    return true;
  }
  return false;
}
