// SPDX-License-Identifier: Apache-2.0
// The certificate and key that the listeners of a process show (server.tls). They can be replaced
// in two steps; connections that are open keep those they began with.
#ifndef CC_NET_IDENTITY_H
#define CC_NET_IDENTITY_H
#include "net/tls.h"

struct cc_identity { // zeroed: without TLS
  char *cert, *key;             // names of the files
  struct cc_tls_config *config; // for new connections
  struct cc_tls_config *next;   // prepared, not in use yet
};

// Reads the files; again for the same names: nothing. CC_ETLS with cc_system_error, CC_EINVAL for
// other names than before.
int cc_identity_load(struct cc_identity *identity, struct cc_slice cert, struct cc_slice key);

// As cc_tls_prepare and cc_tls_commit in relay.h.
int cc_identity_prepare(struct cc_identity *identity, const uint8_t *digest);
void cc_identity_commit(struct cc_identity *identity);

void cc_identity_free(struct cc_identity *identity); // leaves a zeroed one behind
#endif
