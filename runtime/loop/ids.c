// SPDX-License-Identifier: Apache-2.0
#include "loop/ids.h"
#include "base/buffer.h"
#include <stdlib.h>

// An id is generation * SLOTS + slot.
enum { SLOT_BITS = 20, SLOTS = 1 << SLOT_BITS };

static uint32_t slot_of(cc_id id) {
  return (uint32_t)((uint64_t)id & (SLOTS - 1));
}

void *cc_ids_find(const struct cc_ids *ids, cc_id id) {
  if (!(id >= SLOTS) || id > 9007199254740991.0) return NULL;
  uint32_t slot = slot_of(id);
  if (slot >= ids->slot_count) return NULL;
  const struct cc_slot *found = &ids->slots[slot];
  return found->generation == (uint32_t)((uint64_t)id >> SLOT_BITS) ? found->thing : NULL;
}

static void grow(struct cc_ids *ids) {
  uint32_t count = ids->slot_count ? ids->slot_count * 2 : 64;
  if (count > SLOTS) abort();
  ids->slots = cc_realloc(ids->slots, count * sizeof *ids->slots);
  ids->free_slots = cc_realloc(ids->free_slots, count * sizeof *ids->free_slots);
  for (uint32_t slot = count; slot-- > ids->slot_count;) {
    ids->slots[slot] = (struct cc_slot){NULL, 0};
    ids->free_slots[ids->free_count++] = slot;
  }
  ids->slot_count = count;
}

cc_id cc_ids_add(struct cc_ids *ids, void *thing) {
  if (!ids->free_count) grow(ids);
  uint32_t index = ids->free_slots[--ids->free_count];
  struct cc_slot *slot = &ids->slots[index];
  slot->thing = thing;
  slot->generation++;
  ids->used++;
  return (double)slot->generation * SLOTS + index;
}

void cc_ids_remove(struct cc_ids *ids, cc_id id) {
  uint32_t slot = slot_of(id);
  ids->slots[slot].thing = NULL;
  ids->free_slots[ids->free_count++] = slot;
  ids->used--;
}

void *cc_ids_next(const struct cc_ids *ids, uint32_t *slot) {
  while (*slot < ids->slot_count) {
    void *thing = ids->slots[(*slot)++].thing;
    if (thing) return thing;
  }
  return NULL;
}

void cc_ids_free(struct cc_ids *ids) {
  free(ids->slots);
  free(ids->free_slots);
  *ids = (struct cc_ids){0};
}
