// SPDX-License-Identifier: Apache-2.0
// A kept key is found by a digest of what it was derived from, so no secret key is kept.
#include "sign/day_key.h"
#include "base/buffer.h"
#include <string.h>

struct day_key {
  uint8_t origin[CC_DIGEST_SIZE]; // see origin_of
  uint8_t key[CC_DIGEST_SIZE];
  char day[CC_DAY];
  uint64_t used; // by which call it was used last; 0: free
};

static _Thread_local struct day_key kept[CC_DAY_KEYS];
static _Thread_local uint64_t calls;
static _Thread_local unsigned derived;

static void add_text(struct cc_digest *digest, struct cc_slice text) {
  cc_digest_add(digest, &text.size, sizeof text.size);
  cc_digest_add(digest, text.data, text.size);
}

// The digest of all that a key is derived from.
static void origin_of(const struct cc_signer *signer, const char *day,
                      uint8_t out[CC_DIGEST_SIZE]) {
  struct cc_digest digest;
  cc_digest_start(&digest);
  cc_digest_add(&digest, day, CC_DAY);
  add_text(&digest, signer->region);
  add_text(&digest, signer->service);
  add_text(&digest, signer->secret_key);
  cc_digest_finish(&digest, out);
}

static void chain(uint8_t key[CC_DIGEST_SIZE], struct cc_slice text) {
  cc_hmac_sha256(key, CC_DIGEST_SIZE, text.data, text.size, key);
}

static void derive(const struct cc_signer *signer, const char *day, uint8_t key[CC_DIGEST_SIZE]) {
  struct cc_buffer first = {0};
  cc_buffer_reserve(&first, 4 + (size_t)signer->secret_key.size);
  cc_buffer_add(&first, "AWS4", 4);
  cc_buffer_add(&first, signer->secret_key.data, signer->secret_key.size);
  cc_hmac_sha256(first.data, first.size, day, CC_DAY, key);
  cc_buffer_wipe(&first);
  chain(key, signer->region);
  chain(key, signer->service);
  chain(key, cc_slice_text("aws4_request"));
  derived++;
}

static struct day_key *find(const uint8_t origin[CC_DIGEST_SIZE]) {
  for (struct day_key *at = kept; at < kept + CC_DAY_KEYS; at++)
    if (at->used && cc_equal(at->origin, origin, CC_DIGEST_SIZE)) return at;
  return NULL;
}

static void wipe_other_days(const char *day) {
  for (struct day_key *at = kept; at < kept + CC_DAY_KEYS; at++)
    if (at->used && memcmp(at->day, day, CC_DAY) != 0) cc_wipe(at, sizeof *at);
}

// A free place, or that of the key whose last use is the longest ago.
static struct day_key *place(void) {
  struct day_key *oldest = kept;
  for (struct day_key *at = kept; at < kept + CC_DAY_KEYS; at++)
    if (at->used < oldest->used) oldest = at;
  return oldest;
}

void cc_day_key(const struct cc_signer *signer, const char day[CC_DAY],
                uint8_t out[CC_DIGEST_SIZE]) {
  uint8_t origin[CC_DIGEST_SIZE];
  origin_of(signer, day, origin);
  struct day_key *key = find(origin);
  if (!key) {
    wipe_other_days(day);
    key = place();
    derive(signer, day, key->key);
    memcpy(key->origin, origin, sizeof origin);
    memcpy(key->day, day, CC_DAY);
  }
  key->used = ++calls;
  memcpy(out, key->key, CC_DIGEST_SIZE);
}

void cc_sign_forget(void) {
  cc_wipe(kept, sizeof kept);
}

unsigned cc_day_keys_derived(void) {
  return derived;
}

unsigned cc_day_keys_kept(void) {
  unsigned count = 0;
  for (const struct day_key *at = kept; at < kept + CC_DAY_KEYS; at++)
    count += at->used != 0;
  return count;
}
