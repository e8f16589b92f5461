// SPDX-License-Identifier: Apache-2.0
// A client connection: reads requests, one after the other, and writes answers.
#ifndef CC_NET_INBOUND_H
#define CC_NET_INBOUND_H
#include "codec/http1.h"
#include "net/stream.h"
#include "net/timer.h"
#include "net/trust.h"

struct cc_inbound;

struct cc_inbound_settings {
  struct cc_http1_limits limits;
  uint32_t body_bytes, head_ms, body_ms, keepalive_ms, write_ms;
  const struct cc_trust *trust; // outlives the connections
};

// Callbacks of the server. inbound->user belongs to it.
struct cc_inbound_events {
  void (*head)(struct cc_inbound *in, const struct cc_http1_head *head); // a request begins
  void (*body)(struct cc_inbound *in, struct cc_slice piece);
  void (*complete)(struct cc_inbound *in);    // the request is complete
  void (*pause_point)(struct cc_inbound *in); // all bytes at hand are used, the request goes on
  void (*refuse)(struct cc_inbound *in,
                 int error);            // malformed or too slow: answer it, then it closes
  void (*named)(struct cc_inbound *in); // the PROXY protocol header has been read: put TLS on now
  void (*unnamed)(struct cc_inbound *in,
                  int error);           // there is none that counts; the connection is closed
  void (*drain)(struct cc_inbound *in); // the client takes bytes again
  void (*gone)(struct cc_inbound *in,
               int error);                // CC_ECLIENT_GONE or CC_EWRITE_TIMEOUT; no call after it
  void (*closed)(struct cc_inbound *in);  // its memory is freed after this; may be NULL
  bool (*crowded)(struct cc_inbound *in); // whether a client waits for a place; NULL: never
};

enum cc_inbound_phase {
  CC_INBOUND_HEAD,   // waiting for a request, or in its head
  CC_INBOUND_BODY,   // in its body
  CC_INBOUND_WHOLE,  // the request is complete or refused; the answer is under way
  CC_INBOUND_FLUSH,  // the answer is complete, but not all of it is sent
  CC_INBOUND_LINGER, // reads and drops, so that the client can read the answer
  CC_INBOUND_CLOSED
};

struct cc_inbound {
  struct cc_stream stream;
  struct cc_timer timer;
  struct cc_http1 *parser;
  const struct cc_inbound_events *events;
  struct cc_inbound_settings *settings; // the listener's, outlives the connection
  void *server;                         // given to the callbacks
  void *user;                           // the exchange under way, or NULL
  struct cc_inbound *next, *previous;   // the listener's
  struct cc_buffer ahead;               // bytes of the next request
  int32_t listener;
  uint8_t phase; // enum cc_inbound_phase
  uint8_t handles;
  bool proxied;   // begins with a PROXY protocol header, which is not complete
  bool served;    // has had an answer
  bool held;      // the body is not let in yet
  bool admitted;  // body let in
  bool unread;    // the request is refused, or answered before its end: the rest is dropped
  bool keep;      // connection may carry another request
  bool answering; // the answer's head has been written
  bool chunked;   // the answer under way
  bool headless;  // the answer must have no body (HEAD, 204, 304)
  bool sized;     // the answer has a Content-Length
  bool draining;
  bool stalling;              // bytes are queued, the write deadline runs
  bool again;                 // the timer is for the bytes in ahead
  struct cc_inbound **corked; // inbound_answer.c's pointer to it while it is corked, else NULL
  double body_left;           // bytes of the answer that Content-Length still wants
  double received;            // body bytes of this request
  double dropped;             // bytes read and thrown away
  double written; // bytes given to the stream, and how many of them had gone at progress_at
  double gone_out;
  uint64_t progress_at;
  char peer[CC_PEER];
};

// Takes a connection that waits at server and starts to read; NULL when it has gone already. TLS may be put
// on its stream right after that, or cc_inbound_expect_proxy called.
struct cc_inbound *cc_inbound_accept(uv_stream_t *server, struct cc_inbound_settings *settings,
                                     const struct cc_inbound_events *events, void *owner);

// The connection begins with a PROXY protocol header, before TLS; in->peer becomes the address in it. Without a valid
// one, or if in->peer is not trusted, unnamed is called and the connection closed.
void cc_inbound_expect_proxy(struct cc_inbound *in);

// Lets the body in; sends 100 (Continue) first if the client waits for it.
void cc_inbound_admit(struct cc_inbound *in);

// Writes the head: status, the given headers (without framing, Connection and Date), Date, and the framing:
// length is that of the body, or -1 for pieces (chunked, or until close for HTTP/1.0). CC_EINVAL when a
// header cannot be written, CC_ECLIENT_GONE when it is too late; nothing is written then. If the request
// body is not read yet, the rest is read and dropped, within bounds, and the connection closes after the
// answer.
int cc_inbound_head(struct cc_inbound *in, int status, const struct cc_header *headers,
                    uint32_t count, double length);
// Writes a piece of the body; dropped for an answer that must have none. CC_ESTATE before the head, and
// beyond the announced length.
int cc_inbound_write(struct cc_inbound *in, const struct cc_slice *parts, unsigned count);
// Completes the answer: the connection goes on to the next request, or closes. An answer that is shorter
// than announced, or has no head, breaks the connection instead.
void cc_inbound_end(struct cc_inbound *in);
// Breaks the connection without completing the answer. reset: with RST (always for an answer that ends with
// the connection). gone is not called.
void cc_inbound_break(struct cc_inbound *in, bool reset);

// What is written between the two, within one call from the loop, is gathered and goes out in as few writes
// as possible. cc_inbound_end and cc_inbound_break uncork.
void cc_inbound_cork(struct cc_inbound *in);
int cc_inbound_uncork(struct cc_inbound *in);

size_t cc_inbound_queued(const struct cc_inbound *in);
// Allows no further request on this connection; an idle one closes now.
void cc_inbound_drain(struct cc_inbound *in);
// Whether it is between two requests: it has had an answer, and no byte of the next request has come.
bool cc_inbound_is_idle(const struct cc_inbound *in);
#endif
