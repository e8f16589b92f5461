// SPDX-License-Identifier: Apache-2.0
// Counts what was used within a window of 60 s, in one word for each second, which all processes share. Times
// are ms on the clock of one limit. What is added counts for 60 s from then on.
#ifndef CC_WINDOW_H
#define CC_WINDOW_H
#include "shared/shared.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
  CC_WINDOW_MS = 60000,
  CC_WINDOW_AMOUNT = (1 << 27) - 1 // the most that one second can hold
};

typedef _Atomic uint64_t cc_window[CC_WINDOW_SECONDS]; // zeroed: nothing was used

// The amount that counts at now.
uint64_t cc_window_sum(cc_window window, uint64_t now);

// The amount of a second, and in *end the first ms at which it no longer counts. 0 when it holds nothing.
uint64_t cc_window_held(cc_window window, uint64_t second, uint64_t *end);

// Adds to the word of now's second. False when that word is full or serves a later second.
bool cc_window_add(cc_window window, uint64_t now, uint64_t amount);

// Changes the amount of a second, within what a word can hold, if the word still serves it.
void cc_window_change(cc_window window, uint64_t second, double by);
#endif
