// SPDX-License-Identifier: Apache-2.0
// An attempt that is to be signed: the signer's texts, and the hash of the body it sends, taken in
// pieces before it connects.
#ifndef CC_SIGNING_H
#define CC_SIGNING_H
#include "api/sign.h"
#include "base/buffer.h"
#include "sign/digest.h"

enum { CC_SIGNING_PIECE = 512 * 1024 }; // hashed at a stretch

struct cc_signing {
  struct cc_signer signer; // slices of text
  struct cc_buffer text;
  struct cc_digest digest;
  size_t hashed;
  char body[2 * CC_DIGEST_SIZE + 1]; // the hash in hex, "" until it is done
};

// Copies the signer; NULL when a text of it cannot stand in a header.
struct cc_signing *cc_signing_new(const struct cc_signer *signer);

// Hashes one more piece of the body, at most CC_SIGNING_PIECE; after the last one cc_signing_done.
void cc_signing_add(struct cc_signing *signing, struct cc_slice piece);
void cc_signing_done(struct cc_signing *signing);

// Wipes and frees it; NULL is fine.
void cc_signing_free(struct cc_signing *signing);
#endif
