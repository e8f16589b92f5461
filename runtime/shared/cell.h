// SPDX-License-Identifier: Apache-2.0
// Cells in shared memory (api/shared.h), and why they hold whichever process dies.
//
// A number is one atomic word.
//
// A text has two copies. A state word counts the writes published (the lowest bit of that version names the
// copy to read) and says whether a write is under way. A writer claims the state, fills the other copy and
// publishes it with one compare-and-swap. Readers copy words out and check that the version is the same. So
// readers wait for nobody, and a writer that dies leaves the published copy intact. A writer that finds the
// state claimed yields a bounded number of times, then takes the claim over; the former writer can no longer
// publish. If that one is still alive and writes into what has become the published copy, the hash beside
// the words reveals it: readers see an empty text, never a mixed one, until the next write.
#ifndef CC_CELL_H
#define CC_CELL_H
#include "api/shared.h"
#endif
