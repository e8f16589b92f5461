// SPDX-License-Identifier: Apache-2.0
// One connection to an upstream: resolving, connecting, proxy tunnel, TLS; then one HTTP message
// at a time. It belongs to the pool or to exactly one user.
#ifndef CC_NET_OUTBOUND_H
#define CC_NET_OUTBOUND_H
#include "codec/http1.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "net/timer.h"

struct cc_pool;
struct cc_outbound;

struct cc_origin_key { // texts end with NUL and are owned by the origin
  bool tls;
  bool allow_public_http;
  char *host;
  uint16_t port;
  char *ca_file;    // NULL: none
  char *proxy_host; // NULL: none
  uint16_t proxy_port;
  char *proxy_auth; // NULL: none
};

// What the user of a connection is told. Every error is final: the connection is closed and gone
// after fail returns, the user forgets its pointer.
struct cc_outbound_events {
  void (*ready)(struct cc_outbound *out);                  // stands (also for a pooled one)
  void (*drain)(struct cc_outbound *out);                  // takes bytes again
  void (*head)(struct cc_outbound *out, const struct cc_http1_head *head); // not for 1xx
  void (*body)(struct cc_outbound *out, struct cc_slice piece);
  void (*end)(struct cc_outbound *out);                    // the response is complete
  void (*fail)(struct cc_outbound *out, int error);
};

struct cc_outbound {
  struct cc_stream stream;
  struct cc_http1 *parser;
  const struct cc_outbound_events *events;
  void *user;                 // the user's; NULL while pooled
  bool reused;                // has carried a message before
  bool tls_failed;
  // the rest is outbound.c's and pool.c's
  struct cc_pool *pool;
  struct cc_origin *origin;
  struct cc_outbound *next, *previous;
  struct cc_timer timer;
  struct cc_lookup *lookup;
  struct cc_addresses addresses;
  int address;
  uint64_t born;
  uint8_t phase;
  uint8_t handles;            // open handles; freed when none
  bool paused;
  char detail[120];
};

// A pool of origins and their connections for one loop.
struct cc_pool_settings {
  uint32_t idle_ms, age_ms, size, connect_ms;
  struct cc_http1_limits limits;
};
struct cc_pool *cc_pool_new(uv_loop_t *loop, struct cc_resolver *resolver);
void cc_pool_configure(struct cc_pool *pool, const struct cc_pool_settings *settings);
void cc_pool_close(struct cc_pool *pool); // closes all; frees itself when the loop has run

// The origin's number, the same for equal keys (contents are copied), or CC_EINVAL, CC_ETLS.
int cc_pool_origin(struct cc_pool *pool, const struct cc_origin_key *key);

// Takes the most recently used idle connection of an origin, unless fresh; else begins a new one.
// events->ready follows from the loop, never from within. Connecting has connect_ms over
// all (lookup, addresses one after the other, proxy, TLS).
struct cc_outbound *cc_pool_take(struct cc_pool *pool, int origin, bool fresh,
                                 const struct cc_outbound_events *events, void *user);

// What the head must begin with: the Host value, the value of Proxy-Authorization (or NULL) and
// the prefix of the target ("" or "http://host:port" when an HTTP proxy relays plain http).
const char *cc_outbound_host(const struct cc_outbound *out);
const char *cc_outbound_proxy_auth(const struct cc_outbound *out);
const char *cc_outbound_prefix(const struct cc_outbound *out);

// Writes; see cc_stream_write. The user watches out->stream.queued.
int cc_outbound_write(struct cc_outbound *out, const struct cc_slice *parts, unsigned count);
void cc_outbound_pause(struct cc_outbound *out);
void cc_outbound_resume(struct cc_outbound *out); // nothing is called from within

// Gives the connection back after end: it is pooled if it may be used again, else closed.
void cc_outbound_release(struct cc_outbound *out);
// Gives it up at any point: closed at once, no further call.
void cc_outbound_drop(struct cc_outbound *out);
#endif
