// SPDX-License-Identifier: Apache-2.0
// Splits a server-sent event stream (WHATWG HTML 9.2) into whole events without changing a byte.
#ifndef CC_CODEC_SSE_H
#define CC_CODEC_SSE_H
#include "base/buffer.h"

// The state between two pieces of a stream. Zeroed is the start.
struct cc_sse {
  size_t scanned;  // bytes of the pending event that were scanned
  bool line_begun; // the current line has a byte
  bool after_cr;   // the last byte was CR
};

// Finds the end of the first event in data, which begins at the start of an event and whose first sse->scanned
// bytes were seen before. Returns the size of the event with the blank line that ends it, or 0 when it is
// incomplete. LF, CR and CRLF end lines, also mixed. A CR at the end of data is decided when the next byte is
// known, unless it ends an event by itself; then an LF that follows is skipped at the start of the next event.
size_t cc_sse_event(struct cc_sse *sse, const char *data, size_t size);

struct cc_sse_fields {
  struct cc_slice event; // last "event:" value, or empty
  size_t name_at;        // where an "event:" line may be put in, so that it counts
  struct cc_slice data;  // the value of the only "data:" line, or of all joined by LF in joined
  bool comment_only;     // neither an event nor a data field: clients ignore it
};

// Reads the fields of one complete event. A BOM at its start is skipped (the standard skips only that of the
// stream). joined is overwritten when there are several data lines.
void cc_sse_fields(const char *event, size_t size, struct cc_buffer *joined,
                   struct cc_sse_fields *out);
#endif
