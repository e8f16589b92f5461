// SPDX-License-Identifier: Apache-2.0
// The reservations of each worker that are neither settled nor released, in shared memory, so that
// the master can give back those of a worker that has died.
//
// One process writes a ledger: the worker in its slot; the master reads it when that worker is gone.
// An entry is made behind the booking and closed before it changes. So a worker killed in between
// leaves a booking without an entry, which its minute ends: too strict by one request, never too loose.
// What was sent is kept as estimated, for the provider has counted it. An entry whose second no window
// holds any more is free for others; a ledger that is full takes no more, and what it lacks stays
// booked for its minute.
#ifndef CC_RESERVATIONS_H
#define CC_RESERVATIONS_H
#include "api/limit.h"

// The entry made for a reservation, 1 or more; 0 when there is no room, and outside of workers.
uint32_t cc_reservations_add(const struct cc_reservation *reservation);
// Its reservation is settled or released.
void cc_reservations_remove(const struct cc_reservation *reservation);
// From here on the upstream may have counted it. 0 is no entry.
void cc_reservations_sent(uint32_t entry);
// The worker of a slot has ended: removes its entries from number *at (from 0) on, up to the first whose
// request was not sent, and fills that one in; false when there is none.
bool cc_reservations_take(uint32_t slot, uint32_t *at, struct cc_reservation *reservation);
#endif
