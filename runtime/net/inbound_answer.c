// SPDX-License-Identifier: Apache-2.0
// The writing side of a client connection: writes every head itself, with one framing for each answer, and
// never ends an incomplete answer cleanly.
#include "api/error.h"
#include "net/inbound_internal.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PARTS = 14, GATHER = 16384 };

// What is gathered, for one connection at a time.
static _Thread_local struct {
  struct cc_inbound *in;
  struct cc_buffer bytes;
} cork;

static const char *reason(int status) {
  static const struct {
    int status;
    const char *text;
  } reasons[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {304, "Not Modified"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {402, "Payment Required"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {529, "Overloaded"},
  };
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].status == status) return reasons[i].text;
  return "";
}

static void add_date(struct cc_buffer *head) {
  static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  static _Thread_local time_t second;
  static _Thread_local char text[64];
  time_t now = time(NULL);
  struct tm tm;
  if (now != second && gmtime_r(&now, &tm)) {
    snprintf(text, sizeof text, "date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday],
             tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    second = now;
  }
  cc_buffer_add_text(head, text);
}

static bool is_ours(struct cc_slice name) {
  static const char *const names[] = {"date", "connection", "keep-alive", "content-length",
                                      "transfer-encoding"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (cc_slice_is_nocase(name, names[i])) return true;
  return false;
}

static int add_headers(struct cc_buffer *out, const struct cc_header *headers, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const struct cc_header *header = &headers[i];
    if (!cc_http1_is_token(header->name) || !cc_http1_is_value(header->value)) return CC_EINVAL;
    if (is_ours(header->name)) continue;
    cc_buffer_add(out, header->name.data, header->name.size);
    cc_buffer_add(out, ": ", 2);
    cc_buffer_add(out, header->value.data, header->value.size);
    cc_buffer_add(out, "\r\n", 2);
  }
  return CC_OK;
}

static int minor_version(const struct cc_inbound *in) {
  const struct cc_http1_head *request = cc_http1_head(in->parser);
  return request ? request->minor : 1;
}

static void add_length(struct cc_buffer *head, double length) {
  cc_buffer_add_text(head, "content-length: ");
  cc_buffer_add_number(head, (uint64_t)length);
  cc_buffer_add_text(head, "\r\n");
}

static void add_framing(struct cc_inbound *in, struct cc_buffer *head, int status, double length) {
  int minor = minor_version(in);
  if (in->chunked)
    cc_buffer_add_text(head, "transfer-encoding: chunked\r\n");
  else if (length >= 0 && status != 204 && status != 304)
    add_length(head, length);
  if (!in->keep)
    cc_buffer_add_text(head, "connection: close\r\n");
  else if (minor == 0)
    cc_buffer_add_text(head, "connection: keep-alive\r\n");
  cc_buffer_add_text(head, "\r\n");
}

static void choose_framing(struct cc_inbound *in, int status, double length) {
  const struct cc_http1_head *request = cc_http1_head(in->parser);
  bool whole = in->phase == CC_INBOUND_WHOLE && !in->unread;
  in->headless =
      status == 204 || status == 304 || (request && cc_slice_is(request->method, "HEAD"));
  in->chunked = length < 0 && !in->headless && minor_version(in) == 1;
  in->sized = length >= 0 || in->headless;
  in->body_left = length > 0 && !in->headless ? length : 0;
  in->keep = in->keep && whole && !in->draining && (in->chunked || in->sized) &&
             !cc_inbound_is_crowded(in);
}

// The rest of the body is read and dropped, so that the client comes to read the answer.
static void drop_body(struct cc_inbound *in) {
  if (in->phase != CC_INBOUND_BODY) return;
  in->unread = true;
  cc_timer_stop(&in->timer);
  cc_stream_read(&in->stream);
}

static int send_out(struct cc_inbound *in, const struct cc_slice *parts, unsigned count) {
  int error = cc_stream_write(&in->stream, parts, count);
  cc_inbound_watch_writes(in);
  return error;
}

static bool gather(struct cc_inbound *in, const struct cc_slice *parts, unsigned count,
                   size_t size) {
  if (cork.in != in || cork.bytes.size + size > GATHER) return false;
  for (unsigned i = 0; i < count; i++)
    cc_buffer_add(&cork.bytes, parts[i].data, parts[i].size);
  return true;
}

static int put(struct cc_inbound *in, const struct cc_slice *parts, unsigned count) {
  struct cc_slice all[PARTS + 3];
  size_t size = 0;
  for (unsigned i = 0; i < count; i++)
    size += parts[i].size;
  in->written += (double)size;
  if (gather(in, parts, count, size)) return CC_OK;
  if (cork.in != in || !cork.bytes.size) return send_out(in, parts, count);
  all[0] = cc_slice(cork.bytes.data, cork.bytes.size);
  memcpy(all + 1, parts, count * sizeof *parts);
  cc_buffer_clear(&cork.bytes);
  return send_out(in, all, count + 1);
}

void cc_inbound_cork(struct cc_inbound *in) {
  if (cork.in && cork.in != in) cc_inbound_uncork(cork.in);
  if (!cork.in) cc_buffer_clear(&cork.bytes); // of a connection that was freed
  cork.in = in;
  in->corked = &cork.in;
}

int cc_inbound_uncork(struct cc_inbound *in) {
  if (cork.in != in) return CC_OK;
  struct cc_slice part = cc_slice(cork.bytes.data, cork.bytes.size);
  cork.in = NULL;
  in->corked = NULL;
  cc_buffer_clear(&cork.bytes);
  return part.size && in->phase != CC_INBOUND_CLOSED ? send_out(in, &part, 1) : CC_OK;
}

static int build_head(struct cc_inbound *in, int status, const struct cc_header *headers,
                      uint32_t count, double length) {
  struct cc_buffer *head = &cork.bytes;
  cc_buffer_reserve(head, GATHER);
  cc_buffer_add_text(head, "HTTP/1.1 ");
  cc_buffer_add_number(head, (uint64_t)status);
  cc_buffer_add_text(head, " ");
  cc_buffer_add_text(head, reason(status));
  cc_buffer_add_text(head, "\r\n");
  int error = add_headers(head, headers, count);
  if (error) return error;
  choose_framing(in, status, length);
  add_date(head);
  add_framing(in, head, status, length);
  return CC_OK;
}

int cc_inbound_head(struct cc_inbound *in, int status, const struct cc_header *headers,
                    uint32_t count, double length) {
  if (in->phase == CC_INBOUND_CLOSED) return CC_ECLIENT_GONE;
  if (in->answering || in->phase == CC_INBOUND_HEAD || in->phase > CC_INBOUND_WHOLE)
    return CC_ESTATE;
  bool corked = cork.in == in;
  cc_inbound_cork(in);
  int error = build_head(in, status, headers, count, length);
  if (error) {
    cc_buffer_clear(&cork.bytes);
  } else {
    in->written += (double)cork.bytes.size;
    in->answering = true;
    drop_body(in);
  }
  int sent = corked ? CC_OK : cc_inbound_uncork(in);
  return error ? error : sent;
}

static int put_chunk(struct cc_inbound *in, const struct cc_slice *parts, unsigned count) {
  struct cc_slice framed[PARTS + 2];
  char line[24];
  size_t size = 0;
  for (unsigned i = 0; i < count; i++) {
    size += parts[i].size;
    framed[i + 1] = parts[i];
  }
  if (!size) return CC_OK;
  framed[0] = cc_slice(line, (size_t)snprintf(line, sizeof line, "%zx\r\n", size));
  framed[count + 1] = cc_slice("\r\n", 2);
  return put(in, framed, count + 2);
}

static int put_sized(struct cc_inbound *in, const struct cc_slice *parts, unsigned count) {
  double size = 0;
  for (unsigned i = 0; i < count; i++)
    size += parts[i].size;
  if (in->sized && size > in->body_left) return CC_ESTATE;
  if (in->sized) in->body_left -= size;
  return put(in, parts, count);
}

int cc_inbound_write(struct cc_inbound *in, const struct cc_slice *parts, unsigned count) {
  if (in->phase == CC_INBOUND_CLOSED) return CC_ECLIENT_GONE;
  if (!in->answering || in->phase > CC_INBOUND_WHOLE) return CC_ESTATE;
  if (in->headless) return CC_OK;
  if (!in->chunked) return put_sized(in, parts, count);
  int error = CC_OK;
  for (unsigned at = 0; at < count && !error; at += PARTS)
    error = put_chunk(in, parts + at, count - at < PARTS ? count - at : PARTS);
  return error;
}

void cc_inbound_end(struct cc_inbound *in) {
  static const struct cc_slice last = {"0\r\n\r\n", 5};
  if (in->phase == CC_INBOUND_CLOSED) return;
  if (!in->answering || in->body_left > 0) {
    cc_inbound_break(in, false);
    return;
  }
  if (in->chunked) put(in, &last, 1);
  cc_inbound_uncork(in);
  if (in->phase == CC_INBOUND_CLOSED) return;
  if (in->stream.queued)
    in->phase = CC_INBOUND_FLUSH;
  else
    cc_inbound_proceed(in);
}

void cc_inbound_break(struct cc_inbound *in, bool reset) {
  bool until_close = in->answering && !in->chunked && !in->sized;
  cc_inbound_uncork(in);
  cc_inbound_close(in, reset || until_close);
}

size_t cc_inbound_queued(const struct cc_inbound *in) {
  return in->stream.queued;
}
