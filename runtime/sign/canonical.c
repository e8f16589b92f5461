// SPDX-License-Identifier: Apache-2.0
// The service rebuilds this text from what it received and compares signatures, so every byte here depends on
// the bytes on the wire alone.
#include "sign/canonical.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool unreserved(uint8_t byte) {
  return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
         (byte >= '0' && byte <= '9') || (byte && strchr("-._~", byte));
}

static void add_encoded(struct cc_buffer *out, uint8_t byte, bool slash) {
  static const char digits[] = "0123456789ABCDEF";
  if (unreserved(byte) || (slash && byte == '/')) {
    cc_buffer_add(out, &byte, 1);
    return;
  }
  char text[3] = {'%', digits[byte >> 4], digits[byte & 15]};
  cc_buffer_add(out, text, sizeof text);
}

// ---- Path --------------------------------------------------------------------------------------

static void add_path(struct cc_buffer *out, struct cc_slice part, uint32_t options) {
  if (!(options & CC_SIGV4_ENCODE)) {
    cc_buffer_add(out, part.data, part.size);
    return;
  }
  for (uint32_t i = 0; i < part.size; i++)
    add_encoded(out, (uint8_t)part.data[i], true);
}

static void drop_segment(struct cc_buffer *out, size_t start) {
  while (out->size > start && out->data[--out->size] != '/')
    ;
}

static void add_normal(struct cc_buffer *out, struct cc_slice path, uint32_t options) {
  size_t start = out->size;
  for (uint32_t at = 0, end; at < path.size; at = end + 1) {
    for (end = at; end < path.size && path.data[end] != '/';)
      end++;
    struct cc_slice segment = cc_slice(path.data + at, end - at);
    if (!segment.size || cc_slice_is(segment, ".")) continue;
    if (cc_slice_is(segment, "..")) {
      drop_segment(out, start);
      continue;
    }
    cc_buffer_add(out, "/", 1);
    add_path(out, segment, options);
  }
  bool slash = path.size && path.data[path.size - 1] == '/';
  if (slash || out->size == start) cc_buffer_add(out, "/", 1);
}

void cc_canonical_path(struct cc_slice path, uint32_t options, struct cc_buffer *out) {
  if (options & CC_SIGV4_NORMALIZE)
    add_normal(out, path, options);
  else if (path.size)
    add_path(out, path, options);
  else
    cc_buffer_add(out, "/", 1);
}

// ---- Query -------------------------------------------------------------------------------------

struct parameter { // its encoded text is in a buffer
  const char *text;
  size_t start, name, value; // start, and sizes of name and value
};

static int digit(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f') return (byte | 0x20) - 'a' + 10;
  return -1;
}

// Encodes a text that may be encoded already, in whole or in part. Returns the size of the result.
static size_t add_query(struct cc_buffer *out, const char *text, size_t size) {
  size_t start = out->size;
  for (size_t i = 0; i < size; i++) {
    uint8_t byte = (uint8_t)text[i];
    if (byte == '%' && i + 2 < size && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      byte = (uint8_t)(digit(text[i + 1]) << 4 | digit(text[i + 2]));
      i += 2;
    }
    add_encoded(out, byte, false);
  }
  return out->size - start;
}

