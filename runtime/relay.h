// SPDX-License-Identifier: Apache-2.0
// The border between C and Lua: everything Lua can see of the runtime, and nothing else.
//
// C compiles this file; the same bytes, without the lines that begin with '#', go to ffi.cdef
// (lua/ccrelay/c.lua). So it holds only enums, structs and prototypes.
//
// Conventions
// - int results are CC_OK or a negative enum cc_error, unless the prototype says otherwise.
// - Times are milliseconds in a double: cc_now() never jumps, cc_time() is the wall clock.
// - An id is a whole number below 2^53 carried in a double. It names a slot and the slot's
//   generation, so an id kept too long is answered with CC_ESTALE, never with another's data.
// - Bytes that come out (struct cc_slice) are borrowed until the next cc_next. Bytes that go in
//   are copied before the call returns.
// - Text that goes in is pointer and length and need not end with NUL, unless it says path.
#ifndef CC_RELAY_H
#define CC_RELAY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#pragma GCC visibility push(default)

struct cc_relay;

typedef double cc_id;

struct cc_slice {
  const char *data;
  uint32_t size;
};

// ---- Errors ------------------------------------------------------------------------------------

enum cc_error {
  CC_OK = 0,
  CC_ESTALE = -1,              // the id names something that has ended
  CC_EINVAL = -2,              // an argument is malformed or out of range
  CC_ESTATE = -3,              // not allowed at this point of the exchange
  CC_ELIMIT = -4,              // a named limit has been reached
  CC_ENOTFOUND = -5,           // there is no such thing
  CC_ESYSTEM = -6,             // the operating system refused; the log has its words
  CC_EADDRESS = -7,            // the address to listen on is in use, or not of this machine
  CC_EDNS = -8,                // the host name could not be resolved
  CC_EREFUSED = -9,            // the connection was refused
  CC_ECONNECT = -10,           // the connection could not be made
  CC_ECONNECT_TIMEOUT = -11,   // no connection (TLS included) in time
  CC_ETLS = -12,               // the TLS handshake failed or the certificate is not acceptable
  CC_EPROXY = -13,             // the HTTP proxy refused the tunnel
  CC_EADDRESS_FORBIDDEN = -14, // plain http to an address that is not loopback or private
  CC_ERESET = -15,             // the connection was reset
  CC_EEOF = -16,               // the connection was closed before the message was complete
  CC_EHEAD_TIMEOUT = -17,      // no response head in time
  CC_EIDLE_TIMEOUT = -18,      // silence for too long in the middle of a message
  CC_EWRITE_TIMEOUT = -19,     // the peer takes no more bytes
  CC_ETOTAL_TIMEOUT = -20,     // the whole exchange took too long
  CC_ECANCELLED = -21,         // given up by the policy
  CC_ECLIENT_GONE = -22,       // the client closed its connection
  CC_EHTTP = -23,              // the HTTP message is malformed
  CC_EHEAD_SIZE = -24,         // the head, or its number of headers, is over the limit
  CC_ETARGET_SIZE = -25,       // the request target is over the limit
  CC_EBODY_SIZE = -26,         // the body is over the limit
  CC_EREDIRECT = -27,          // the upstream answered with a redirect, which is never followed
  CC_EUPGRADE = -28,           // a protocol switch, which is never done
  CC_EJSON = -29,              // not one JSON value in strict UTF-8
  CC_EJSON_DEPTH = -30,        // JSON nested deeper than 1000
  CC_EJSON_OBJECT = -31,       // JSON, but not an object
  CC_EMODEL = -32,             // "model" is missing, empty, too long, not a string, or there twice
  CC_ESTREAM_ERROR = -33,      // the stream's first content is an error event
  CC_EEMPTY = -34,             // success without a body
  CC_ENOTJSON = -35,           // success, but not what was asked for: JSON, or an event stream
  CC_EGATE_TIMEOUT = -36,      // no content before the gate's time was over
  CC_EEVENT_SIZE = -37,        // one event is larger than the limit
  CC_ETRUNCATED = -38,         // the stream ended without its last event
  CC_EFRAME = -39,             // a damaged event-stream frame
  CC_EEXPECT = -40,            // an Expect header other than 100-continue
  CC_EROOM = -41,            // this machine has no descriptor, port or memory left for a connection
  CC_EENCODING = -42,        // a Content-Encoding that is not known here, or more than one
  CC_EENCODED = -43,         // the body is not what its Content-Encoding says, or not whole
  CC_EDECODED_SIZE = -44,    // the body is over the limit after decoding
  CC_ECONTENT_TIMEOUT = -45, // no content of an answer within content_ms
  CC_ENOMESSAGE = -46,       // success, but its JSON is not a message (or count)
  CC_ELAST = -46
};

// The name ("CC_EDNS") or the sentence of an error. Static text; "CC_EUNKNOWN" for other values.
const char *cc_error_name(int error);
const char *cc_error_text(int error);

// ---- The loop ----------------------------------------------------------------------------------

