// SPDX-License-Identifier: Apache-2.0
// Ids for things that end. An id names a slot and the slot's generation, so an id of something that
// has ended finds nothing, even when its slot is in use again.
#ifndef CC_IDS_H
#define CC_IDS_H
#include "api/types.h"

struct cc_slot {
  void *thing; // NULL: free
  uint32_t generation;
};

struct cc_ids { // zeroed is empty
  struct cc_slot *slots;
  uint32_t slot_count;
  uint32_t *free_slots;
  uint32_t free_count;
  uint32_t used;
};

// Gives thing (not NULL) an id. Ends the process at 2^20 things.
cc_id cc_ids_add(struct cc_ids *ids, void *thing);

// What an id names, or NULL when it has ended.
void *cc_ids_find(const struct cc_ids *ids, cc_id id);

// Ends an id that is in use.
void cc_ids_remove(struct cc_ids *ids, cc_id id);

// The thing in the first slot from *slot on, which moves behind it; NULL when there is no more. Things
// may be removed meanwhile.
void *cc_ids_next(const struct cc_ids *ids, uint32_t *slot);

void cc_ids_free(struct cc_ids *ids);
#endif
