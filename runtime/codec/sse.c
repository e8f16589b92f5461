// SPDX-License-Identifier: Apache-2.0
// Every byte of an answer passes here, so line ends are searched eight bytes at a time: a byte below 14 is rare
// in JSON lines, and only such a byte is checked by itself.
#include "codec/sse.h"
#include <string.h>

static bool all_above_13(const char *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return !((word - 0x0e0e0e0e0e0e0e0eu) & ~word & 0x8080808080808080u);
}

static const char *line_end(const char *at, const char *end) {
  for (;;) {
    while (end - at >= 8 && all_above_13(at))
      at += 8;
    const char *stop = end - at >= 8 ? at + 8 : end;
    for (; at < stop; at++)
      if (*at == '\n' || *at == '\r') return at;
    if (at == end) return end;
  }
}

static size_t finish(struct cc_sse *sse, size_t size, bool after_cr) {
  *sse = (struct cc_sse){.after_cr = after_cr};
  return size;
}

size_t cc_sse_event(struct cc_sse *sse, const char *data, size_t size) {
  const char *at = data + sse->scanned, *end = data + size;
  while (at < end) {
    if (sse->after_cr && *at == '\n') {
      sse->after_cr = false;
      at++;
      continue;
    }
    sse->after_cr = false;
    const char *stop = line_end(at, end);
    if (stop > at) sse->line_begun = true;
    at = stop;
    if (at == end) break;
    bool cr = *at++ == '\r';
    if (!sse->line_begun) {
      if (cr && at < end && *at == '\n') return finish(sse, (size_t)(at + 1 - data), false);
      return finish(sse, (size_t)(at - data), cr && at == end);
    }
    sse->line_begun = false;
    sse->after_cr = cr;
  }
  sse->scanned = size;
  return 0;
}

static const char *next_line(const char *stop, const char *end) {
  if (end - stop >= 2 && stop[0] == '\r' && stop[1] == '\n') return stop + 2;
  return stop < end ? stop + 1 : end;
}

static struct cc_slice value_after(const char *at, const char *end) {
  if (at < end) at++;
  if (at < end && *at == ' ') at++;
  return cc_slice(at, (size_t)(end - at));
}

static void add_data(struct cc_buffer *joined, struct cc_sse_fields *out, struct cc_slice value,
                     unsigned lines) {
  if (!lines) {
    out->data = value;
    return;
  }
  if (lines == 1) {
    cc_buffer_clear(joined);
    cc_buffer_add(joined, out->data.data, out->data.size);
  }
  cc_buffer_add(joined, "\n", 1);
  cc_buffer_add(joined, value.data, value.size);
  out->data = cc_slice(joined->data, joined->size);
}

// Skips what belongs to no line: the LF of a CR that ended the event before, a BOM.
static const char *first_line(const char *at, const char *end) {
  if (at < end && *at == '\n') at++;
  if (end - at < 3 || memcmp(at, "\xef\xbb\xbf", 3) != 0) return at;
  at += 3;
  return at < end && (*at == '\n' || *at == '\r') ? next_line(at, end) : at;
}

void cc_sse_fields(const char *event, size_t size, struct cc_buffer *joined,
                   struct cc_sse_fields *out) {
  const char *end = event + size, *at = first_line(event, end);
  unsigned lines = 0;
  *out = (struct cc_sse_fields){.event = {"", 0}, .data = {"", 0}, .comment_only = true};
  out->name_at = (size_t)(at - event);
  while (at < end) {
    const char *stop = line_end(at, end), *next = next_line(stop, end);
    const char *colon = memchr(at, ':', (size_t)(stop - at));
    struct cc_slice name = cc_slice(at, (size_t)((colon ? colon : stop) - at));
    struct cc_slice value = value_after(colon ? colon : stop, stop);
    if (cc_slice_is(name, "data")) {
      add_data(joined, out, value, lines++);
      out->comment_only = false;
    } else if (cc_slice_is(name, "event")) {
      out->event = value;
      out->name_at = (size_t)(next - event);
      out->comment_only = false;
    }
    at = next;
  }
}
