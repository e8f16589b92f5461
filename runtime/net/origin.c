// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include "net/outbound_internal.h"
#include "net/tls.h"
#include <stdlib.h>
#include <string.h>

static bool same_text(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_key(const struct cc_origin_key *a, const struct cc_origin_key *b) {
  return a->tls == b->tls && a->allow_public_http == b->allow_public_http && a->port == b->port &&
         a->proxy_port == b->proxy_port && same_text(a->host, b->host) &&
         same_text(a->ca_file, b->ca_file) && same_text(a->proxy_host, b->proxy_host) &&
         same_text(a->proxy_auth, b->proxy_auth);
}

// Whether a name or address may stand in a head: no blanks, control characters or delimiters.
static bool valid_host(const char *host) {
  size_t size = strlen(host);
  union cc_address address;
  if (!size || size > CC_RESOLVE_HOST) return false;
  if (strpbrk(host, ":[]%")) return cc_address_parse(host, &address);
  for (size_t i = 0; i < size; i++) {
    unsigned char byte = (unsigned char)host[i];
    if (byte <= ' ' || byte > '~' || strchr("/?#@\\\"<>^`{|}", byte)) return false;
  }
  return true;
}

static bool valid_key(const struct cc_origin_key *key) {
  if (!key->host || !valid_host(key->host) || !key->port) return false;
  if (!key->proxy_host) return !key->proxy_auth;
  if (!valid_host(key->proxy_host) || !key->proxy_port) return false;
  return !key->proxy_auth || cc_http1_is_value(cc_slice_text(key->proxy_auth));
}

static char *copy(const char *text) {
  return text ? cc_copy_text(text, strlen(text)) : NULL;
}

static char *copy_host(const char *host) {
  if (!host || host[0] != '[') return copy(host);
  return cc_copy_text(host + 1, strlen(host) - 2);
}

static char *text_of(struct cc_buffer *buffer) {
  cc_buffer_add(buffer, "", 1);
  return buffer->data;
}

static char *authority(const struct cc_origin_key *key, const char *scheme, bool port) {
  struct cc_buffer text = {0};
  bool six = strchr(key->host, ':') != NULL;
  cc_buffer_printf(&text, "%s%s%s%s", scheme, six ? "[" : "", key->host, six ? "]" : "");
  if (port) cc_buffer_printf(&text, ":%u", key->port);
  return text_of(&text);
}

static struct cc_pool_origin *new_origin(const struct cc_origin_key *key) {
  struct cc_pool_origin *origin = cc_alloc(sizeof *origin);
  union cc_address address;
  bool relayed = !key->tls && key->proxy_host, unusual = key->port != (key->tls ? 443 : 80);
  origin->key = *key;
  origin->key.host = copy_host(key->host);
  origin->key.ca_file = copy(key->ca_file);
  origin->key.proxy_host = copy_host(key->proxy_host);
  origin->key.proxy_auth = copy(key->proxy_auth);
  origin->authority = authority(&origin->key, "", true);
  origin->host = authority(&origin->key, "", unusual);
  origin->prefix = relayed ? authority(&origin->key, "http://", unusual) : copy("");
  origin->forbidden = relayed && !key->allow_public_http && cc_address_parse(key->host, &address) &&
                      !cc_address_is_private(&address);
  TAILQ_INIT(&origin->idle);
  return origin;
}

void cc_pool_origin_free(struct cc_pool_origin *origin) {
  cc_tls_release(origin->config);
  struct cc_origin_key *key = &origin->key;
  if (key->proxy_auth) cc_wipe(key->proxy_auth, strlen(key->proxy_auth));
  free(key->proxy_auth);
  free(key->proxy_host);
  free(key->ca_file);
  free(key->host);
  free(origin->authority);
  free(origin->host);
  free(origin->prefix);
  free(origin);
}

static int find_origin(const struct cc_pool *pool, const struct cc_origin_key *key) {
  struct cc_origin_key bare = *key;
  bare.host = copy_host(key->host);
  bare.proxy_host = copy_host(key->proxy_host);
  int number = 0;
  while (number < pool->origin_count && !same_key(&pool->origins[number]->key, &bare))
    number++;
  free(bare.host);
  free(bare.proxy_host);
  return number;
}

int cc_pool_origin(struct cc_pool *pool, const struct cc_origin_key *key) {
  struct cc_tls_config *config = NULL;
  if (!valid_key(key)) return CC_EINVAL;
  int error = key->tls ? cc_tls_client_new(key->ca_file, &config) : CC_OK;
  if (error) return error;
  int number = find_origin(pool, key);
  if (number == pool->origin_count) {
    size_t size = sizeof(struct cc_pool_origin *) * (size_t)++pool->origin_count;
    pool->origins = cc_realloc(pool->origins, size);
    pool->origins[number] = new_origin(key);
  }
  struct cc_pool_origin *origin = pool->origins[number];
  cc_tls_release(origin->config);
  origin->config = config;
  return number;
}
