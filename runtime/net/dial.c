// SPDX-License-Identifier: Apache-2.0
// Makes a connection: DNS, addresses (net/connect.c), proxy tunnel, TLS, all within one deadline. The
// address that worked last for an origin is tried first the next time.
#include "api/error.h"
#include "net/outbound_internal.h"
#include <stdlib.h>
#include <string.h>

static bool permitted(const struct cc_outbound *out, const union cc_address *address) {
  const struct cc_origin_key *key = &out->origin->key;
  return key->tls || key->proxy_host || key->allow_public_http || cc_address_is_private(address);
}

static void select_permitted(const struct cc_outbound *out, const struct cc_addresses *found,
                             struct cc_addresses *selected) {
  selected->count = 0;
  for (int i = 0; i < found->count; i++)
    if (permitted(out, &found->list[i])) selected->list[selected->count++] = found->list[i];
}

// ---- The address that worked -------------------------------------------------------------------

// Moves the address that worked last to the front; forgets it when the name no longer has it.
static void prefer_worked(struct cc_pool_origin *origin, struct cc_addresses *addresses) {
  union cc_address *list = addresses->list;
  for (int i = 0; i < addresses->count; i++) {
    if (!cc_address_same(&list[i], &origin->worked)) continue;
    memmove(list + 1, list, (size_t)i * sizeof *list);
    list[0] = origin->worked;
    return;
  }
  origin->worked = CC_NO_ADDRESS;
}

static void finish(struct cc_outbound *out) {
  out->origin->worked = out->address;
  cc_outbound_ready(out);
}

// ---- Steps -------------------------------------------------------------------------------------

static void connected(void *data, const struct cc_connected *result) {
  struct cc_outbound *out = data;
  out->connector = NULL;
  if (result->error) {
    cc_outbound_set_detail(out, result->detail);
    cc_outbound_fail(out, result->error);
    return;
  }
  out->address = result->address;
  cc_outbound_adopt(out, result->stream);
  const struct cc_origin_key *key = &out->origin->key;
  if (key->tls && key->proxy_host)
    cc_tunnel(out);
  else
    cc_dial_secure(out);
}

static void connect_to(struct cc_outbound *out, const struct cc_addresses *found) {
  const struct cc_origin_key *key = &out->origin->key;
  struct cc_addresses addresses;
  select_permitted(out, found, &addresses);
  if (!addresses.count || out->origin->forbidden) {
    cc_outbound_fail(out, CC_EADDRESS_FORBIDDEN);
    return;
  }
  prefer_worked(out->origin, &addresses);
  out->phase = CC_PHASE_CONNECTING;
  uint16_t port = key->proxy_host ? key->proxy_port : key->port;
  out->connector = cc_connector_new(out->pool->idle.loop, &addresses, port, connected, out);
}

static void resolved(void *data, int error, const struct cc_addresses *found) {
  struct cc_outbound *out = data;
  out->lookup = NULL;
  if (error)
    cc_outbound_fail(out, error);
  else
    connect_to(out, found);
}

void cc_dial(struct cc_outbound *out) {
  const struct cc_origin_key *key = &out->origin->key;
  out->phase = CC_PHASE_RESOLVING;
  uv_update_time(out->pool->idle.loop); // it may be long since the loop has run
  cc_timer_set(&out->timer, out->pool->settings.connect_ms);
  const char *host = key->proxy_host ? key->proxy_host : key->host;
  out->lookup = cc_resolve(out->pool->resolver, host, resolved, out);
}

void cc_dial_secure(struct cc_outbound *out) {
  const struct cc_pool_origin *origin = out->origin;
  if (!origin->key.tls) {
    finish(out);
    return;
  }
  out->phase = CC_PHASE_SECURING;
  int error = cc_stream_tls_client(out->stream, origin->config, origin->key.host);
  if (error) cc_dial_secured(out, error);
}

void cc_dial_secured(struct cc_outbound *out, int error) {
  if (!error) {
    finish(out);
    return;
  }
  out->tls_failed = true;
  cc_outbound_fail(out, CC_ETLS);
}

void cc_dial_timeout(struct cc_outbound *out) {
  static const char *const words[] = {
      [CC_PHASE_RESOLVING] = "the DNS look-up took too long",
      [CC_PHASE_CONNECTING] = "no answer from the address",
      [CC_PHASE_TUNNELLING] = "no answer from the proxy",
      [CC_PHASE_SECURING] = "the TLS handshake did not finish",
  };
  cc_outbound_set_detail(out, words[out->phase]);
  cc_outbound_fail(out, CC_ECONNECT_TIMEOUT);
}
