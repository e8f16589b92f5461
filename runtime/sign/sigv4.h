// SPDX-License-Identifier: Apache-2.0
// AWS Signature Version 4: the headers that sign a request. Pure; the time is an argument.
#ifndef CC_SIGN_SIGV4_H
#define CC_SIGN_SIGV4_H
#include "api/sign.h"
#include "base/buffer.h"
#include "codec/http1.h"

enum cc_sigv4_option {
  CC_SIGV4_NORMALIZE = 1,   // empty, "." and ".." segments of the path are resolved
  CC_SIGV4_ENCODE = 2,      // the path of the wire is encoded once more (all services but S3)
  CC_SIGV4_BODY_HEADER = 4, // x-amz-content-sha256 is sent and signed
  CC_SIGV4_TOKEN_APART = 8, // x-amz-security-token is sent but not signed
  CC_SIGV4_FEW = 16         // of headers only content-type and x-amz-* are signed
};

// Path normalised and encoded again, few headers: what Bedrock and STS want.
enum { CC_SIGV4_RELAY = CC_SIGV4_NORMALIZE | CC_SIGV4_ENCODE | CC_SIGV4_FEW };

// All is borrowed. host is signed as given: with the port when it is not the scheme's own.
struct cc_sigv4 {
  const struct cc_signer *signer;
  double time_ms; // wall clock; the signer's skew is added here
  struct cc_slice method;
  struct cc_slice host;
  struct cc_slice target;          // path and query as on the wire
  const struct cc_header *headers; // that are sent besides; cc_sigv4_makes and host are passed over
  size_t count;
  struct cc_slice body_hash; // hexadecimal SHA-256; empty: the body is not signed
  uint32_t options;
};

// True for a header that only the signer sends: whoever sends the request drops it from its own.
bool cc_sigv4_makes(struct cc_slice name);

// Appends the lines "name: value" that are to be sent, each ended by end. CC_EINVAL, and nothing
// appended, when a text does not fit into a header, something required is empty, or the time is
// outside of the years 1970 to 9999. The lines hold the session token: cc_buffer_wipe them.
int cc_sigv4(const struct cc_sigv4 *request, const char *end, struct cc_buffer *lines);

// The two texts on the way there, appended. They hold the session token, too.
int cc_sigv4_canonical(const struct cc_sigv4 *request, struct cc_buffer *out);
int cc_sigv4_to_sign(const struct cc_sigv4 *request, struct cc_buffer *out);
#endif
