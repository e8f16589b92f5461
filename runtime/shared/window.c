// SPDX-License-Identifier: Apache-2.0
// A word has, from the top: the lap of the ring that it serves, the ms within its second at which something was
// added last, and the amount.
#include "shared/window.h"

enum { AMOUNT_BITS = 27, MS_BITS = 10, SECONDS = CC_WINDOW_SECONDS };

static const uint64_t AMOUNT = CC_WINDOW_AMOUNT;

static uint64_t lap_of(uint64_t word) {
  return word >> (AMOUNT_BITS + MS_BITS);
}

static uint64_t second_of(uint64_t word, unsigned place) {
  return lap_of(word) * SECONDS + place;
}

static uint64_t ms_of(uint64_t word) {
  return word >> AMOUNT_BITS & ((1u << MS_BITS) - 1);
}

static uint64_t word_of(uint64_t lap, uint64_t ms, uint64_t amount) {
  return (lap << MS_BITS | ms) << AMOUNT_BITS | amount;
}

// The first ms at which a word no longer counts.
static uint64_t end_of(uint64_t word, unsigned place) {
  return second_of(word, place) * 1000 + ms_of(word) + CC_WINDOW_MS + 1;
}

uint64_t cc_window_sum(cc_window window, uint64_t now) {
  uint64_t sum = 0;
  for (unsigned place = 0; place < SECONDS; place++) {
    uint64_t word = atomic_load(&window[place]);
    if (word & AMOUNT && end_of(word, place) > now) sum += word & AMOUNT;
  }
  return sum;
}

uint64_t cc_window_held(cc_window window, uint64_t second, uint64_t *end) {
  unsigned place = (unsigned)(second % SECONDS);
  uint64_t word = atomic_load(&window[place]);
  *end = end_of(word, place);
  return second_of(word, place) == second ? word & AMOUNT : 0;
}

bool cc_window_add(cc_window window, uint64_t now, uint64_t amount) {
  uint64_t lap = now / 1000 / SECONDS, ms = now % 1000;
  _Atomic uint64_t *place = &window[now / 1000 % SECONDS];
  uint64_t before = atomic_load(place), after;
  do {
    uint64_t held = lap_of(before) == lap ? before & AMOUNT : 0;
    if (lap_of(before) > lap || held + amount > AMOUNT) return false;
    uint64_t last = lap_of(before) == lap && ms_of(before) > ms ? ms_of(before) : ms;
    after = word_of(lap, last, held + amount);
  } while (!atomic_compare_exchange_weak(place, &before, after));
  return true;
}

void cc_window_change(cc_window window, uint64_t second, double by) {
  _Atomic uint64_t *place = &window[second % SECONDS];
  uint64_t before = atomic_load(place), after;
  do {
    if (lap_of(before) != second / SECONDS) return;
    double held = (double)(before & AMOUNT) + by;
    uint64_t amount = held <= 0 ? 0 : held >= (double)AMOUNT ? AMOUNT : (uint64_t)held;
    after = (before & ~AMOUNT) | amount;
  } while (!atomic_compare_exchange_weak(place, &before, after));
}
