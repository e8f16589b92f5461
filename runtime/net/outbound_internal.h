// SPDX-License-Identifier: Apache-2.0
// What outbound.c, dial.c, tunnel.c, origin.c and pool.c share.
//
// A connection walks through the phases from top to bottom; from READY to POOLED it goes round.
#ifndef CC_NET_OUTBOUND_INTERNAL_H
#define CC_NET_OUTBOUND_INTERNAL_H
#include "net/outbound.h"

enum {
  CC_PHASE_RESOLVING,
  CC_PHASE_CONNECTING,
  CC_PHASE_TUNNELLING, // CONNECT is sent to the proxy
  CC_PHASE_SECURING,   // TLS handshake
  CC_PHASE_WAKING,     // taken from the pool, ready not told yet
  CC_PHASE_READY,
  CC_PHASE_MESSAGE, // from cc_outbound_begin to the end of the response
  CC_PHASE_ENDED,
  CC_PHASE_POOLED,
  CC_PHASE_CLOSED
};

struct cc_pool_origin {
  struct cc_origin_key key;     // host without brackets
  struct cc_tls_config *config; // NULL without TLS
  char *authority;              // host:port
  char *host;                   // the same without the scheme's default port
  char *prefix;
  bool forbidden;           // plain http to a public literal by way of a proxy
  union cc_address worked;  // where the last connection was made to, or CC_NO_ADDRESS
  struct cc_outbounds idle; // most recently used first
  uint32_t idle_count;
};

struct cc_pool {
  uv_idle_t idle; // runs while somebody is to be told
  struct cc_resolver *resolver;
  struct cc_pool_settings settings;
  struct cc_pool_origin **origins;
  int origin_count;
  struct cc_outbounds busy, leaving;
  struct cc_outbounds later, notifying;
  uint32_t references; // the idle handle and every connection
  bool closed;
};

// outbound.c. A new connection, not dialling yet; one that is taken out of the pool.
struct cc_outbound *cc_outbound_new(struct cc_pool *pool, struct cc_pool_origin *origin);
void cc_outbound_on_idle(struct cc_outbound *out); // the loop's turn after cc_pool_notify_later
void cc_outbound_ready(struct cc_outbound *out);
// Takes a connected stream over: its events are the outbound's from here on.
void cc_outbound_adopt(struct cc_outbound *out, struct cc_stream *stream);
// Closes it without callbacks: at once, or in order (what is queued and close_notify still go out).
void cc_outbound_close(struct cc_outbound *out, bool at_once);
void cc_outbound_fail(struct cc_outbound *out, int error);
// Copies the text for a failure, up to 119 bytes.
void cc_outbound_set_detail(struct cc_outbound *out, const char *words);
// dial.c
void cc_dial(struct cc_outbound *out);
void cc_dial_secure(struct cc_outbound *out);             // TLS if the origin wants it
void cc_dial_secured(struct cc_outbound *out, int error); // phase SECURING
void cc_dial_timeout(struct cc_outbound *out);

// tunnel.c
void cc_tunnel(struct cc_outbound *out);
void cc_tunnel_read(struct cc_outbound *out, const char *data, size_t size);
void cc_tunnel_end(struct cc_outbound *out);

// origin.c
void cc_pool_origin_free(struct cc_pool_origin *origin);

// pool.c
void cc_pool_move(struct cc_outbound *out, struct cc_outbounds *list);
void cc_pool_notify_later(struct cc_outbound *out); // cc_outbound_on_idle from the loop
void cc_pool_cancel_notify(struct cc_outbound *out);
void cc_pool_keep(struct cc_outbound *out);   // into the idle list, within the limits
void cc_pool_unlist(struct cc_outbound *out); // before its memory is freed
void cc_pool_release(struct cc_pool *pool);
bool cc_pool_too_old(const struct cc_outbound *out);
#endif