enum cc_event_type {
  CC_EVENT_NONE = 0,
  CC_EVENT_READY = 1,   // id: an exchange whose request head is here, and its body if detail is 1
  CC_EVENT_BODY = 2,    // id: the rest of the body of an accepted exchange is here
  CC_EVENT_OUTCOME = 3, // id: attempt number detail of this exchange has come to something
  CC_EVENT_TIMER = 4,   // id: the exchange's timer rang (0: the timer number detail of the process)
  CC_EVENT_WRITABLE = 5, // id: the client of a streaming answer takes bytes again
  CC_EVENT_DONE = 6,     // id: the exchange has ended; cc_report still works until the next cc_next
  CC_EVENT_FILE = 7,     // detail: the watch whose folder has changed
  CC_EVENT_CHILD = 8,    // detail: the worker slot whose process has ended
  CC_EVENT_MESSAGE = 9,  // detail: the worker slot it came from (-1: the master); see cc_message
  CC_EVENT_SIGNAL = 10,  // detail: the signal number
  CC_EVENT_FETCH = 11    // id: a request of our own has its answer; see cc_fetched
};

struct cc_event {
  uint32_t type;
  int32_t detail;
  cc_id id;
};

// Bounds and deadlines of a process. Zero means none for the deadlines and for connections.
struct cc_settings {
  uint32_t head_bytes;   // request and response heads
  uint32_t headers;      // number of header fields in a head
  uint32_t target_bytes; // request target
  uint32_t body_bytes;   // request body
  uint32_t connections;  // client connections of this process, within its share of descriptors
  uint32_t event_bytes;  // one event of a stream
  uint32_t buffer_bytes; // bytes waiting for a slow peer before its source is paused
  uint32_t head_ms;      // request head, absolute
  uint32_t body_ms;      // between two reads of a request body
  uint32_t keepalive_ms; // idle client connection
  uint32_t write_ms;     // a peer that takes no byte
  uint32_t content_ms;   // from the request to the first content that goes to the client
  uint32_t total_ms;     // whole exchange
  uint32_t connect_ms;   // resolving, connecting and TLS of an attempt
  uint32_t idle_ms;      // between two reads of a response body
  uint32_t ping_ms;      // silence of a stream before the client gets a ping
  uint32_t pool_idle_ms; // idle upstream connection
  uint32_t pool_age_ms;  // upstream connection, from its start
  uint32_t pool_size;    // idle upstream connections of one origin
};

// A relay with its loop for this process; never fails (allocation failure aborts).
struct cc_relay *cc_open(void);

// Closes everything at once and frees the relay. Ids become void.
void cc_close(struct cc_relay *relay);

// Fills in the settings in force; cc_configure replaces them for everything that starts later.
void cc_settings(struct cc_relay *relay, struct cc_settings *settings);
int cc_configure(struct cc_relay *relay, const struct cc_settings *settings);

// Runs the loop until there is one event and fills it in. False when nothing is left that could
// make an event (no listener, exchange, timer, signal or channel is open).
bool cc_next(struct cc_relay *relay, struct cc_event *event);

double cc_now(void);
double cc_time(void);

// Fills size bytes at out from the system's random source.
int cc_random(void *out, uint32_t size);

// Scripts (policies, adapters) tell when their own code runs, and when the library's does that they
// called or that called them. The first counts towards the deadline on stays in Lua, and is ended
// by it with an ordinary error; what is called counts a tenth, the rest of the library nothing.
enum cc_place { CC_LIBRARY, CC_SCRIPT, CC_CALLED };
void cc_watchdog_enter(int place);

// Scripts of another exchange run now: what those before have used does not count for them.
void cc_watchdog_restart(struct cc_relay *relay, cc_id exchange);

// A timer of the process: event TIMER with id 0 and this detail after delay_ms. Starting a number
// again moves it; a negative delay stops it. number is 0 to 15.
int cc_timer(struct cc_relay *relay, int number, double delay_ms);

// Watches the folder path for changes of any file in it: returns a watch number of 0 or more (the
// same one for the same folder), or an error. Quick changes are not merged.
int cc_watch(struct cc_relay *relay, const char *path);
void cc_unwatch(struct cc_relay *relay, int watch);

// Turns signal number into events.
int cc_signal(struct cc_relay *relay, int number);

// ---- Listeners ---------------------------------------------------------------------------------

struct cc_listen {
  struct cc_slice host; // address without brackets; empty for a unix socket
  uint32_t port;        // 0: the system's choice
  struct cc_slice path; // unix socket
  uint32_t copies;      // sockets that share the address (SO_REUSEPORT), one per worker
  struct cc_slice cert; // PEM files, the same for all listeners; both empty: no TLS
  struct cc_slice key;
};

// Binds and listens, without accepting: returns a listener number of 0 or more, or CC_EADDRESS,
// CC_ETLS (certificate or key unusable), CC_EINVAL. cc_system_error() tells more.
int cc_listen(struct cc_relay *relay, const struct cc_listen *spec);

