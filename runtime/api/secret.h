// SPDX-License-Identifier: Apache-2.0
// Secrets: named credentials that all processes share and a reload leaves alone. One process at a time
// fetches a new value. shared/secret.h explains why this holds whenever a process dies.
#ifndef CC_API_SECRET_H
#define CC_API_SECRET_H
#include "api/types.h"
#pragma GCC visibility push(default)

struct cc_secret {
  double expires;    // cc_time() until which it may be used; 0: there is none
  double retry;      // cc_time() before which a failed fetch is not to be repeated
  uint32_t version;  // counts writes
  uint32_t failures; // failed fetches in a row
  uint32_t size;
  bool claimed; // a process is fetching it
};

// The number of the secret with this name (1 to 63 bytes), empty when new. CC_EINVAL for a bad name,
// CC_ELIMIT when the table is full.
int cc_secret(const char *name, uint32_t size);

// Its state.
int cc_secret_look(int secret, struct cc_secret *out);

// Copies it to out, with its version: returns its size, CC_ENOTFOUND when there is none, CC_ELIMIT when
// it is larger than capacity. The caller wipes its copy.
int cc_secret_read(int secret, char *out, uint32_t capacity, uint32_t *version);

// Asks to be the one that fetches it. True for one process, until the fetch is reported with
// cc_secret_write or cc_secret_fail, lease_ms have passed since now (cc_now), or the process has ended.
bool cc_secret_claim(int secret, double now, double lease_ms);

// Reports the fetch and ends the claim: the new value (up to 12 KiB, else CC_ELIMIT) and when it expires
// (cc_time), or the failure and when to try again (cc_time).
int cc_secret_write(int secret, const char *data, uint32_t size, double expires);
void cc_secret_fail(int secret, double retry);

// The service rejected this version: if it still is the current one, it is of no use any more.
void cc_secret_void(int secret, uint32_t version);

#pragma GCC visibility pop
#endif
