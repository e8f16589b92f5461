// SPDX-License-Identifier: Apache-2.0
// The signature of an attempt: a copy of the signer, and the hash of the body, which is taken in pieces
// before the attempt connects.
#ifndef CC_SIGNING_H
#define CC_SIGNING_H
#include "api/crypto.h"
#include "base/buffer.h"
#include "sign/digest.h"

enum { CC_SIGNING_PIECE = 512 * 1024 }; // bytes hashed per turn of the event loop

struct cc_signing {
  struct cc_signer signer; // slices of text
  struct cc_buffer text;
  struct cc_digest digest;
  size_t hashed;
  char body[2 * CC_DIGEST_SIZE + 1]; // the hash in hex, "" until it is done
};

// Copies the signer; NULL when one of its texts cannot be in a header. Freed with cc_signing_free.
struct cc_signing *cc_signing_new(const struct cc_signer *signer);

// Hashes the next piece of the body, CC_SIGNING_PIECE at most. cc_signing_done must follow the last.
void cc_signing_add(struct cc_signing *signing, struct cc_slice piece);
void cc_signing_done(struct cc_signing *signing);

// Wipes and frees it. NULL is allowed.
void cc_signing_free(struct cc_signing *signing);
#endif
