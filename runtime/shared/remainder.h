// SPDX-License-Identifier: Apache-2.0
// What a provider says remains of a rate until its reset: the second of the reset in the upper half, the
// amount in the lower half of one word that all processes share. A word whose reset has passed, or 0, says
// nothing.
#ifndef CC_REMAINDER_H
#define CC_REMAINDER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// Whether it says something at now (ms).
bool cc_remainder_in_force(uint64_t word, uint64_t now);

// Takes an amount and fills in the second of the reset (0: no remainder is in force). False when less is
// left.
bool cc_remainder_take(_Atomic uint64_t *word, uint64_t now, uint64_t amount, uint32_t *reset);

// Changes a remainder if it still has this reset; 0 is none.
void cc_remainder_change(_Atomic uint64_t *word, uint32_t reset, double by);

// Records a report: so much remains until reset (ms). The request whose answer it is has taken `taken` from
// the remainder with taken_reset; the report has counted that already.
void cc_remainder_learn(_Atomic uint64_t *word, uint64_t now, uint64_t reset, double remaining,
                        uint32_t taken_reset, double taken);
#endif
