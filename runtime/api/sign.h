// SPDX-License-Identifier: Apache-2.0
// AWS Signature Version 4, for attempts (cc_attempt_sign) and for requests of the relay's own.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
#ifndef CC_API_SIGN_H
#define CC_API_SIGN_H
#include "api/types.h"
#pragma GCC visibility push(default)

struct cc_signer {
  struct cc_slice access_key;
  struct cc_slice secret_key;
  struct cc_slice session_token; // or empty
  struct cc_slice region;
  struct cc_slice service;
  double skew_ms; // how far the wall clock is behind that of the service
};

// Makes the headers that sign a request for cc_fetch at time_ms (cc_time): lines "name: value", each ended
// by LF, allocated for the caller. headers: the lines that are sent besides, of which x-amz-* and
// content-type are signed too. CC_EINVAL when a text does not fit into a header.
int cc_sign(const struct cc_signer *signer, double time_ms, const char *method, const char *host,
            const char *target, const char *headers, const char *body, uint32_t body_size,
            char **out, uint32_t *out_size);

#pragma GCC visibility pop
#endif
