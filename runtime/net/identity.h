// SPDX-License-Identifier: Apache-2.0
// The certificate and key that the listeners of a process present (server.tls). They can be replaced in two
// steps; open connections keep those they began with.
#ifndef CC_NET_IDENTITY_H
#define CC_NET_IDENTITY_H
#include "net/tls.h"

struct cc_identity {            // zeroed: without TLS
  char *cert, *key;             // names of the files
  struct cc_tls_config *config; // for new connections
  struct cc_tls_config *next;   // prepared, not in use yet
};

// Reads the files; does nothing when files of these names are loaded. CC_ETLS when they cannot be used
// (cc_system_error() tells more), CC_EINVAL when files of other names are loaded.
int cc_identity_load(struct cc_identity *identity, struct cc_slice cert, struct cc_slice key);

// See cc_tls_prepare and cc_tls_commit (api/listen.h).
int cc_identity_prepare(struct cc_identity *identity, const uint8_t *digest);
void cc_identity_commit(struct cc_identity *identity);

void cc_identity_free(struct cc_identity *identity); // leaves a zeroed one behind
#endif
