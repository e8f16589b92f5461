// SPDX-License-Identifier: Apache-2.0
// A connection to an upstream: DNS, connecting, proxy tunnel, TLS; then one HTTP message at a time. It belongs to
// the pool or to exactly one user.
#ifndef CC_NET_OUTBOUND_H
#define CC_NET_OUTBOUND_H
#include "codec/http1.h"
#include "net/connect.h"
#include "net/stream.h"
#include "net/timer.h"
#include <sys/queue.h>

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

// Callbacks of the user. An error is final: after fail returns, the connection is closed and the pointer is
// invalid. Each callback may release, drop, pause or resume the connection; after release and drop no
// callback comes. drain may be NULL.
struct cc_outbound_events {
  void (*ready)(struct cc_outbound *out); // connected (also when it was pooled)
  void (*drain)(struct cc_outbound *out); // the upstream takes bytes again
  void (*head)(struct cc_outbound *out, const struct cc_http1_head *head); // not for 1xx
  void (*body)(struct cc_outbound *out, struct cc_slice piece);
  void (*end)(struct cc_outbound *out); // the response is complete
  void (*fail)(struct cc_outbound *out, int error);
};

struct cc_outbound {
  struct cc_stream *stream; // NULL until connected
  struct cc_http1 *parser;
  const struct cc_outbound_events *events;
  void *user;  // belongs to the user; NULL while pooled
  bool reused; // has carried a message before
  bool tls_failed;
  const char *detail; // what TLS, the proxy or the system said of a failure; "" when nothing
  // the rest belongs to outbound.c, dial.c, tunnel.c and pool.c
  struct cc_pool *pool;
  struct cc_pool_origin *origin;
  TAILQ_ENTRY(cc_outbound) entry, later_entry;
  struct cc_outbounds *list;  // it is in: busy, idle or leaving
  struct cc_outbounds *later; // to be notified from the loop
  struct cc_timer timer;
  struct cc_lookup *lookup;
  struct cc_connector *connector; // while connecting
  union cc_address address;       // it is connected to
  uint64_t born;
  struct cc_buffer kept; // bytes that came while paused
  size_t kept_used;
  int over; // with held and finished: how the peer ended
  uint8_t phase;
  uint8_t handles; // open handles; freed when none
  bool paused;
  bool held;     // the response goes on with kept when resumed
  bool finished; // the peer ended while paused
  bool spent;    // never to be used again
};

TAILQ_HEAD(cc_outbounds, cc_outbound);

// A pool of origins and their connections for one loop. A time of 0 is no limit; with size 0 no connection is
// kept. New settings hold for connections that begin, or are given back, later.
struct cc_pool_settings {
  uint32_t idle_ms, age_ms, size, connect_ms;
  struct cc_http1_limits limits;
  uint32_t
      most; // connections, idle ones included; to make a new one beyond it an idle one is closed
};
struct cc_pool *cc_pool_new(uv_loop_t *loop, struct cc_resolver *resolver);
void cc_pool_configure(struct cc_pool *pool, const struct cc_pool_settings *settings);
// Closes all connections without callbacks; frees itself when the loop has run. To be called before
// cc_resolver_close.
void cc_pool_close(struct cc_pool *pool);

// The number of an origin, the same for equal keys (contents are copied) as long as the pool lives.
// CC_EINVAL, CC_ETLS. A ca_file that has changed is read again; if that fails, the old one stays in use.
int cc_pool_origin(struct cc_pool *pool, const struct cc_origin_key *key);

// Takes the most recently used idle connection of an origin, unless fresh; else begins a new one, for which
// connect_ms bound DNS, addresses, proxy and TLS together. events->ready follows from the loop, never from
// within. A pooled connection may still fail, with reused set: the peer had closed it.
struct cc_outbound *cc_pool_take(struct cc_pool *pool, int origin, bool fresh,
                                 const struct cc_outbound_events *events, void *user);

// The number of idle connections of an origin.
int cc_pool_idle(struct cc_pool *pool, int origin);

// What the head needs: the value of Host, the value of Proxy-Authorization (or NULL), and the prefix of the
// target ("", or "http://host:port" when an HTTP proxy relays plain http).
const char *cc_outbound_host(const struct cc_outbound *out);
const char *cc_outbound_proxy_auth(const struct cc_outbound *out);
const char *cc_outbound_prefix(const struct cc_outbound *out);

// Begins a message: once after ready, before the request is written. Bytes or an end from the peer before
// that are CC_ERESET. head_request: the answer has no body.
void cc_outbound_begin(struct cc_outbound *out, bool head_request);

// Writes as cc_stream_write does. CC_ESTATE before cc_outbound_begin. The user watches out->stream->queued for
// back-pressure.
int cc_outbound_write(struct cc_outbound *out, const struct cc_slice *parts, unsigned count);
// No callback for what the peer does until it is resumed, also from within a callback.
void cc_outbound_pause(struct cc_outbound *out);
void cc_outbound_resume(struct cc_outbound *out); // nothing is called from within

// Gives the connection back after end: it is pooled if it may be used again, else closed. A user that has not
// written its whole request must drop it instead.
void cc_outbound_release(struct cc_outbound *out);
// Closes it at once, at any point; no further callback.
void cc_outbound_drop(struct cc_outbound *out);
#endif
