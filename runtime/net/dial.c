// SPDX-License-Identifier: Apache-2.0
// How a connection comes to stand: name, addresses one after the other, proxy, TLS, all within one
// deadline.
#include "net/dial.h"
#include <stdio.h>
#include <stdlib.h>

enum { ADDRESS_MS = 250 };

static uint64_t now(const struct cc_outbound *out) {
  return uv_now(out->pool->idle.loop);
}

static uint64_t left(const struct cc_outbound *out) {
  return out->deadline > now(out) ? out->deadline - now(out) : 0;
}

// "Could not connect" says less than a refusal or a timeout of another address.
static void note(struct cc_outbound *out, int error, const char *words) {
  if (error == CC_ECONNECT && out->failure) return;
  out->failure = error;
  cc_outbound_say(out, words);
}

static bool permitted(const struct cc_outbound *out, const union cc_address *address) {
  const struct cc_origin_key *key = &out->origin->key;
  return key->tls || key->proxy_host || key->allow_public_http || cc_address_is_private(address);
}

static void limit_address(struct cc_outbound *out) {
  if (!out->deadline) return;
  uint64_t all = left(out), share = all / (uint64_t)(out->addresses->count - out->address);
  if (share < ADDRESS_MS) share = ADDRESS_MS;
  cc_timer_set(&out->timer, share < all ? share : all);
}

static void connect_to(struct cc_outbound *out, union cc_address *address) {
  const struct cc_origin_key *key = &out->origin->key;
  cc_address_set_port(address, key->proxy_host ? key->proxy_port : key->port);
  limit_address(out);
  out->address++;
  out->phase = CC_PHASE_CONNECTING;
  out->open = true;
  out->handles++;
  out->stream.data = out;
  cc_stream_connect(&out->stream, out->pool->idle.loop, &address->any, &cc_outbound_stream_events);
}

static void next_address(struct cc_outbound *out) {
  for (; out->address < out->addresses->count; out->address++) {
    union cc_address *address = &out->addresses->list[out->address];
    if (out->deadline && !left(out)) break;
    if (permitted(out, address)) {
      connect_to(out, address);
      return;
    }
    note(out, CC_EADDRESS_FORBIDDEN, "");
  }
  cc_outbound_fail(out, out->address < out->addresses->count ? CC_ECONNECT_TIMEOUT : out->failure);
}

static void resolved(void *data, int error, const struct cc_addresses *found) {
  struct cc_outbound *out = data;
  out->lookup = NULL;
  if (error) {
    cc_outbound_fail(out, error);
  } else if (out->origin->forbidden) {
    cc_outbound_fail(out, CC_EADDRESS_FORBIDDEN);
  } else {
    out->addresses = cc_alloc(sizeof *out->addresses);
    *out->addresses = *found;
    next_address(out);
  }
}

void cc_dial(struct cc_outbound *out) {
  const struct cc_origin_key *key = &out->origin->key;
  uint32_t limit = out->pool->settings.connect_ms;
  out->phase = CC_PHASE_RESOLVING;
  uv_update_time(out->pool->idle.loop); // it may be long since the loop has run
  if (limit) out->deadline = now(out) + limit;
  cc_timer_set(&out->timer, limit);
  const char *host = key->proxy_host ? key->proxy_host : key->host;
  out->lookup = cc_resolve(out->pool->resolver, host, resolved, out);
}

static void abandon_address(struct cc_outbound *out, int error, const char *words) {
  note(out, error, words);
  cc_timer_stop(&out->timer);
  out->phase = CC_PHASE_SWITCHING;
  cc_stream_reset(&out->stream);
}

void cc_dial_connected(struct cc_outbound *out, int error) {
  if (error) {
    abandon_address(out, error, cc_stream_detail(&out->stream));
    return;
  }
  const struct cc_origin_key *key = &out->origin->key;
  cc_outbound_say(out, "");
  free(out->addresses);
  out->addresses = NULL;
  if (out->deadline) cc_timer_set(&out->timer, left(out) ? left(out) : 1);
  if (key->tls && key->proxy_host) {
    cc_tunnel(out);
  } else {
    cc_dial_secure(out);
  }
}

void cc_dial_switched(struct cc_outbound *out) {
  next_address(out);
}

void cc_dial_secure(struct cc_outbound *out) {
  const struct cc_pool_origin *origin = out->origin;
  if (!origin->key.tls) {
    cc_outbound_ready(out);
    return;
  }
  out->phase = CC_PHASE_SECURING;
  int error = cc_stream_tls_client(&out->stream, origin->config, origin->key.host);
  if (error) cc_dial_secured(out, error);
}

void cc_dial_secured(struct cc_outbound *out, int error) {
  if (!error) {
    cc_outbound_ready(out);
    return;
  }
  out->tls_failed = true;
  cc_outbound_fail(out, CC_ETLS);
}

void cc_dial_timeout(struct cc_outbound *out) {
  static const char *const words[] = {
      [CC_PHASE_RESOLVING] = "no answer about the host name",
      [CC_PHASE_CONNECTING] = "no answer from the address",
      [CC_PHASE_SWITCHING] = "no address answered",
      [CC_PHASE_TUNNELLING] = "no answer from the proxy",
      [CC_PHASE_SECURING] = "no end of the TLS handshake",
  };
  const char *text = words[out->phase];
  if (out->phase == CC_PHASE_CONNECTING) {
    abandon_address(out, CC_ECONNECT_TIMEOUT, text);
    return;
  }
  cc_outbound_say(out, text);
  cc_outbound_fail(out, CC_ECONNECT_TIMEOUT);
}
