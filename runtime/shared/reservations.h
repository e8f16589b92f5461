// SPDX-License-Identifier: Apache-2.0
// Lists the open reservations of each worker in shared memory, so that the master can give back those of a
// worker that has died.
//
// Only the worker in a slot writes its list; the master reads it when that worker has ended. An entry is added
// after the reservation and removed before the reservation changes. So a worker that is killed in between
// leaves a reservation without an entry, which ends with its minute: too strict by one request, never too
// loose. What was sent stays as estimated, for the provider has counted it. An entry whose second is in no
// window any more is free for others. A full list takes no more; what is not in it stays reserved for its
// minute.
#ifndef CC_RESERVATIONS_H
#define CC_RESERVATIONS_H
#include "api/shared.h"

// Adds a reservation: returns its entry, 1 or more; 0 when there is no room, and outside of workers.
uint32_t cc_reservations_add(const struct cc_reservation *reservation);
// Removes the entry of a reservation that is committed or refunded.
void cc_reservations_remove(const struct cc_reservation *reservation);
// From here on the upstream may have counted the request. Entry 0 is none.
void cc_reservations_sent(uint32_t entry);
// Takes the next reservation of an ended worker whose request was not sent: removes its entries from number
// *at (0 at first) up to that one, and fills it in. False when there is none.
bool cc_reservations_take(uint32_t slot, uint32_t *at, struct cc_reservation *reservation);
#endif
