// SPDX-License-Identifier: Apache-2.0
#include "attempt/signing.h"
#include "codec/http1.h"
#include <stdlib.h>

static bool fits(struct cc_slice text, bool may_be_empty) {
  return (text.size || may_be_empty) && cc_http1_is_value(text);
}

static struct cc_slice keep(struct cc_buffer *text, struct cc_slice slice) {
  cc_buffer_add(text, slice.data, slice.size);
  return cc_slice(text->data + text->size - slice.size, slice.size);
}

struct cc_signing *cc_signing_new(const struct cc_signer *signer) {
  if (!fits(signer->access_key, false) || !fits(signer->secret_key, false) ||
      !fits(signer->region, false) || !fits(signer->service, false) ||
      !fits(signer->session_token, true))
    return NULL;
  struct cc_signing *signing = cc_alloc(sizeof *signing);
  cc_buffer_reserve(&signing->text, signer->access_key.size + signer->secret_key.size +
                                        signer->session_token.size + signer->region.size +
                                        signer->service.size);
  signing->signer = (struct cc_signer){
      .access_key = keep(&signing->text, signer->access_key),
      .secret_key = keep(&signing->text, signer->secret_key),
      .session_token = keep(&signing->text, signer->session_token),
      .region = keep(&signing->text, signer->region),
      .service = keep(&signing->text, signer->service),
      .skew_ms = signer->skew_ms,
  };
  cc_digest_start(&signing->digest);
  return signing;
}

void cc_signing_add(struct cc_signing *signing, struct cc_slice piece) {
  cc_digest_add(&signing->digest, piece.data, piece.size);
  signing->hashed += piece.size;
}

void cc_signing_done(struct cc_signing *signing) {
  uint8_t hash[CC_DIGEST_SIZE];
  cc_digest_finish(&signing->digest, hash);
  cc_hex(hash, sizeof hash, signing->body);
}

void cc_signing_free(struct cc_signing *signing) {
  if (!signing) return;
  cc_buffer_wipe(&signing->text);
  cc_wipe(signing, sizeof *signing);
  free(signing);
}
