// SPDX-License-Identifier: Apache-2.0
// Makes the headers that sign a request (AWS Signature Version 4). A pure function: the time is an argument.
#ifndef CC_SIGN_SIGV4_H
#define CC_SIGN_SIGV4_H
#include "api/crypto.h"
#include "base/buffer.h"
#include "codec/http1.h"

enum cc_sigv4_option {
  CC_SIGV4_NORMALIZE = 1,   // resolve empty, "." and ".." segments of the path
  CC_SIGV4_ENCODE = 2,      // encode the path on the wire once more (all services but S3)
  CC_SIGV4_BODY_HEADER = 4, // send and sign x-amz-content-sha256
  CC_SIGV4_TOKEN_APART = 8, // send x-amz-security-token, but do not sign it
  CC_SIGV4_FEW = 16         // of the headers, sign content-type and x-amz-* only
};

// What Bedrock and STS want.
enum { CC_SIGV4_RELAY = CC_SIGV4_NORMALIZE | CC_SIGV4_ENCODE | CC_SIGV4_FEW };

// All of it is borrowed. host is signed as given: with the port when it is not the scheme's default.
struct cc_sigv4 {
  const struct cc_signer *signer;
  double time_ms; // wall clock; the signer's skew is added here
  struct cc_slice method;
  struct cc_slice host;
  struct cc_slice target; // path and query as on the wire
  const struct cc_header
      *headers; // that are sent too; host and those of cc_sigv4_makes are skipped
  size_t count;
  struct cc_slice body_hash; // hexadecimal SHA-256; empty: the body is not signed
  uint32_t options;
};

// Whether only the signer may send this header: the sender of a request drops its own.
bool cc_sigv4_makes(struct cc_slice name);

// Appends the lines "name: value" to send, each ended by end. CC_EINVAL, with nothing appended, when a text
// does not fit into a header, something required is empty, or the time is not within the years 1970 to
// 9999. The lines hold the session token: free them with cc_buffer_wipe.
int cc_sigv4(const struct cc_sigv4 *request, const char *end, struct cc_buffer *lines);

// Append the intermediate texts: the canonical request, the string to sign. They hold the session token too.
int cc_sigv4_canonical(const struct cc_sigv4 *request, struct cc_buffer *out);
int cc_sigv4_to_sign(const struct cc_sigv4 *request, struct cc_buffer *out);
#endif
