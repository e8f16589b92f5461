// SPDX-License-Identifier: Apache-2.0
// Reads what a head means: its first line, framing, host. llhttp leaves these open, and two servers that
// decide them differently can be attacked by request smuggling (RFC 9112 section 11.2).
#include "api/error.h"
#include "codec/http1_internal.h"
#include <string.h>

static bool is_method(struct cc_slice text) {
  static const char *const methods[] = {"GET",    "HEAD",    "POST",  "PUT",
                                        "DELETE", "OPTIONS", "PATCH", "TRACE"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (cc_slice_is(text, methods[i])) return true;
  return false;
}

static bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

static int version(const char *text, int *minor) {
  if (memcmp(text, "HTTP/1.", 7) != 0 || (text[7] != '0' && text[7] != '1')) return CC_EHTTP;
  *minor = text[7] - '0';
  return CC_OK;
}

static int request_line(const char *line, size_t size, struct cc_http1_head *head) {
  const char *end = line + size, *space = memchr(line, ' ', size);
  if (!space) return CC_EHTTP;
  const char *target = space + 1, *stop = memchr(target, ' ', (size_t)(end - target));
  if (!stop || stop == target || end - stop != 9) return CC_EHTTP;
  head->method = cc_slice(line, (size_t)(space - line));
  head->target = cc_slice(target, (size_t)(stop - target));
  if (version(stop + 1, &head->minor)) return CC_EHTTP;
  if (cc_slice_is(head->method, "CONNECT")) return CC_EUPGRADE;
  return is_method(head->method) ? CC_OK : CC_EHTTP;
}

static int status_line(const char *line, size_t size, struct cc_http1_head *head) {
  if (size < 12 || version(line, &head->minor) || line[8] != ' ') return CC_EHTTP;
  if (!is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11])) return CC_EHTTP;
  if (size > 12 && line[12] != ' ') return CC_EHTTP;
  head->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  return head->status >= 100 && head->status < 600 ? CC_OK : CC_EHTTP;
}

int cc_http1_first_line(enum cc_http1_kind kind, const char *line, size_t size,
                        struct cc_http1_head *head) {
  size -= 2;
  return kind == CC_HTTP1_REQUEST ? request_line(line, size, head) : status_line(line, size, head);
}

