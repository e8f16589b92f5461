// SPDX-License-Identifier: Apache-2.0
// Attempts: one request of an exchange to one upstream. An attempt is begun, drafted (headers, edits of
// the body), and sent; it ends with an OUTCOME event (api/outcome.h). Functions that name an attempt
// return CC_ESTALE when the exchange has ended or has no such attempt, CC_ESTATE when it is too late.
#ifndef CC_API_ATTEMPT_H
#define CC_API_ATTEMPT_H
#include "api/crypto.h"
#include "api/types.h"
#pragma GCC visibility push(default)

struct cc_origin {
  bool tls;
  bool allow_public_http; // without it, plain http goes to loopback and private addresses only
  struct cc_slice host;
  uint32_t port;
  struct cc_slice ca_file;    // PEM, trusted besides the system's; empty: none
  struct cc_slice proxy_host; // HTTP proxy to go through; empty: none
  uint32_t proxy_port;
  struct cc_slice proxy_auth; // value of Proxy-Authorization; empty: none
};

// The number of an origin, the same for equal contents. Its connections are pooled and outlive reloads.
// CC_EINVAL for a bad host or port, CC_ETLS when ca_file cannot be used.
int cc_origin(struct cc_relay *relay, const struct cc_origin *spec);

enum cc_framing {
  CC_FRAMING_MESSAGES = 0, // a Messages answer: JSON, or server-sent events held at the gate
  CC_FRAMING_OPAQUE = 1,   // anything: passed on from the head
  CC_FRAMING_EVENTSTREAM =
      2 // a Messages answer that streams in AWS frames (told by content-type or
        // first byte) and is passed on as server-sent events
};

enum cc_success {         // what the JSON of a success must be, else the outcome is a failure
  CC_SUCCESS_MESSAGE = 0, // a message of the Messages API
  CC_SUCCESS_COUNT = 1,   // an object with the number input_tokens
  CC_SUCCESS_OBJECT = 2   // any object
};

struct cc_attempt_spec {
  uint32_t framing;    // enum cc_framing
  uint32_t success;    // enum cc_success
  bool stream;         // success must be an event stream, told by its bytes, not its content-type
  uint32_t head_ms;    // until the response head; without stream: until connected
  uint32_t gate_bytes; // held at most
  uint32_t gate_ms;    // from the head to the first content event; 0: no bound
  bool gate_opens;     // what happens then: the gate opens, or CC_EGATE_TIMEOUT
  uint32_t entries[3]; // of cc_reservation: not refunded if this worker dies after the first byte
  int32_t gaps;        // histogram of the times between events of a stream; negative: none
};

// Begins an attempt at an origin: returns its number, 0 or 1. When both are in use, one ends: one that is
// over rather than one under way, then the older one. CC_ESTATE after the answer was chosen, or while the
// body is incomplete.
int cc_attempt_begin(struct cc_relay *relay, cc_id exchange, int origin,
                     const struct cc_attempt_spec *spec);

// Sets the method (else the client's) and the target, which follows the origin in the URL.
int cc_attempt_method(struct cc_relay *relay, cc_id exchange, int attempt, const char *text,
                      uint32_t size);
int cc_attempt_target(struct cc_relay *relay, cc_id exchange, int attempt, const char *text,
                      uint32_t size);

// Sets a header; it replaces one of that name that the client sent. CC_EINVAL for a bad name or value,
// and for host, content-length, accept-encoding and CDN-Loop, which are the relay's own.
int cc_attempt_header(struct cc_relay *relay, cc_id exchange, int attempt, const char *name,
                      uint32_t name_size, const char *value, uint32_t value_size);

// The name that this relay adds to CDN-Loop (RFC 8586), the same in all its processes. Static text.
const char *cc_loop_name(void);

// Passes headers of the client on: those of names (small letters, separated by spaces). Without names all
// but hop-by-hop headers (RFC 9110 section 7.6.1), credentials, those that forward or rewrite a request,
// and those that caches and gateways of clouds obey (attempt/headers.c). CDN-Loop always goes along, with
// this relay added (RFC 8586).
int cc_attempt_pass_headers(struct cc_relay *relay, cc_id exchange, int attempt, const char *names,
                            uint32_t size);

// Edits this attempt's view of the body: sets a top-level member to a JSON text (added at the end when
// absent), or removes the members at a path, with their commas. A path is names joined by "."; "[]"
// behind a name stands for every item of that array: "messages[].content[].cache_control". All other
// bytes stay as they came. CC_EINVAL for a malformed path or text.
int cc_attempt_set(struct cc_relay *relay, cc_id exchange, int attempt, const char *field,
                   uint32_t field_size, const char *json, uint32_t json_size);
int cc_attempt_remove(struct cc_relay *relay, cc_id exchange, int attempt, const char *path,
                      uint32_t size);

// The body with the edits made so far, allocated for the caller.
int cc_attempt_body(struct cc_relay *relay, cc_id exchange, int attempt, char **out,
                    uint32_t *out_size);

// Sends this body instead; edits do not apply to it.
int cc_attempt_replace(struct cc_relay *relay, cc_id exchange, int attempt, const char *text,
                       uint32_t size);

// Has the request signed whenever it is written to a connection, with the time of that moment. Signed are
// host, content-type and x-amz-*. CC_EINVAL when a text does not fit into a header.
int cc_attempt_sign(struct cc_relay *relay, cc_id exchange, int attempt,
                    const struct cc_signer *signer);

// Sends it. An OUTCOME event always follows, unless it is cancelled.
int cc_attempt_send(struct cc_relay *relay, cc_id exchange, int attempt);

// Whether the upstream may have received any of it, in any state until DONE was handled. False when there
// is no such attempt.
bool cc_attempt_sent(struct cc_relay *relay, cc_id exchange, int attempt);

// Ends an attempt at once; no OUTCOME comes from it any more.
int cc_attempt_cancel(struct cc_relay *relay, cc_id exchange, int attempt);

#pragma GCC visibility pop
#endif