// Writes a digest of the two files (32 bytes) to out; it changes with any byte of them. CC_OK, or
// CC_ETLS when one cannot be read: cc_system_error() names it.
int cc_tls_digest(const char *cert, const char *key, uint8_t *out);

// Replace the certificate and key of the listeners in two steps. cc_tls_prepare reads the files again:
// CC_OK, or CC_ETLS when they cannot be used or do not have this digest (cc_system_error() tells more).
// With the digest of those in force nothing is read.
// cc_tls_commit puts in force what was prepared last, if anything was: for connections that are
// accepted from then on.
int cc_tls_prepare(struct cc_relay *relay, const uint8_t *digest);
void cc_tls_commit(struct cc_relay *relay);

// The port a listener is bound to, or 0.
uint32_t cc_listener_port(struct cc_relay *relay, int listener);

// Accepts on copy number copy of a listener in this process. The copies stay open in the master,
// so that what waits for a dead worker is served by its replacement.
int cc_accept(struct cc_relay *relay, int listener, uint32_t copy);

// Stops accepting everywhere in this process, closes idle client connections, answers the rest
// with "connection: close".
void cc_drain(struct cc_relay *relay);

// Client connections that are open, and exchanges that are not over.
uint32_t cc_connections(struct cc_relay *relay);
uint32_t cc_exchanges(struct cc_relay *relay);

// Ends every exchange still going: a committed event stream gets a typed error event, everything
// else is cut.
void cc_abandon(struct cc_relay *relay);

// What the operating system said at the last CC_ESYSTEM, CC_EADDRESS or CC_ETLS of this thread.
const char *cc_system_error(void);

// ---- Master and workers ------------------------------------------------------------------------

// Makes the shared mapping with room for workers processes. Once, before anything that uses it.
int cc_share(uint32_t workers);

// Forks a worker for slot. In the child: returns 1 and replaces *relay by a fresh relay that has
// the parent's listeners (not accepting) and the channel to the master; ends when the master ends.
// In the parent: returns 0. Else an error.
int cc_fork(struct cc_relay **relay, uint32_t slot);

// Forks a process that is no worker and is killed when this one ends: 0 in the child, its pid
// in the parent, or an error. Before anything else of this section.
int cc_child(void);

// Forks a process for what may never come back, or end its process: 0 in the child, which is killed
// with this one, has nothing of the relay, and ends by cc_preflight_end. In the parent its id, or an error
// below 0; the FETCH event follows, always. cc_fetched: error CC_OK when it ended by itself, status
// its exit code, body what it said. CC_ETOTAL_TIMEOUT (killed), CC_EBODY_SIZE (it said too much),
// CC_ESYSTEM (ended by a signal: status is minus that); body is what it said until then.
cc_id cc_preflight(struct cc_relay *relay, uint32_t timeout_ms, uint32_t answer_bytes);
// In the child, and nothing elsewhere: adds to what it says; ends it.
void cc_preflight_write(const char *data, uint32_t size);
void cc_preflight_end(void);

struct cc_worker {
  int32_t pid;      // 0: none
  int32_t status;   // exit code, or minus the signal, of the last process in this slot
  double started;   // cc_time() of its start
  double beat;      // cc_now() of its last look at the loop
  double busy;      // cc_now() since when it has been in Lua; 0: it waits
  double exchanges; // open exchanges
  bool script;      // a script's code runs, or ran when the process ended
};
int cc_worker(uint32_t slot, struct cc_worker *out);

// Sends signal number to the process in slot.
int cc_kill(uint32_t slot, int number);

// Sends a message over the channel: from the master to a worker's slot, from a worker to -1.
// Up to 16 MiB.
int cc_send(struct cc_relay *relay, int slot, const char *data, uint32_t size);

// The bytes of the MESSAGE event just returned.
int cc_message(struct cc_relay *relay, struct cc_slice *out);

// ---- Cells: named numbers that all processes share and a reload leaves alone -------------------

// The cell called name (1 to 63 bytes), made with 0 and "" when new: returns its number, or
// CC_ELIMIT when the table is full.
int cc_cell(const char *name, uint32_t size);
double cc_cell_get(int cell);
void cc_cell_set(int cell, double value);
// Adds and returns the new value. Values are whole numbers within 2^53; fractions are cut.
double cc_cell_add(int cell, double value);
// Sets desired if the cell holds expected.
bool cc_cell_swap(int cell, double expected, double desired);
// A short text in the cell (up to 191 bytes, longer is cut): reading copies it out, returns size.
int cc_cell_text(int cell, char *out, uint32_t capacity);
void cc_cell_write(int cell, const char *text, uint32_t size);
// The name of a cell for listing, 0 to cc_cells()-1; an empty slice past the end.
int cc_cells(void);
int cc_cell_name(int cell, struct cc_slice *out);

// ---- Limits: sliding windows of 60 s, shared like cells ----------------------------------------