static int compare(const char *a, size_t a_size, const char *b, size_t b_size) {
  int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
  return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int by_name_and_value(const void *one, const void *other) {
  const struct parameter *a = one, *b = other;
  const char *a_text = a->text + a->start, *b_text = b->text + b->start;
  int order = compare(a_text, a->name, b_text, b->name);
  return order ? order : compare(a_text + a->name, a->value, b_text + b->name, b->value);
}

static size_t split_query(struct cc_slice query, struct parameter *list, struct cc_buffer *text) {
  size_t count = 0;
  for (size_t at = 0, end; at < query.size; at = end + 1) {
    const char *stop = memchr(query.data + at, '&', query.size - at);
    end = stop ? (size_t)(stop - query.data) : query.size;
    if (end == at) continue;
    const char *equals = memchr(query.data + at, '=', end - at);
    size_t name = equals ? (size_t)(equals - query.data) - at : end - at;
    struct parameter *made = &list[count++];
    made->start = text->size;
    made->name = add_query(text, query.data + at, name);
    made->value = equals ? add_query(text, equals + 1, end - at - name - 1) : 0;
  }
  return count;
}

void cc_canonical_query(struct cc_slice query, struct cc_buffer *out) {
  size_t most = 1;
  for (uint32_t i = 0; i < query.size; i++)
    most += query.data[i] == '&';
  struct parameter *list = cc_alloc(most * sizeof *list);
  struct cc_buffer text = {0};
  cc_buffer_reserve(&text, (size_t)query.size * 3 + 1);
  size_t count = split_query(query, list, &text);
  for (size_t i = 0; i < count; i++)
    list[i].text = text.data;
  qsort(list, count, sizeof *list, by_name_and_value);
  for (size_t i = 0; i < count; i++) {
    const char *at = text.data + list[i].start;
    if (i) cc_buffer_add(out, "&", 1);
    cc_buffer_add(out, at, list[i].name);
    cc_buffer_add(out, "=", 1);
    cc_buffer_add(out, at + list[i].name, list[i].value);
  }
  cc_buffer_wipe(&text);
  free(list);
}

// ---- Headers -----------------------------------------------------------------------------------

bool cc_canonical_fits(struct cc_slice text) {
  for (uint32_t i = 0; i < text.size; i++) {
    uint8_t byte = (uint8_t)text.data[i];
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return false;
  }
  return true;
}

static bool begins(struct cc_slice name, const char *with) {
  size_t size = strlen(with);
  return name.size >= size && strncasecmp(name.data, with, size) == 0;
}

// Headers that proxies on the way may change.
static bool is_unsigned(struct cc_slice name) {
  static const char *const names[] = {
      "connection",        "expect",     "keep-alive",     "te", "trailer", "upgrade",
      "transfer-encoding", "user-agent", "x-amzn-trace-id"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (cc_slice_is_nocase(name, names[i])) return true;
  return begins(name, "proxy-");
}

static bool is_signed(struct cc_slice name, uint32_t options) {
  if (cc_sigv4_makes(name) || cc_slice_is_nocase(name, "host") || is_unsigned(name)) return false;
  if (!(options & CC_SIGV4_FEW)) return true;
  return begins(name, "x-amz-") || cc_slice_is_nocase(name, "content-type");
}

static int by_name(const void *one, const void *other) {
  const struct cc_header *const *a = one, *const *b = other;
  size_t a_size = (*a)->name.size, b_size = (*b)->name.size;
  int order = strncasecmp((*a)->name.data, (*b)->name.data, a_size < b_size ? a_size : b_size);
  if (!order) order = (a_size > b_size) - (a_size < b_size);
  return order ? order : (*a > *b) - (*a < *b);
}

static void add_lower(struct cc_buffer *out, struct cc_slice name) {
  for (uint32_t i = 0; i < name.size; i++) {
    char byte = name.data[i];
    if (byte >= 'A' && byte <= 'Z') byte = (char)(byte | 0x20);
    cc_buffer_add(out, &byte, 1);
  }
}

static bool blank(char byte) {
  return byte == ' ' || byte == '\t';
}

// Drops blanks at both ends and makes one space of each run within.
static void add_folded(struct cc_buffer *out, struct cc_slice value) {
  bool gap = false, begun = false;
  for (uint32_t i = 0; i < value.size; i++) {
    if (blank(value.data[i])) {
      gap = begun;
      continue;
    }
    if (gap) cc_buffer_add(out, " ", 1);
    cc_buffer_add(out, &value.data[i], 1);
    gap = false;
    begun = true;
  }
}

static void add_headers(const struct cc_header **list, size_t count, struct cc_buffer *out,
                        struct cc_buffer *names) {
  for (size_t i = 0; i < count; i++) {
    if (i && cc_slice_same_nocase(list[i]->name, list[i - 1]->name)) {
      out->size--;
      cc_buffer_add(out, ",", 1);
    } else {
      if (i) cc_buffer_add(names, ";", 1);
      add_lower(names, list[i]->name);
      add_lower(out, list[i]->name);
      cc_buffer_add(out, ":", 1);
    }
    add_folded(out, list[i]->value);
    cc_buffer_add(out, "\n", 1);
  }
}

// Fills made with Host and the headers that the signer adds. Returns their number.
static size_t own_headers(const struct cc_sigv4 *request, const char *date,
                          struct cc_header made[4]) {
  size_t count = 0;
  struct cc_slice token = request->signer->session_token;
  made[count++] = (struct cc_header){cc_slice_text("host"), request->host};
  made[count++] = (struct cc_header){cc_slice_text("x-amz-date"), cc_slice_text(date)};
  if (token.size && !(request->options & CC_SIGV4_TOKEN_APART))
    made[count++] = (struct cc_header){cc_slice_text("x-amz-security-token"), token};
  if (request->options & CC_SIGV4_BODY_HEADER)
    made[count++] = (struct cc_header){cc_slice_text("x-amz-content-sha256"), request->body_hash};
  return count;
}

static void add_signed(const struct cc_sigv4 *request, const char *date, struct cc_buffer *out,
                       struct cc_buffer *names) {
  struct cc_header made[4];
  size_t own = own_headers(request, date, made), count = 0;
  const struct cc_header **list = cc_alloc((own + request->count) * sizeof *list);
  for (size_t i = 0; i < own; i++)
    list[count++] = &made[i];
  for (size_t i = 0; i < request->count; i++)
    if (is_signed(request->headers[i].name, request->options)) list[count++] = &request->headers[i];
  qsort(list, count, sizeof *list, by_name);
  add_headers(list, count, out, names);
  free(list);
}

void cc_canonical(const struct cc_sigv4 *request, const char *date, struct cc_buffer *out,
                  struct cc_buffer *names) {
  struct cc_slice target = request->target;
  const char *mark = memchr(target.data, '?', target.size);
  size_t path = mark ? (size_t)(mark - target.data) : target.size;
  cc_buffer_add(out, request->method.data, request->method.size);
  cc_buffer_add(out, "\n", 1);
  cc_canonical_path(cc_slice(target.data, path), request->options, out);
  cc_buffer_add(out, "\n", 1);
  if (mark) cc_canonical_query(cc_slice(mark + 1, target.size - path - 1), out);
  cc_buffer_add(out, "\n", 1);
  add_signed(request, date, out, names);
  cc_buffer_add(out, "\n", 1);
  cc_buffer_add(out, names->data, names->size);
  cc_buffer_add(out, "\n", 1);
  cc_buffer_add(out, request->body_hash.data, request->body_hash.size);
}
