// SPDX-License-Identifier: Apache-2.0
#include "net/identity.h"
#include "base/buffer.h"
#include "base/error.h"
#include <stdlib.h>
#include <string.h>

static bool is_text(struct cc_slice slice, const char *text) {
  return slice.size == strlen(text) && memcmp(slice.data, text, slice.size) == 0;
}

int cc_identity_load(struct cc_identity *identity, struct cc_slice cert, struct cc_slice key) {
  if (identity->config)
    return is_text(cert, identity->cert) && is_text(key, identity->key) ? CC_OK : CC_EINVAL;
  identity->cert = cc_copy_text(cert.data, cert.size);
  identity->key = cc_copy_text(key.data, key.size);
  int error = cc_tls_server_new(identity->cert, identity->key, &identity->config);
  if (error) cc_identity_free(identity);
  return error;
}

static bool is_of(const struct cc_tls_config *config, const uint8_t *digest) {
  return memcmp(cc_tls_server_digest(config), digest, 32) == 0;
}

static void drop_next(struct cc_identity *identity) {
  cc_tls_release(identity->next);
  identity->next = NULL;
}

int cc_identity_prepare(struct cc_identity *identity, const uint8_t *digest) {
  drop_next(identity);
  if (!identity->config || is_of(identity->config, digest)) return CC_OK;
  int error = cc_tls_server_new(identity->cert, identity->key, &identity->next);
  if (error || is_of(identity->next, digest)) return error;
  drop_next(identity);
  return cc_fail(CC_ETLS, "%s or %s is being changed", identity->cert, identity->key);
}

void cc_identity_commit(struct cc_identity *identity) {
  if (!identity->next) return;
  cc_tls_release(identity->config);
  identity->config = identity->next;
  identity->next = NULL;
}

void cc_identity_free(struct cc_identity *identity) {
  cc_tls_release(identity->config);
  drop_next(identity);
  free(identity->cert);
  free(identity->key);
  *identity = (struct cc_identity){0};
}