static bool is_host_byte(char byte) {
  if (is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')) return true;
  return byte && strchr("-._~%!$&'()*+;=", byte);
}

static bool is_port(const char *at, const char *end) {
  unsigned port = 0;
  if (at == end) return true;
  if (*at++ != ':' || end - at > 5) return false;
  for (; at < end; at++) {
    if (!is_digit(*at)) return false;
    port = port * 10 + (unsigned)(*at - '0');
  }
  return port <= 65535;
}

static bool is_host(struct cc_slice text) {
  const char *at = text.data, *end = text.data + text.size;
  if (!text.size) return false;
  if (*at == '[') {
    const char *close = memchr(at, ']', text.size);
    if (!close || close - at < 3) return false;
    for (at++; at < close; at++)
      if (!is_digit(*at) && *at != ':' && *at != '.' &&
          !((*at | 0x20) >= 'a' && (*at | 0x20) <= 'f'))
        return false;
    return is_port(close + 1, end);
  }
  while (at < end && is_host_byte(*at))
    at++;
  return at > text.data && is_port(at, end);
}

// The number in a Content-Length, or -1, also above 2^53, where a double is not exact.
static double length_value(struct cc_slice text) {
  double value = 0;
  if (!text.size || text.size > 15 || (text.size > 1 && text.data[0] == '0')) return -1;
  for (uint32_t i = 0; i < text.size; i++) {
    if (!is_digit(text.data[i])) return -1;
    value = value * 10 + (text.data[i] - '0');
  }
  return value;
}

struct conclusion {
  enum cc_http1_kind kind;
  struct cc_http1_head *head;
  unsigned hosts;
  bool close, keep_alive;
};

static int framing_header(struct cc_http1_head *head, const struct cc_header *header) {
  if (cc_slice_is_nocase(header->name, "content-length")) {
    double value = length_value(header->value);
    if (value < 0 || head->content_length >= 0) return CC_EHTTP;
    head->content_length = value;
  } else if (cc_slice_is_nocase(header->name, "transfer-encoding")) {
    if (head->chunked || head->minor == 0) return CC_EHTTP;
    if (!cc_slice_is_nocase(header->value, "chunked")) return CC_EHTTP;
    head->chunked = true;
  }
  return CC_OK;
}

static void connection_header(struct conclusion *to, struct cc_slice value) {
  const char *at = value.data, *end = value.data + value.size;
  while (at < end) {
    const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
    const char *last = stop;
    while (at < last && (*at == ' ' || *at == '\t'))
      at++;
    while (last > at && (last[-1] == ' ' || last[-1] == '\t'))
      last--;
    struct cc_slice option = cc_slice(at, (size_t)(last - at));
    to->close |= cc_slice_is_nocase(option, "close");
    to->keep_alive |= cc_slice_is_nocase(option, "keep-alive");
    at = comma ? comma + 1 : end;
  }
}

static int request_header(struct conclusion *to, const struct cc_header *header) {
  struct cc_http1_head *head = to->head;
  if (cc_slice_is_nocase(header->name, "host")) {
    if (to->hosts++ || !is_host(header->value)) return CC_EHTTP;
    head->host = header->value;
  } else if (cc_slice_is_nocase(header->name, "expect")) {
    if (!cc_slice_is_nocase(header->value, "100-continue")) return CC_EEXPECT;
    head->expect_continue = head->minor == 1;
  }
  return CC_OK;
}

// Only names of these lengths matter here.
static int one_header(struct conclusion *to, const struct cc_header *header) {
  switch (header->name.size) {
  case sizeof "host" - 1:
  case sizeof "expect" - 1:
    return to->kind == CC_HTTP1_REQUEST ? request_header(to, header) : CC_OK;
  case sizeof "connection" - 1:
    if (cc_slice_is_nocase(header->name, "connection")) connection_header(to, header->value);
    return CC_OK;
  case sizeof "content-length" - 1:
  case sizeof "transfer-encoding" - 1:
    return framing_header(to->head, header);
  default:
    return CC_OK;
  }
}

// A malformed framing is reported before an expectation that cannot be met.
static int all_headers(struct conclusion *to) {
  int expect = CC_OK;
  for (uint32_t i = 0; i < to->head->headers; i++) {
    int error = one_header(to, &to->head->header[i]);
    if (error == CC_EEXPECT)
      expect = error;
    else if (error)
      return error;
  }
  return expect;
}

static int split_target(struct cc_http1_head *head, struct cc_slice target) {
  if (!cc_http1_is_target(target)) return CC_EHTTP;
  const char *question = memchr(target.data, '?', target.size);
  size_t path = question ? (size_t)(question - target.data) : target.size;
  head->path = cc_slice(target.data, path);
  head->query = cc_slice_text("");
  if (question) head->query = cc_slice(question + 1, target.size - path - 1);
  return CC_OK;
}

static int absolute_target(struct conclusion *to, size_t scheme) {
  struct cc_http1_head *head = to->head;
  const char *at = head->target.data + scheme, *end = head->target.data + head->target.size;
  const char *stop = at;
  while (stop < end && *stop != '/' && *stop != '?')
    stop++;
  struct cc_slice authority = cc_slice(at, (size_t)(stop - at));
  if (!is_host(authority)) return CC_EHTTP;
  if (to->hosts && !cc_slice_same_nocase(authority, head->host)) return CC_EHTTP;
  head->host = authority;
  if (stop < end && *stop == '/') return split_target(head, cc_slice(stop, (size_t)(end - stop)));
  if (memchr(stop, '#', (size_t)(end - stop))) return CC_EHTTP;
  head->path = cc_slice_text("/");
  head->query = stop < end ? cc_slice(stop + 1, (size_t)(end - stop - 1)) : cc_slice_text("");
  return CC_OK;
}

static bool has_scheme(struct cc_slice target, const char *scheme) {
  size_t size = strlen(scheme);
  return target.size > size && cc_slice_is_nocase(cc_slice(target.data, size), scheme);
}

// %00, %0d and %0a must not be decoded by a server behind this one.
static bool has_bad_escape(struct cc_slice target) {
  for (uint32_t i = 0; i + 2 < target.size; i++) {
    const char *at = target.data + i;
    if (at[0] == '%' && at[1] == '0' && strchr("0aAdD", at[2])) return true;
  }
  return false;
}

static int request_target(struct conclusion *to) {
  struct cc_http1_head *head = to->head;
  for (uint32_t i = 0; i < head->target.size; i++)
    if (head->target.data[i] <= ' ' || head->target.data[i] >= 0x7f) return CC_EHTTP;
  if (has_bad_escape(head->target)) return CC_EHTTP;
  if (has_scheme(head->target, "http://")) return absolute_target(to, 7);
  if (has_scheme(head->target, "https://")) return absolute_target(to, 8);
  if (cc_slice_is(head->target, "*") && cc_slice_is(head->method, "OPTIONS")) {
    head->path = head->target;
    head->query = cc_slice_text("");
    return CC_OK;
  }
  return split_target(head, head->target);
}

static int response_framing(struct cc_http1_head *head, bool bodyless) {
  int status = head->status;
  bodyless |= status < 200 || status == 204 || status == 304;
  head->until_close = !bodyless && !head->chunked && head->content_length < 0;
  head->has_body = !bodyless && (head->chunked || head->until_close || head->content_length > 0);
  if (head->until_close) head->keep_alive = false;
  return status == 101 ? CC_EUPGRADE : CC_OK;
}

// Many programs read '_' in a name as '-', so such headers are dropped.
static void drop_underscores(struct cc_http1_head *head, struct cc_header *table) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < head->headers; i++)
    if (!memchr(table[i].name.data, '_', table[i].name.size)) table[kept++] = table[i];
  head->headers = kept;
}

int cc_http1_conclude(enum cc_http1_kind kind, bool bodyless, struct cc_http1_head *head,
                      struct cc_header *table) {
  struct conclusion to = {.kind = kind, .head = head};
  head->content_length = -1;
  int expect = all_headers(&to);
  if (expect && expect != CC_EEXPECT) return expect;
  if (head->chunked && head->content_length >= 0) return CC_EHTTP;
  head->keep_alive = !to.close && (head->minor == 1 || to.keep_alive);
  if (kind == CC_HTTP1_RESPONSE) return response_framing(head, bodyless);
  if (!to.hosts && head->minor == 1) return CC_EHTTP;
  head->has_body = head->chunked || head->content_length > 0;
  drop_underscores(head, table);
  int error = request_target(&to);
  return error ? error : expect;
}

int cc_http1_check_trailers(const char *data, size_t size) {
  const char *end = data + size - 2;
  while (data < end) {
    const char *stop = memchr(data, '\n', (size_t)(end - data));
    const char *colon = memchr(data, ':', (size_t)(stop - data));
    if (!colon) return CC_EHTTP;
    struct cc_slice name = cc_slice(data, (size_t)(colon - data));
    if (!cc_http1_is_token(name)) return CC_EHTTP;
    if (cc_slice_is_nocase(name, "content-length") || cc_slice_is_nocase(name, "transfer-encoding"))
      return CC_EHTTP;
    data = stop + 1;
  }
  return CC_OK;
}
