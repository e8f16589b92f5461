// SPDX-License-Identifier: Apache-2.0
// Writes the head of an upstream request from the adapter's headers and those of the client that may be
// passed on; the client's head is never copied. The signature comes last.
#include "api/error.h"
#include "api/util.h"
#include "attempt/attempt.h"
#include "attempt/hops.h"
#include "sign/sigv4.h"
#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 1024, LAST_LINES = 128 };

// Reserves room for the lines behind it too, so that they do not cause a copy of the credentials.
static void add_field(struct cc_buffer *wire, struct cc_slice name, struct cc_slice value) {
  cc_buffer_reserve_secret(wire, (size_t)name.size + value.size + LAST_LINES);
  cc_buffer_add(wire, name.data, name.size);
  cc_buffer_add(wire, ": ", 2);
  cc_buffer_add(wire, value.data, value.size);
  cc_buffer_add(wire, "\r\n", 2);
}

static void add_own(struct cc_attempt *attempt) {
  for (uint32_t i = 0; i < attempt->request_headers.count; i++) {
    struct cc_slice name = cc_headers_name(&attempt->request_headers, i);
    struct cc_slice value = cc_headers_value(&attempt->request_headers, i);
    if (!value.size || (attempt->signing && cc_sigv4_makes(name))) continue;
    add_field(&attempt->wire, name, value);
  }
}

// If the adapter has given a list of the client's headers to pass on, no others are.
static bool may_pass(const struct cc_attempt *attempt, struct cc_slice name) {
  if (cc_hops_is_field(name)) return true;
  if (!cc_headers_may_go_up(name)) return false;
  struct cc_slice allowed = cc_slice(attempt->allowed.data, attempt->allowed.size);
  return !allowed.size || cc_headers_listed(allowed, name);
}

static void add_passed(struct cc_attempt *attempt) {
  const struct cc_http1_head *head = attempt->request->head;
  if (!attempt->pass || !head) return;
  const struct cc_header *connection = cc_http1_find(head, cc_slice_text("connection"));
  for (uint32_t i = 0; i < head->headers; i++) {
    struct cc_slice name = head->header[i].name;
    if (!may_pass(attempt, name) || cc_headers_find(&attempt->request_headers, name) >= 0) continue;
    if (attempt->request->decoded && cc_slice_is_nocase(name, "content-encoding")) continue;
    if (connection && cc_headers_listed(connection->value, name)) continue;
    if (attempt->signing && cc_sigv4_makes(name)) continue;
    add_field(&attempt->wire, name, head->header[i].value);
  }
}

static bool announces_length(const struct cc_attempt *attempt) {
  if (attempt->body_size) return true;
  struct cc_slice method = cc_slice(attempt->method.data, attempt->method.size);
  return cc_slice_is(method, "POST") || cc_slice_is(method, "PUT") || cc_slice_is(method, "PATCH");
}

// Reads the headers in wire, from offset `from` on, into out. Returns their number.
static size_t read_fields(const struct cc_buffer *wire, size_t from, struct cc_header *out) {
  size_t count = 0;
  for (const char *at = wire->data + from, *end = wire->data + wire->size; at < end;) {
    const char *colon = memchr(at, ':', (size_t)(end - at));
    const char *stop = memchr(colon, '\r', (size_t)(end - colon));
    out[count].name = cc_slice(at, (size_t)(colon - at));
    out[count++].value = cc_slice(colon + 2, (size_t)(stop - colon) - 2);
    at = stop + 2;
  }
  return count;
}

// Adds the signature of the headers on the wire, which begin at offset `from`. It comes after all of them.
static int add_signature(struct cc_attempt *attempt, size_t from) {
  struct cc_buffer *wire = &attempt->wire, lines = {0};
  size_t most = attempt->request_headers.count;
  if (attempt->request->head) most += attempt->request->head->headers;
  struct cc_header *headers = cc_alloc((most + 1) * sizeof *headers);
  struct cc_sigv4 request = {
      .signer = &attempt->signing->signer,
      .time_ms = cc_time(),
      .method = cc_slice(attempt->method.data, attempt->method.size),
      .host = cc_slice_text(cc_outbound_host(attempt->out)),
      .target = cc_slice(attempt->target.data, attempt->target.size),
      .headers = headers,
      .count = read_fields(wire, from, headers),
      .body_hash = cc_slice_text(attempt->signing->body),
      .options = CC_SIGV4_RELAY,
  };
  int error = cc_sigv4(&request, "\r\n", &lines);
  cc_buffer_reserve_secret(wire, lines.size + LAST_LINES);
  cc_buffer_add(wire, lines.data, lines.size);
  cc_buffer_wipe(&lines);
  free(headers);
  return error;
}

int cc_attempt_head(struct cc_attempt *attempt) {
  struct cc_buffer *wire = &attempt->wire;
  int error = CC_OK;
  cc_buffer_clear(wire);
  cc_buffer_reserve_secret(wire, HEAD_BYTES);
  cc_buffer_add(wire, attempt->method.data, attempt->method.size);
  cc_buffer_add(wire, " ", 1);
  cc_buffer_add_text(wire, cc_outbound_prefix(attempt->out));
  cc_buffer_add(wire, attempt->target.data, attempt->target.size);
  cc_buffer_add_text(wire, " HTTP/1.1\r\nHost: ");
  cc_buffer_add_text(wire, cc_outbound_host(attempt->out));
  cc_buffer_add_text(wire, "\r\n");
  const char *auth = cc_outbound_proxy_auth(attempt->out);
  if (auth && *cc_outbound_prefix(attempt->out))
    add_field(wire, cc_slice_text("Proxy-Authorization"), cc_slice_text(auth));
  size_t from = wire->size;
  add_own(attempt);
  add_passed(attempt);
  if (attempt->signing) error = add_signature(attempt, from);
  cc_hops_add(wire);
  cc_buffer_add_text(wire, "Accept-Encoding: identity\r\n");
  if (announces_length(attempt)) {
    cc_buffer_add_text(wire, "Content-Length: ");
    cc_buffer_add_number(wire, attempt->body_size);
    cc_buffer_add_text(wire, "\r\n");
  }
  cc_buffer_add_text(wire, "\r\n");
  return error;
}
