// SPDX-License-Identifier: Apache-2.0
// Parses HTTP/1.1 messages (RFC 9112) without sockets: bytes in, head and pieces of the body out.
//
// llhttp tokenises in strict mode. Our own code adds bounds and the rules that llhttp leaves open, so that
// llhttp 8.1 and 9.x refuse the same messages. The caller hands in bytes and asks for the next step until it is
// MORE.
#ifndef CC_CODEC_HTTP1_H
#define CC_CODEC_HTTP1_H
#include "base/buffer.h"

struct cc_http1;

enum cc_http1_kind { CC_HTTP1_REQUEST, CC_HTTP1_RESPONSE };

enum cc_http1_step {
  CC_HTTP1_MORE = 0, // all bytes consumed, hand in more
  CC_HTTP1_HEAD =
      1, // the head is complete: cc_http1_head. Interim responses (1xx) come as HEAD too
  CC_HTTP1_BODY = 2, // *body is a piece of the body, borrowed from the bytes handed in
  CC_HTTP1_END = 3   // the message is complete; the next one may follow after cc_http1_reset
};

struct cc_http1_limits {
  uint32_t head_bytes;
  uint32_t headers;
  uint32_t target_bytes;
};

struct cc_header {
  struct cc_slice name;
  struct cc_slice value; // without white space at its ends
};

// Slices point into memory of the parser and live until cc_http1_reset or cc_http1_free.
struct cc_http1_head {
  struct cc_slice method; // request
  struct cc_slice target;
  struct cc_slice path; // of target, without query; absolute-form reduced to origin-form
  struct cc_slice query;
  struct cc_slice host; // request: the one valid Host
  int status;           // response
  int minor;            // HTTP/1.minor
  bool keep_alive;
  bool chunked;
  bool expect_continue;  // request
  bool until_close;      // response whose body ends with the connection
  bool has_body;         // there is or may be a body
  double content_length; // -1: none given
  uint32_t headers;
  const struct cc_header *header;
};

// Makes a parser for one direction of one connection, which the caller frees; limits are copied.
struct cc_http1 *cc_http1_new(enum cc_http1_kind kind, const struct cc_http1_limits *limits);
void cc_http1_free(struct cc_http1 *parser);

// Ends the message so that the next one can begin; frees the memory of its head.
void cc_http1_reset(struct cc_http1 *parser);

// Frees the memory of the head early, for long bodies: its slices and headers are void, its other fields stay
// valid.
void cc_http1_forget(struct cc_http1 *parser);

// For responses: the request was HEAD, so no body follows whatever the head says. Cleared by cc_http1_reset.
void cc_http1_expect_no_body(struct cc_http1 *parser);

// Takes bytes from *data and *size, which move, and returns an enum cc_http1_step, or CC_EHTTP, CC_EHEAD_SIZE,
// CC_ETARGET_SIZE, CC_EUPGRADE, CC_EEXPECT; after an error it must not be called again. Errors are reported
// before the head is complete where possible (endless heads). Trailers are checked and dropped. After HEAD
// of a 1xx response the parser goes on to the next head by itself.
int cc_http1_next(struct cc_http1 *parser, const char **data, size_t *size, struct cc_slice *body);

// To be called when the peer has closed: CC_HTTP1_END when that completes a body, CC_HTTP1_MORE when no message
// had begun, CC_EEOF in the middle of one.
int cc_http1_finish(struct cc_http1 *parser);

// The head of the message under way; NULL before HEAD.
const struct cc_http1_head *cc_http1_head(const struct cc_http1 *parser);

// Whether a message has begun and is not complete.
bool cc_http1_busy(const struct cc_http1 *parser);

// The first header with this name, in any case, or NULL.
const struct cc_header *cc_http1_find(const struct cc_http1_head *head, struct cc_slice name);

// Whether a text may be written into a head: as a token (RFC 9110 section 5.6.2), as a field value (no control
// characters but tab), as a target in origin-form (visible ASCII).
bool cc_http1_is_token(struct cc_slice text);
bool cc_http1_is_value(struct cc_slice text);
bool cc_http1_is_target(struct cc_slice text);
#endif
