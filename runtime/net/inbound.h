// SPDX-License-Identifier: Apache-2.0
// One client connection: requests in, one after the other; answers out.
#ifndef CC_NET_INBOUND_H
#define CC_NET_INBOUND_H
#include "codec/http1.h"
#include "net/stream.h"
#include "net/timer.h"

struct cc_inbound;

struct cc_inbound_settings {
  struct cc_http1_limits limits;
  uint32_t body_bytes, head_ms, body_ms, keepalive_ms, write_ms;
};

// What the server above is told. user is inbound->user, its own.
struct cc_inbound_events {
  void (*head)(struct cc_inbound *in, const struct cc_http1_head *head); // a request begins
  void (*body)(struct cc_inbound *in, struct cc_slice piece);
  void (*complete)(struct cc_inbound *in);    // the request is whole
  void (*pause_point)(struct cc_inbound *in); // all bytes at hand are used, request still open
  void (*refuse)(struct cc_inbound *in,
                 int error);            // malformed or too slow: answer it, then it closes
  void (*drain)(struct cc_inbound *in); // the client takes bytes again
  void (*gone)(struct cc_inbound *in,
               int error);                // CC_ECLIENT_GONE or CC_EWRITE_TIMEOUT; no call after it
  void (*closed)(struct cc_inbound *in);  // its memory goes after this; may be NULL
  bool (*crowded)(struct cc_inbound *in); // a client waits for a place; NULL: none ever does
};

enum cc_inbound_phase {
  CC_INBOUND_HEAD,   // waiting for a request, or in its head
  CC_INBOUND_BODY,   // in its body
  CC_INBOUND_WHOLE,  // the request is here, or refused; the answer is under way
  CC_INBOUND_FLUSH,  // the answer is complete, not all of it has gone
  CC_INBOUND_LINGER, // reads and drops, so that the client can read the answer
  CC_INBOUND_CLOSED
};

struct cc_inbound {
  struct cc_stream stream;
  struct cc_timer timer;
  struct cc_http1 *parser;
  const struct cc_inbound_events *events;
  struct cc_inbound_settings *settings; // the listener's, outlives the connection
  void *server;                         // whom the events are for
  void *user;                           // the exchange under way, or NULL
  struct cc_inbound *next, *previous;   // the listener's
  struct cc_buffer ahead;               // bytes that came before their time
  int32_t listener;
  uint8_t phase; // enum cc_inbound_phase
  uint8_t handles;
  bool served;    // has had an answer
  bool held;      // body not let in yet
  bool admitted;  // body let in
  bool unread;    // the request is refused, or answered before its end: the rest is dropped
  bool keep;      // connection may carry another request
  bool answering; // the answer's head has been written
  bool chunked;   // the answer under way
  bool headless;  // the answer must have no body (HEAD, 204, 304)
  bool sized;     // the answer has a Content-Length
  bool draining;
  bool stalling;              // bytes are queued, the write deadline runs
  bool again;                 // the timer rings for the bytes in ahead
  struct cc_inbound **corked; // inbound_answer.c's pointer to it while it is corked, else NULL
  double body_left;           // bytes the answer still owes under Content-Length
  double received;            // body bytes of this request
  double dropped;             // bytes read and thrown away
  double written; // bytes given to the stream, and how many of them had gone at progress_at
  double gone_out;
  uint64_t progress_at;
  char peer[48];
};

// Adopts a connection that server has pending and starts to read; NULL when it is already gone.
// TLS may be put on its stream at once after it.
struct cc_inbound *cc_inbound_accept(uv_stream_t *server, struct cc_inbound_settings *settings,
                                     const struct cc_inbound_events *events, void *owner);

// Lets the body in; with Expect: 100-continue says so first.
void cc_inbound_admit(struct cc_inbound *in);

// Writes the head: status, the given headers (framing, Connection and Date among them are left
// out), Date, and the framing: length of the body, or -1 for pieces (chunked, or until close for
// HTTP/1.0). CC_EINVAL: a header cannot be written, CC_ECLIENT_GONE: too late; nothing is written.
// Unread request body: the rest is read and thrown away, within bounds, and the connection closes
// after the answer.
int cc_inbound_head(struct cc_inbound *in, int status, const struct cc_header *headers,
                    uint32_t count, double length);
// Writes a piece of the body; for an answer that must have none it is dropped. CC_ESTATE without a
// head or beyond the announced length.
int cc_inbound_write(struct cc_inbound *in, const struct cc_slice *parts, unsigned count);
// The answer is complete: the connection goes on to the next request, or closes. One that is
// shorter than announced, or has no head, is broken instead.
void cc_inbound_end(struct cc_inbound *in);
// Breaks the connection without completing the answer; reset: with RST (always so for an answer
// that ends with the connection). gone is not called.
void cc_inbound_break(struct cc_inbound *in, bool reset);

// Between the two, both within one call from the loop, what is written gathers (in copies when
// small) and goes out in as few writes as can be; cc_inbound_end and cc_inbound_break uncork.
void cc_inbound_cork(struct cc_inbound *in);
int cc_inbound_uncork(struct cc_inbound *in);

size_t cc_inbound_queued(const struct cc_inbound *in);
// No further request on this connection; an idle one closes now.
void cc_inbound_drain(struct cc_inbound *in);
// True between two requests: it has had an answer, and no byte of the next request has come.
bool cc_inbound_is_idle(const struct cc_inbound *in);
#endif
