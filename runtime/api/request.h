// SPDX-License-Identifier: Apache-2.0
// The request of an exchange, as the client sent it, and what one pass over its body finds. Functions that name an exchange return CC_ESTALE
// when it has ended.
#ifndef CC_API_REQUEST_H
#define CC_API_REQUEST_H
#include "api/types.h"
#pragma GCC visibility push(default)

// ---- Scan of a body ----------------------------------------------------------------------------

enum cc_feature {         // what a body asks for
  CC_HAS_SIGNATURES = 1,  // thinking blocks with signatures in the history
  CC_HAS_PDF = 2,         // a document block that is not plain text
  CC_HAS_IMAGE_URL = 4,   // an image by URL
  CC_HAS_TOOL_FORCED = 8, // tool_choice of type any or tool
  CC_HAS_TOOLS = 16,
  CC_HAS_THINKING = 32,
  CC_HAS_CACHE_CONTROL = 64,
  CC_HAS_CACHE_SCOPE = 128, // a cache_control with a scope
  CC_HAS_SAFEGUARDS = 256   // safeguards, the server's part of Claude Code's auto mode
};

enum { CC_MODEL_BYTES = 512, CC_FILE_BYTES = 256 }; // the longest name of a model, id of a file

struct cc_scan {
  struct cc_slice model; // raw text between the quotes
  bool stream;
  uint32_t features;     // enum cc_feature, added up
  double max_tokens;     // 0 when absent
  struct cc_slice file;  // raw text of the first file_id in a content block or its source, of
                         // CC_FILE_BYTES at most
  uint32_t images;       // in base64
  double image_bytes;    // of their base64
  double document_bytes; // of documents in base64
  uint32_t error_offset; // first byte at fault
};

// Validates a text as one JSON object (RFC 8259, strict UTF-8) with one string "model" of 1 to
// CC_MODEL_BYTES, and fills in what routing needs; out's slices point into the text. Else CC_EJSON, CC_EJSON_DEPTH,
// CC_EJSON_OBJECT or CC_EMODEL, with error_offset.
int cc_scan(const char *body, uint32_t size, struct cc_scan *out);

// ---- Request -----------------------------------------------------------------------------------

struct cc_request {
  struct cc_slice method;
  struct cc_slice path;  // as sent, without the query
  struct cc_slice query; // without '?'
  struct cc_slice peer;  // address of the client; "unix" on a unix socket
  int32_t listener;
  int32_t error; // CC_OK, or why the request was refused before Lua saw it
  uint32_t headers;
  uint32_t body_bytes; // received so far; after cc_request_decode those decoded
  double started;      // cc_now() of its first byte
};

int cc_request(struct cc_relay *relay, cc_id exchange, struct cc_request *out);

// The first header with this name, in any case: CC_OK or CC_ENOTFOUND. Or header number index, from 0.
// CC_ESTATE once the answer has begun.
int cc_request_header(struct cc_relay *relay, cc_id exchange, const char *name, uint32_t size,
                      struct cc_slice *value);
int cc_request_header_at(struct cc_relay *relay, cc_id exchange, uint32_t index,
                         struct cc_slice *name, struct cc_slice *value);

// Whether this relay has forwarded the request before, so that it would loop for ever (CDN-Loop, RFC
// 8586).
bool cc_request_loops(struct cc_relay *relay, cc_id exchange);

// Decodes the body (Content-Encoding gzip, deflate, br or zstd; RFC 9110 section 8.4): what is here now,
// the rest as it arrives, up to settings.body_bytes. All that reads the body then sees the decoded one,
// and attempts do not pass the header on. CC_ESTATE after cc_request_accept. CC_EENCODING when the
// encoding is not supported; the body stays as it is. When the body itself is at fault, it is empty and
// cc_request_scan returns CC_EENCODED or CC_EDECODED_SIZE.
int cc_request_decode(struct cc_relay *relay, cc_id exchange);

// Lets the body in, with a 100 (Continue) if the client waits for it (RFC 9110 section 10.1.1): CC_OK when
// it is complete already, CC_ESTATE when a BODY event will come.
int cc_request_accept(struct cc_relay *relay, cc_id exchange);

int cc_request_body(struct cc_relay *relay, cc_id exchange, struct cc_slice *out);

// cc_scan of the body. The result is kept, so asking again costs nothing.
int cc_request_scan(struct cc_relay *relay, cc_id exchange, struct cc_scan *out);

// The JSON text of the member at a dotted path ("metadata.user_id"); the last one of a doubled name.
// CC_ENOTFOUND when there is none.
int cc_request_field(struct cc_relay *relay, cc_id exchange, const char *path, uint32_t size,
                     struct cc_slice *json);

enum { CC_EXCHANGE_NAME = 16 };

// The name of an exchange in the log, and after "req_ccr_" in the header request-id of the relay's own answers. It is
// the given one, of CC_EXCHANGE_NAME hex digits, unless an answer of C has named the exchange before. out points into
// the exchange. CC_EINVAL for another size.
int cc_request_name(struct cc_relay *relay, cc_id exchange, const char *name, uint32_t size,
                    struct cc_slice *out);

// Starts the timer of an exchange: a TIMER event with its id comes after delay_ms. Starting it again
// moves it; a negative delay stops it.
int cc_exchange_timer(struct cc_relay *relay, cc_id exchange, double delay_ms);

#pragma GCC visibility pop
#endif
