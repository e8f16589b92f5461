// SPDX-License-Identifier: Apache-2.0
#include "attempt/headers.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void cc_headers_add(struct cc_headers *headers, struct cc_slice name, struct cc_slice value) {
  if (headers->count == headers->capacity) {
    headers->capacity = headers->capacity ? headers->capacity * 2 : 8;
    headers->items = cc_realloc(headers->items, headers->capacity * sizeof *headers->items);
  }
  struct cc_header_span *span = &headers->items[headers->count++];
  *span = (struct cc_header_span){(uint32_t)headers->text.size, name.size,
                                  (uint32_t)headers->text.size + name.size, value.size};
  cc_buffer_reserve_secret(&headers->text, (size_t)name.size + value.size);
  cc_buffer_add(&headers->text, name.data, name.size);
  cc_buffer_add(&headers->text, value.data, value.size);
}

void cc_headers_set(struct cc_headers *headers, struct cc_slice name, struct cc_slice value) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < headers->count; i++)
    if (!cc_slice_same_nocase(cc_headers_name(headers, i), name))
      headers->items[kept++] = headers->items[i];
  headers->count = kept;
  cc_headers_add(headers, name, value);
}

int cc_headers_find(const struct cc_headers *headers, struct cc_slice name) {
  for (uint32_t i = 0; i < headers->count; i++)
    if (cc_slice_same_nocase(cc_headers_name(headers, i), name)) return (int)i;
  return -1;
}

struct cc_slice cc_headers_name(const struct cc_headers *headers, uint32_t index) {
  const struct cc_header_span *span = &headers->items[index];
  return cc_slice(headers->text.data + span->name, span->name_size);
}

struct cc_slice cc_headers_value(const struct cc_headers *headers, uint32_t index) {
  const struct cc_header_span *span = &headers->items[index];
  return cc_slice(headers->text.data + span->value, span->value_size);
}

void cc_headers_free(struct cc_headers *headers) {
  cc_buffer_wipe(&headers->text);
  free(headers->items);
  *headers = (struct cc_headers){0};
}

static bool begins(struct cc_slice name, struct cc_slice prefix) {
  return name.size >= prefix.size && cc_slice_same_nocase(cc_slice(name.data, prefix.size), prefix);
}

// Whether a name is among the names, or begins with one that ends in "-". names are in lower case.
static bool among(struct cc_slice name, const char *const *names) {
  int first = name.size ? name.data[0] | 0x20 : 0;
  for (; *names; names++) {
    if (**names != first) continue;
    struct cc_slice known = cc_slice_text(*names);
    bool is_prefix = known.data[known.size - 1] == '-';
    if (begins(name, known) && (is_prefix || name.size == known.size)) return true;
  }
  return false;
}

bool cc_headers_is_hop(struct cc_slice name) {
  static const char *const names[] = {"connection",
                                      "keep-alive",
                                      "te",
                                      "trailer",
                                      "upgrade",
                                      "transfer-encoding",
                                      "proxy-connection",
                                      "proxy-authorization",
                                      "proxy-authenticate",
                                      NULL};
  return among(name, names);
}

bool cc_headers_is_credential(struct cc_slice name) {
  static const char *const names[] = {"authorization",
                                      "x-api-key",
                                      "api-key",
                                      "cookie",
                                      "cookie2",
                                      "x-goog-api-key",
                                      "x-authorization",
                                      "x-auth-token",
                                      "ocp-apim-subscription-key",
                                      NULL};
  return among(name, names);
}

// Not passed on: what describes the client's own request; who forwarded it, and for whom; what servers
// take for another method or target; instructions to caches; what the gateways of clouds obey.
bool cc_headers_may_go_up(struct cc_slice name) {
  static const char *const names[] = {"host",
                                      "content-length",
                                      "expect",
                                      "accept-encoding",
                                      "forwarded",
                                      "via",
                                      "x-forwarded",
                                      "x-forwarded-",
                                      "x-real-ip",
                                      "x-client-ip",
                                      "client-ip",
                                      "true-client-ip",
                                      "x-cluster-client-ip",
                                      "x-host",
                                      "x-remote-",
                                      "remote-",
                                      "x-envoy-",
                                      "cf-",
                                      "fastly-",
                                      "x-azure-",
                                      "x-http-method",
                                      "x-http-method-",
                                      "x-method-override",
                                      "x-original-",
                                      "x-rewrite-",
                                      "cache-control",
                                      "pragma",
                                      "surrogate-",
                                      "x-amz-",
                                      "x-goog-",
                                      "x-ms-",
                                      NULL};
  return !cc_headers_is_hop(name) && !cc_headers_is_credential(name) && !among(name, names);
}

bool cc_headers_may_go_down(struct cc_slice name) {
  static const char *const names[] = {
      "content-length", "set-cookie", "alt-svc", "date", "strict-transport-security", NULL};
  return !cc_headers_is_hop(name) && !among(name, names);
}

bool cc_headers_listed(struct cc_slice list, struct cc_slice name) {
  const char *at = list.data, *end = list.data + list.size;
  while (at < end) {
    while (at < end && (*at == ',' || *at == ' ' || *at == '\t'))
      at++;
    const char *stop = at;
    while (stop < end && *stop != ',' && *stop != ' ' && *stop != '\t')
      stop++;
    if (cc_slice_same_nocase(cc_slice(at, (size_t)(stop - at)), name)) return true;
    at = stop;
  }
  return false;
}
