// SPDX-License-Identifier: Apache-2.0
#include "attempt/headers.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void cc_fields_add(struct cc_fields *fields, struct cc_slice name, struct cc_slice value) {
  if (fields->count == fields->capacity) {
    fields->capacity = fields->capacity ? fields->capacity * 2 : 8;
    fields->items = cc_realloc(fields->items, fields->capacity * sizeof *fields->items);
  }
  struct cc_field *field = &fields->items[fields->count++];
  *field = (struct cc_field){(uint32_t)fields->text.size, name.size,
                             (uint32_t)fields->text.size + name.size, value.size};
  cc_buffer_reserve_secret(&fields->text, (size_t)name.size + value.size);
  cc_buffer_add(&fields->text, name.data, name.size);
  cc_buffer_add(&fields->text, value.data, value.size);
}

void cc_fields_set(struct cc_fields *fields, struct cc_slice name, struct cc_slice value) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < fields->count; i++)
    if (!cc_slice_same_nocase(cc_fields_name(fields, i), name))
      fields->items[kept++] = fields->items[i];
  fields->count = kept;
  cc_fields_add(fields, name, value);
}

int cc_fields_find(const struct cc_fields *fields, struct cc_slice name) {
  for (uint32_t i = 0; i < fields->count; i++)
    if (cc_slice_same_nocase(cc_fields_name(fields, i), name)) return (int)i;
  return -1;
}

struct cc_slice cc_fields_name(const struct cc_fields *fields, uint32_t index) {
  const struct cc_field *field = &fields->items[index];
  return cc_slice(fields->text.data + field->name, field->name_size);
}

struct cc_slice cc_fields_value(const struct cc_fields *fields, uint32_t index) {
  const struct cc_field *field = &fields->items[index];
  return cc_slice(fields->text.data + field->value, field->value_size);
}

void cc_fields_free(struct cc_fields *fields) {
  cc_buffer_wipe(&fields->text);
  free(fields->items);
  *fields = (struct cc_fields){0};
}

static bool begins(struct cc_slice name, struct cc_slice prefix) {
  return name.size >= prefix.size && cc_slice_same_nocase(cc_slice(name.data, prefix.size), prefix);
}

// Is the name one of these, or does it begin with one that ends in "-"? They are in small letters.
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

bool cc_fields_is_hop(struct cc_slice name) {
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

bool cc_fields_is_credential(struct cc_slice name) {
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

// What a request says of itself; who forwarded it, and for whom; what servers take for
// another method or target; instructions to caches; what clouds' own gateways obey.
bool cc_fields_may_go_up(struct cc_slice name) {
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
  return !cc_fields_is_hop(name) && !cc_fields_is_credential(name) && !among(name, names);
}

bool cc_fields_may_go_down(struct cc_slice name) {
  static const char *const names[] = {
      "content-length", "set-cookie", "alt-svc", "date", "strict-transport-security", NULL};
  return !cc_fields_is_hop(name) && !among(name, names);
}

bool cc_fields_listed(struct cc_slice list, struct cc_slice name) {
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
