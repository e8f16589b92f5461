// SPDX-License-Identifier: Apache-2.0
#include "shared/remainder.h"

bool cc_remainder_in_force(uint64_t word, uint64_t now) {
  return (word >> 32) * 1000 > now;
}

bool cc_remainder_take(_Atomic uint64_t *word, uint64_t now, uint64_t amount, uint32_t *reset) {
  uint64_t before = atomic_load(word);
  *reset = 0;
  do {
    if (!cc_remainder_in_force(before, now)) return true;
    if ((uint32_t)before < amount) return false;
  } while (!atomic_compare_exchange_weak(word, &before, before - amount));
  *reset = (uint32_t)(before >> 32);
  return true;
}

static bool is_same_reset(uint64_t one, uint64_t other) {
  return one <= other + 1 && other <= one + 1;
}

static uint64_t sum_within(uint64_t word, double by) {
  double sum = (double)(uint32_t)word + by;
  return sum <= 0 ? 0 : sum >= (double)UINT32_MAX ? UINT32_MAX : (uint64_t)sum;
}

void cc_remainder_change(_Atomic uint64_t *word, uint32_t reset, double by) {
  uint64_t before = atomic_load(word);
  do {
    if (!reset || !is_same_reset(before >> 32, reset)) return;
  } while (
      !atomic_compare_exchange_weak(word, &before, (before >> 32) << 32 | sum_within(before, by)));
}

void cc_remainder_learn(_Atomic uint64_t *word, uint64_t now, uint64_t reset, double remaining,
                        uint32_t taken_reset, double taken) {
  uint64_t second = (reset + 999) / 1000, before = atomic_load(word), after;
  uint64_t some = remaining >= UINT32_MAX ? UINT32_MAX : (uint64_t)remaining;
  do {
    uint64_t known = before >> 32;
    bool takes = taken_reset && is_same_reset(known, taken_reset);
    uint64_t held = sum_within(before, takes ? taken : 0);
    after = second << 32 | some;
    if (!cc_remainder_in_force(before, now)) continue;
    if (known > second + 1 && held <= some) after = known << 32 | held;
    if (!is_same_reset(known, second)) continue;
    after = (known > second ? known : second) << 32 | (held < some ? held : some);
  } while (!atomic_compare_exchange_weak(word, &before, after));
}