struct cc_rates { // a minute; 0: unlimited
  double requests;
  double tokens;
  double input_tokens;
  double output_tokens;
};

struct cc_reservation { // one reservation
  int32_t limit;
  uint32_t second;    // where it was booked
  uint32_t entry;     // of this worker's open reservations; 0: of none
  uint32_t resets[4]; // of the learned remainders it took from, by kind; 0: from none
  double requests;
  double input_tokens;
  double output_tokens;
};

// The limit called name (1 to 63 bytes): returns its number, or CC_ELIMIT when the table is full.
int cc_limit(const char *name, uint32_t size);

// The configured rates, and rates and remainders learned from a provider's headers. The stricter
// one of the two counts. remaining and reset_ms (cc_now) describe one kind: 0 requests, 1 tokens,
// 2 input, 3 output. reservation: of the request whose answer tells so, which remaining has counted; or
// NULL.
void cc_limit_configure(int limit, const struct cc_rates *rates);
void cc_limit_learn(int limit, uint32_t kind, double rate, double remaining, double reset_ms,
                    double now_ms, struct cc_reservation *reservation);

// Milliseconds until one request and its estimated tokens would fit: 0 when they do. Books nothing.
// ahead: requests, input and output tokens (its .tokens is not read) that others will take first; NULL:
// nothing. The time is never too short, but may be too long, as no request is split over two minutes.
double cc_limit_wait(int limit, double now_ms, double input_tokens, double output_tokens,
                     const struct cc_rates *ahead);

// Books one request and its estimated tokens, such that no 60 s window is over any rate: CC_OK
// and the reservation; or CC_ELIMIT, *wait_ms until it would fit, and nothing booked.
int cc_limit_reserve(int limit, double now_ms, double input_tokens, double output_tokens,
                     struct cc_reservation *reservation, double *wait_ms);

// The same for so many requests at once, without tokens, as a batch is. More than the rate fit in an
// empty window. Should this worker die they stay booked.
int cc_limit_reserve_requests(int limit, double now_ms, double requests,
                              struct cc_reservation *reservation, double *wait_ms);

// Replaces the estimate by what was really used: input where it was booked, for the provider counted
// it then; output over the estimate at now_ms, for it was made until then. cc_limit_refund takes all
// back (never sent).
void cc_limit_commit(const struct cc_reservation *reservation, double now_ms, double input_tokens,
                     double output_tokens);
void cc_limit_refund(const struct cc_reservation *reservation, double now_ms);

// The least free share over all configured rates, 0 to 1; 1 when unlimited.
double cc_limit_headroom(int limit, double now_ms);

// What the last 60 s hold: rates fills with usage.
void cc_limit_usage(int limit, double now_ms, struct cc_rates *used);

// Every limit is as when it was new: for tests, while nobody else books.
void cc_limits_clear(void);

// ---- Exchange: the client's request ------------------------------------------------------------

struct cc_request {
  struct cc_slice method;
  struct cc_slice path;  // as sent, without the query
  struct cc_slice query; // without '?'
  struct cc_slice peer;  // address of the client, "unix" for a unix socket
  int32_t listener;
  int32_t error; // CC_OK, or why the request was refused before Lua saw it
  uint32_t headers;
  uint32_t body_bytes; // received so far; after cc_request_decode the decoded ones
  double started;      // cc_now() of its first byte
};

int cc_request(struct cc_relay *relay, cc_id exchange, struct cc_request *out);

// The first header called name (any case): CC_OK or CC_ENOTFOUND. Index runs from 0. CC_ESTATE once
// the answer has begun.
int cc_request_header(struct cc_relay *relay, cc_id exchange, const char *name, uint32_t size,
                      struct cc_slice *value);
int cc_request_header_at(struct cc_relay *relay, cc_id exchange, uint32_t index,
                         struct cc_slice *name, struct cc_slice *value);

// Whether this relay has sent the request itself, so that it would go round for ever (CDN-Loop, RFC 8586).
bool cc_request_loops(struct cc_relay *relay, cc_id exchange);

// Asks for the body without its Content-Encoding (gzip, deflate, br or zstd, RFC 9110 section 8.4):
// what is here is decoded now, the rest as it comes, up to settings.body_bytes. Everything that reads
// the body then sees the decoded one, and attempts do not pass Content-Encoding on. To be
// called before cc_request_accept, else CC_ESTATE. CC_EENCODING: this encoding is not decoded, and the
// body stays as it is. A fault of the body itself (CC_EENCODED, CC_EDECODED_SIZE) is what
// cc_request_scan returns, and the body is empty then.
int cc_request_decode(struct cc_relay *relay, cc_id exchange);

// Lets the body in (sends 100-continue when the client waits for it): CC_OK when it is whole
// already, CC_ESTATE when a BODY event will tell.
int cc_request_accept(struct cc_relay *relay, cc_id exchange);

int cc_request_body(struct cc_relay *relay, cc_id exchange, struct cc_slice *out);

