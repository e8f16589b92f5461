// SPDX-License-Identifier: Apache-2.0
// What a provider has said remains of a rate until its reset: the second of the reset above, the amount
// below, in one word that all processes share. A word whose reset has passed, or 0, says nothing.
#ifndef CC_REMAINDER_H
#define CC_REMAINDER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

bool cc_remainder_in_force(uint64_t word, uint64_t now);

// Takes an amount from a remainder in force, and tells the second of its reset (0: there is none):
// false when it has too little.
bool cc_remainder_take(_Atomic uint64_t *word, uint64_t now, uint64_t amount, uint32_t *reset);

// Changes a remainder that still is the one with this reset; 0 is none.
void cc_remainder_change(_Atomic uint64_t *word, uint32_t reset, double by);

// A report: so much remains until reset (ms). The request it came with has taken `taken` from the
// remainder with taken_reset, and the report has counted that.
void cc_remainder_learn(_Atomic uint64_t *word, uint64_t now, uint64_t reset, double remaining,
                        uint32_t taken_reset, double taken);
#endif
