// SPDX-License-Identifier: Apache-2.0
// Reads the fields of an event stream whole and in pieces. The first byte chooses the size of the pieces.
// No byte may be lost. Looks for an error event.
#include "api/error.h"
#include "codec/sse.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool same(struct cc_slice a, struct cc_slice b) {
  return a.size == b.size && (!a.size || memcmp(a.data, b.data, a.size) == 0);
}

// Inserting a name where the fields say must change the name only, and the event must stay one event.
static void check_name(const char *event, size_t size, const struct cc_sse_fields *fields) {
  struct cc_buffer named = {0}, joined = {0};
  struct cc_sse_fields again;
  struct cc_sse sse = {0};
  if (fields->name_at > size) abort();
  if (fields->comment_only) return;
  cc_buffer_add(&named, event, fields->name_at);
  cc_buffer_add_text(&named, "event: given\n");
  cc_buffer_add(&named, event + fields->name_at, size - fields->name_at);
  sse.after_cr = event[0] == '\n';
  if (cc_sse_event(&sse, named.data, named.size) != named.size) abort();
  cc_sse_fields(named.data, named.size, &joined, &again);
  if (!cc_slice_is(again.event, "given") || !same(again.data, fields->data)) abort();
  cc_buffer_free(&named);
  cc_buffer_free(&joined);
}

static void read_stream(const char *text, size_t size, size_t cut, struct cc_buffer *log) {
  struct cc_sse sse = {0};
  struct cc_buffer pending = {0}, joined = {0};
  size_t total = 0;
  for (size_t from = 0, to = cut; from < size; from = to, to += cut) {
    if (to > size) to = size;
    cc_buffer_add(&pending, text + from, to - from);
    for (size_t whole; (whole = cc_sse_event(&sse, pending.data, pending.size));) {
      struct cc_sse_fields fields;
      if (whole > pending.size) abort();
      char *event = malloc(whole);
      memcpy(event, pending.data, whole);
      cc_sse_fields(event, whole, &joined, &fields);
      check_name(event, whole, &fields);
      if (!fields.comment_only) {
        cc_buffer_add(log, fields.event.data, fields.event.size);
        cc_buffer_add(log, "\n", 1);
        cc_buffer_add(log, fields.data.data, fields.data.size);
        cc_buffer_add(log, "\r", 1);
      }
      free(event);
      if (memcmp(pending.data, text + total, whole) != 0) abort();
      total += whole;
      cc_buffer_drop(&pending, whole);
    }
  }
  if (total + pending.size != size) abort();
  cc_buffer_free(&pending);
  cc_buffer_free(&joined);
}

static void check_error(const char *text, size_t size) {
  char *data;
  uint32_t length;
  bool found = cc_api_error_data(text, (uint32_t)size, &data, &length) == CC_OK;
  if (!found && (data || length)) abort();
  if (length > size) abort();
  free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  struct cc_buffer whole = {0}, cut = {0};
  if (size < 2) return 0;
  const char *text = (const char *)bytes + 1;
  size--;
  read_stream(text, size, size, &whole);
  read_stream(text, size, (size_t)bytes[0] % 16 + 1, &cut);
  if (whole.size != cut.size) abort();
  if (whole.size && memcmp(whole.data, cut.data, whole.size) != 0) abort();
  cc_buffer_free(&whole);
  cc_buffer_free(&cut);
  check_error(text, size);
  return 0;
}
