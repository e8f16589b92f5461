// SPDX-License-Identifier: Apache-2.0
// The ring of exchange records (api/record.h) in a shared mapping of its own. It guarantees that no process waits for
// another, that a reader gets whole records only, and that a process that dies while it writes costs its own record.
//
// A writer takes the next number, which names a slot, and marks the slot as being written for that number. It stores
// the used words of the record with a checksum and marks the slot as complete. A reader copies the words between
// two looks at the mark. It takes the copy if the mark did not change and the checksum matches.
//
// A writer that sleeps until the ring has come round finds a newer mark and gives its record up. If it wakes while
// the newer record is written, the words of both mix; the checksum reveals that, and the record counts as lost.
#ifndef CC_RING_H
#define CC_RING_H
#include "api/record.h"
#include <stdatomic.h>

enum { CC_RECORD_WORDS = sizeof(struct cc_record) / 8 };

struct cc_ring_slot {
  _Atomic uint64_t
      mark; // 0: never used; 2 n + 1: record n is being written; 2 n + 2: it is complete
  _Atomic uint64_t check;
  _Atomic uint64_t words[CC_RECORD_WORDS];
};

// The slot of a number; NULL without cc_records_make.
struct cc_ring_slot *cc_ring_slot(uint64_t number);

// Unmaps the ring in this process.
void cc_ring_close(void);
#endif
