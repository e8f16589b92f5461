// SPDX-License-Identifier: Apache-2.0
// Cells: what relay.h says about cc_cell and its kin, and nothing more. This page tells why it
// holds between processes.
//
// Numbers are one atomic word each.
//
// A text has two copies. A state word tells how many writes were published (the lowest bit of that
// version names the copy to read) and whether a write is under way. A writer claims the state,
// fills the other copy and publishes it with one compare-and-swap; readers copy words out and look
// whether the version has stayed. So readers wait for nobody, and a writer that dies leaves the
// published copy alone. A writer that finds the state claimed gives way a bounded number of times,
// then takes the claim over; the deposed one can no longer publish. Should it still be alive and
// write into what has become the published copy, then the hash beside the words tells: readers
// see an empty text, never a mixed one, until the next write.
#ifndef CC_CELL_H
#define CC_CELL_H
#include "api/cell.h"
#endif