enum cc_feature {         // what a Messages body asks for
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

struct cc_scan {
  struct cc_slice model; // raw text between the quotes
  bool stream;
  uint32_t features;
  double max_tokens;     // 0 when absent
  struct cc_slice file;  // raw text of the first file_id in a content block or its source, of 256
                         // bytes at most
  uint32_t images;       // in base64
  double image_bytes;    // of their base64
  double document_bytes; // of documents in base64
  uint32_t error_offset; // byte at which the text stops being what it should be
};

// Validates the whole body as one JSON object (RFC 8259, strict UTF-8) with one string "model" of 1 to
// 512 bytes, and finds what routing needs. CC_EJSON*, CC_EMODEL with error_offset otherwise.
// Remembered: asking again costs nothing.
int cc_request_scan(struct cc_relay *relay, cc_id exchange, struct cc_scan *out);

// The same of any text, into which out's slices point.
int cc_scan(const char *body, uint32_t size, struct cc_scan *out);

// The raw JSON text of the member at a dotted path ("metadata.user_id"); of doubled names the
// last. CC_ENOTFOUND when absent.
int cc_request_field(struct cc_relay *relay, cc_id exchange, const char *path, uint32_t size,
                     struct cc_slice *json);

// Event TIMER for this exchange after delay_ms; one at a time, a negative delay stops it.
int cc_exchange_timer(struct cc_relay *relay, cc_id exchange, double delay_ms);

// ---- Attempt: one try at one upstream ----------------------------------------------------------

struct cc_origin {
  bool tls;
  bool allow_public_http; // plain http to a public address is refused without it
  struct cc_slice host;
  uint32_t port;
  struct cc_slice ca_file;    // extra CA, PEM
  struct cc_slice proxy_host; // HTTP proxy to go through; empty: none
  uint32_t proxy_port;
  struct cc_slice proxy_auth; // value for Proxy-Authorization, or empty
};

// The number of an origin, the same for equal contents. Its pool outlives reloads. CC_EINVAL for
// a bad host, CC_ETLS when ca_file cannot be used.
int cc_origin(struct cc_relay *relay, const struct cc_origin *spec);

enum cc_framing {
  CC_FRAMING_MESSAGES = 0,   // a Messages answer: JSON, or SSE held at the gate
  CC_FRAMING_OPAQUE = 1,     // anything: passed on from the head
  CC_FRAMING_EVENTSTREAM = 2 // a Messages answer whose stream comes in frames of AWS (told by its
                             // content-type or its first byte) and goes on as SSE
};

enum cc_success {         // what the JSON of a success must be, else the outcome is a failure
  CC_SUCCESS_MESSAGE = 0, // a message of the Messages API
  CC_SUCCESS_COUNT = 1,   // an object with the number input_tokens
  CC_SUCCESS_OBJECT = 2   // any object
};

struct cc_attempt_spec {
  uint32_t framing;    // enum cc_framing
  uint32_t success;    // enum cc_success
  bool stream;         // the client asked for a stream, so success must be an event stream;
                       // its bytes tell, whatever its content-type says
  uint32_t head_ms;    // until the response head; for !stream until the connection stands
  uint32_t gate_bytes; // held at most
  uint32_t gate_ms;    // from the head to the first content event; 0: no bound
  bool gate_opens;     // what happens then: the gate opens, or CC_EGATE_TIMEOUT
  uint32_t
      entries[3]; // of cc_reservation: with the first byte sent they stay, should this worker die
};

// Begins an attempt at an origin: returns its number, 0 or 1. With both numbers taken it ends one:
// one that is over before one that is under way, the older before the younger. CC_ESTATE after the answer was chosen or while the body is not whole.
int cc_attempt_begin(struct cc_relay *relay, cc_id exchange, int origin,
                     const struct cc_attempt_spec *spec);

// What is sent. The method is the client's unless set. The target is what goes behind the origin.
// Headers may be added in any order; of an equal name, what the script set wins. cc_attempt_pass_headers adds those
// of the client that may travel: of names (in small letters, separated by spaces) those that are there,
// and with none all but hop-by-hop headers, credentials, what forwards or rewrites a request and what
// caches and clouds' gateways obey (headers.c). CDN-Loop goes along in any case, with a line of this
// relay (hops.h), and is CC_EINVAL for cc_attempt_header, like host, content-length and accept-encoding.
int cc_attempt_method(struct cc_relay *relay, cc_id exchange, int attempt, const char *text,
                      uint32_t size);
int cc_attempt_target(struct cc_relay *relay, cc_id exchange, int attempt, const char *text,
                      uint32_t size);
int cc_attempt_header(struct cc_relay *relay, cc_id exchange, int attempt, const char *name,
                      uint32_t name_size, const char *value, uint32_t value_size);
int cc_attempt_pass_headers(struct cc_relay *relay, cc_id exchange, int attempt, const char *names,
                            uint32_t size);

// Splices into this attempt's view of the body: sets a top-level member to JSON text (adds it at
// the end when absent), or removes the members at a path with their commas. A path is names joined
// by ".", with "[]" behind a name for every item of that array, as in
// "messages[].content[].cache_control". All other bytes stay as they came. CC_EINVAL for a path that
// is none.
int cc_attempt_set(struct cc_relay *relay, cc_id exchange, int attempt, const char *field,
                   uint32_t field_size, const char *json, uint32_t json_size);
int cc_attempt_remove(struct cc_relay *relay, cc_id exchange, int attempt, const char *path,
                      uint32_t size);

// The body with the splices made so far (malloc'ed: cc_free); and another body in its place, to
// which no splice applies.
int cc_attempt_body(struct cc_relay *relay, cc_id exchange, int attempt, char **out,
                    uint32_t *out_size);
int cc_attempt_replace(struct cc_relay *relay, cc_id exchange, int attempt, const char *text,
                       uint32_t size);

struct cc_signer { // AWS Signature Version 4
  struct cc_slice access_key;
  struct cc_slice secret_key;
  struct cc_slice session_token; // or empty
  struct cc_slice region;
  struct cc_slice service;
  double skew_ms; // what the wall clock is behind the service's
};

// Has the request signed when it is sent: each time it goes over a connection, with the time of
// that moment. The hash of a large body is taken in pieces, between which the loop goes on.
// Signed are host, content-type and x-amz-*; CC_EINVAL when a text does not fit a header.
int cc_attempt_sign(struct cc_relay *relay, cc_id exchange, int attempt,
                    const struct cc_signer *signer);

// Sends it. The OUTCOME event follows, always.
int cc_attempt_send(struct cc_relay *relay, cc_id exchange, int attempt);

// Whether the request may have reached the upstream, in any state of the attempt until DONE was
// handled; false for one that there is not.
bool cc_attempt_sent(struct cc_relay *relay, cc_id exchange, int attempt);

// Gives an attempt up; no OUTCOME follows any more.
int cc_attempt_cancel(struct cc_relay *relay, cc_id exchange, int attempt);

struct cc_usage { // tokens, as the provider counted them; the last figure of each wins
  double input;
  double output;
  double cache_read;
  double cache_5m;
  double cache_1h;
};

struct cc_outcome {
  int32_t error;  // CC_OK: transport and gate found no fault; the status may be one
  int32_t status; // HTTP status, 0 without a head
  bool complete;  // the whole body is held
  bool sent;      // the request may have reached the upstream
  bool reused;    // it went over a pooled connection
  uint32_t headers;
  struct cc_slice body;       // what is held of it (an SSE answer: its held events)
  double connect_ms;          // time until connected, from sending
  double head_ms;             // until the head; 0 without one
  double gate_ms;             // until the outcome
  uint32_t changed_bytes;     // of the body, by splices
  struct cc_slice detail;     // what TLS or the system said, or ""
  struct cc_slice error_type; // error.type of the body or of the first event, or ""
  bool usage_known;           // what an attempt that is not chosen has used so far
  struct cc_usage usage;
};

int cc_outcome(struct cc_relay *relay, cc_id exchange, int attempt, struct cc_outcome *out);
int cc_outcome_header(struct cc_relay *relay, cc_id exchange, int attempt, const char *name,
                      uint32_t size, struct cc_slice *value);
int cc_outcome_header_at(struct cc_relay *relay, cc_id exchange, int attempt, uint32_t index,
                         struct cc_slice *name, struct cc_slice *value);

// Puts another body (copied) in the place of the one of an answer that is held whole; status and
// headers stay as they came. Slices of the body before are void. CC_ESTATE when there is no such body:
// of an event stream, of an attempt that failed, or one of which more is to come.
int cc_outcome_replace(struct cc_relay *relay, cc_id exchange, int attempt, const char *body,
                       uint32_t size);

// ---- Answer ------------------------------------------------------------------------------------

// A header of the answer: replaces the upstream's of that name; an empty value removes it.
int cc_answer_header(struct cc_relay *relay, cc_id exchange, const char *name, uint32_t name_size,
                     const char *value, uint32_t value_size);

// Gives the client this attempt's answer: what is held, then the rest as it comes. Other attempts
// are given up. break_with_event: a stream that dies ends with a typed error event, not by a cut.
int cc_answer_outcome(struct cc_relay *relay, cc_id exchange, int attempt, bool break_with_event);

// Gives the client an answer of our own.
int cc_answer(struct cc_relay *relay, cc_id exchange, int status, const char *body, uint32_t size);

// Begins an answer of our own in pieces. cc_answer_write returns CC_OK, or CC_ELIMIT when taken
// but the client is slow: a WRITABLE event tells when to go on.
int cc_answer_begin(struct cc_relay *relay, cc_id exchange, int status);
int cc_answer_write(struct cc_relay *relay, cc_id exchange, const char *data, uint32_t size);
int cc_answer_end(struct cc_relay *relay, cc_id exchange);

// Begins the answer to a client that wants an event stream before there is one: 200, the headers set
// so far, a ping now and one after each ping_ms of silence. What is given later comes in that stream:
// of an outcome only an event stream (CC_ESTATE, and nothing has changed, when it is none), an answer
// of our own as an error event with the body (JSON) as its data, one in pieces as it is written.
int cc_answer_early(struct cc_relay *relay, cc_id exchange);

// Breaks the connection to the client, with RST or FIN; before or within an answer. raw bytes, if
// any, are written first just as they are.
int cc_answer_break(struct cc_relay *relay, cc_id exchange, bool reset, const char *raw,
                    uint32_t size);

struct cc_report {
  int32_t status;        // sent to the client; 0: none
  int32_t error;         // CC_OK: all of the answer was handed over and was whole
  int32_t attempt;       // whose answer it was; -1: our own
  uint32_t attempts;     // tries made
  double request_bytes;  // of the body, decoded if cc_request_decode was asked
  double response_bytes; // body bytes to the client
  double started;
  double first_byte_ms; // from the start to the first byte of the answer; 0: none
  double total_ms;
  uint32_t events; // of a stream
  uint32_t pings;  // made here
  bool stream;
  bool usage_known;
  bool usage_final; // the output is all there was; else it was counted before there was much
  struct cc_usage usage;
  struct cc_slice stream_error; // error.type of an error event that was passed on, or ""
};

int cc_report(struct cc_relay *relay, cc_id exchange, struct cc_report *out);

// ---- Fetch: a request of the relay's own, for credentials and status ---------------------------

struct cc_fetch {
  int32_t origin;
  struct cc_slice method;
  struct cc_slice target;
  struct cc_slice headers; // lines "Name: value", each ended by LF
  struct cc_slice body;
  uint32_t timeout_ms;   // over all
  uint32_t answer_bytes; // of the answer's body, at most
};

// Sends it: returns its id, or an error below 0. The FETCH event follows, always. Redirects are
// not followed: their status is the answer.
cc_id cc_fetch(struct cc_relay *relay, const struct cc_fetch *spec);

struct cc_fetched {
  int32_t error;
  int32_t status;
  struct cc_slice body;
  struct cc_slice detail;
};

// What came of a fetch, and its headers; until the next cc_next after the FETCH event.
int cc_fetched(struct cc_relay *relay, cc_id id, struct cc_fetched *out);
int cc_fetched_header(struct cc_relay *relay, cc_id id, const char *name, uint32_t size,
                      struct cc_slice *value);

// Connects to an origin, TLS included, sends nothing and closes: its id. The FETCH event follows,
// always; cc_fetched tells by error and detail what hindered it.
cc_id cc_connect_check(struct cc_relay *relay, int origin, uint32_t timeout_ms);

struct cc_command {
  struct cc_slice arguments; // the program and its arguments, each ended by NUL; no shell
  uint32_t timeout_ms;       // then it is killed, with all it has started
  uint32_t answer_bytes;     // of its output, at most
};

// Runs a program of the user's, for credentials: its id, or an error below 0. The FETCH event
// follows, always. cc_fetched: error CC_OK when it ended by itself, status its exit code, body what
// it wrote to stdout, detail the beginning of what it wrote to stderr. CC_ETOTAL_TIMEOUT,
// CC_EBODY_SIZE, CC_ENOTFOUND (no such program), CC_ESYSTEM (killed, or could not be started).
cc_id cc_run(struct cc_relay *relay, const struct cc_command *spec);

// The headers that sign a request of our own (AWS Signature Version 4) for cc_fetch: lines
// "name: value", each ended by LF (malloc'ed: cc_free). headers are the lines that are sent besides;
// those named x-amz-* and content-type are signed too. CC_EINVAL when a text does not fit.
int cc_sign(const struct cc_signer *signer, double time_ms, const char *method, const char *host,
            const char *target, const char *headers, const char *body, uint32_t body_size,
            char **out, uint32_t *out_size);

// ---- Secrets: named credentials that all processes share and a reload leaves alone -------------

struct cc_secret {
  double expires;    // cc_time() until which it may be used; 0: there is none
  double retry;      // cc_time() before which a fetch that failed is not to be repeated
  uint32_t version;  // counts writes
  uint32_t failures; // fetches that failed, in a row
  uint32_t size;
  bool claimed; // a process is fetching it
};

// The secret called name (1 to 63 bytes), made empty when new: returns its number, or CC_ELIMIT
// when the table is full.
int cc_secret(const char *name, uint32_t size);
int cc_secret_look(int secret, struct cc_secret *out);

// Copies it out and wipes nothing: returns its size and fills in the version read; CC_ENOTFOUND
// when there is none, CC_ELIMIT when it is over capacity.
int cc_secret_read(int secret, char *out, uint32_t capacity, uint32_t *version);

// Asks to be the one process that fetches it: true at most once until it is written, failed, or
// lease_ms have passed or the process has ended. now is cc_now().
bool cc_secret_claim(int secret, double now, double lease_ms);

// What came of the fetch; both end the claim. Up to 12 KiB, CC_ELIMIT above. expires, retry: cc_time().
int cc_secret_write(int secret, const char *data, uint32_t size, double expires);
void cc_secret_fail(int secret, double retry);

// The service refused it: of no use any more, if it is still this version.
void cc_secret_void(int secret, uint32_t version);

// ---- Log ---------------------------------------------------------------------------------------

// Where lines go: "stdout", "stderr" or a path. A line is written whole by a thread of its own;
// when the sink is stuck, lines are dropped and counted, and the relay goes on. After cc_share the
// count is one of the master and all workers.
int cc_log_open(const char *path);
void cc_log(const char *line, uint32_t size);
double cc_log_dropped(void);
// Waits until all lines are written, for wait_ms at most.
void cc_log_flush(double wait_ms);

// ---- Small things ------------------------------------------------------------------------------

// "0.1.0"; the library versions in use ("libuv 1.44.2, llhttp 8.1.0, ..."); and this file.
const char *cc_version(void);
const char *cc_libraries(void);
const char *cc_relay_header(void);

// SHA-256 of data, 32 bytes at out; and comparing of secrets in constant time.
int cc_sha256(const char *data, uint32_t size, uint8_t *out);
int cc_sha1(const char *data, uint32_t size, uint8_t *out); // 20 bytes; names of files only
bool cc_equal(const uint8_t *a, const uint8_t *b, uint32_t size);

// Decodes a JSON string (text with its quotes) into out: returns its size, or an error. A lone
// surrogate becomes U+FFFD.
int cc_json_decode(const char *text, uint32_t size, char *out, uint32_t capacity);

// The JSON object text without the members at a path (see cc_attempt_remove; all of doubled ones): CC_OK
// and malloc'ed text (cc_free), the same bytes when it has none; CC_EJSON when it is no object,
// CC_EINVAL when the path is none.
int cc_json_without(const char *text, uint32_t size, const char *path, uint32_t path_size,
                    char **out, uint32_t *out_size);

// How many items the array at a dotted path of the JSON object text has: 0 when there is no array,
// CC_EJSON* when the text is no JSON object. Of doubled names the last counts.
int cc_json_count(const char *text, uint32_t size, const char *path, uint32_t path_size);

// Base64 (RFC 4648) of bytes, malloc'ed (cc_free): with padding, or in the alphabet for URLs without.
int cc_base64(const char *data, uint32_t size, bool url, char **out, uint32_t *out_size);

// A JWT (RFC 7519) signed with RS256: the parts in base64url joined by dots, malloc'ed (cc_free).
// key is a private RSA key in PEM (PKCS #1 or #8), header and claims are JSON texts. CC_EINVAL when
// the key cannot be used.
int cc_jwt(const char *key, uint32_t key_size, const char *header, uint32_t header_size,
           const char *claims, uint32_t claims_size, char **out, uint32_t *out_size);

// True when text is one JSON value in strict UTF-8, nothing else.
bool cc_json_valid(const char *text, uint32_t size);

// Parses TOML 1.0. CC_OK and JSON text in which every value tells its line (0: unknown):
// {"line":n,"table":{name:value}}, {"line":n,"list":[value]} or {"line":n,"type":t,"text":"..."}
// where t is string, integer (exact decimal), float, boolean or date. Or CC_EINVAL, CC_ELIMIT (over
// 65536 values, 20000 tables, 16384 members of one or 32 levels) with the reason as text and *line
// (0: unknown). The text is malloc'ed in every case: free it with cc_free.
int cc_toml(const char *text, uint32_t size, char **out, uint32_t *out_size, uint32_t *line);
void cc_free(void *memory);

// Reads the file at path, without blocking on a FIFO or device: CC_OK and malloc'ed bytes;
// CC_ENOTFOUND, CC_ESYSTEM, CC_ELIMIT when over limit bytes, CC_EINVAL when it is no regular file.
// Symbolic links are followed: owner, group and mode are those of the file they lead to. They are
// filled in on CC_OK.
struct cc_file {
  char *data;
  uint32_t size;
  uint32_t owner;
  uint32_t group;
  uint32_t mode;
};
int cc_file_read(const char *path, uint32_t limit, struct cc_file *out);
// Reads the target of the symbolic link at path to out, without a NUL, and returns its size. CC_EINVAL
// when it is no link, CC_ENOTFOUND, CC_ESYSTEM, CC_ELIMIT when it does not fit into less than capacity
// bytes.
int cc_file_link(const char *path, char *out, uint32_t capacity);
// The running user and its primary group.
uint32_t cc_user(void);
uint32_t cc_group(void);
// Names of the entries of a folder that end in suffix, joined by NUL (malloc'ed).
int cc_folder(const char *path, const char *suffix, char **out, uint32_t *out_size);
// Sets the name ps shows, and whether this process may dump core (secrets!).
void cc_process(const char *title);
int cc_getpid(void);
int cc_cpus(void); // that this process may use
bool cc_terminal(int fd);

#pragma GCC visibility pop
#endif
