// SPDX-License-Identifier: Apache-2.0
// Most messages are complete in the piece that was read and are returned in place. Only a message that is cut
// is copied, and large memory is freed afterwards: every stream has a decoder, which waits most of the
// time.
#include "codec/eventstream.h"
#include "api/error.h"
#include "codec/crc32.h"

enum { PRELUDE = 12, TRAILER = 4, KEPT = 4096 };

static uint32_t read_word(const char *data) {
  const uint8_t *at = (const uint8_t *)data;
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// ---- Headers -----------------------------------------------------------------------------------

enum { PREFIXED = 255 }; // the size of the value stands before it

static const uint8_t sizes[] = {
    [CC_EVENTSTREAM_TRUE] = 0,         [CC_EVENTSTREAM_FALSE] = 0,
    [CC_EVENTSTREAM_BYTE] = 1,         [CC_EVENTSTREAM_INT16] = 2,
    [CC_EVENTSTREAM_INT32] = 4,        [CC_EVENTSTREAM_INT64] = 8,
    [CC_EVENTSTREAM_BYTES] = PREFIXED, [CC_EVENTSTREAM_STRING] = PREFIXED,
    [CC_EVENTSTREAM_TIMESTAMP] = 8,    [CC_EVENTSTREAM_UUID] = 16,
};

static int64_t read_number(uint8_t type, const uint8_t *at, size_t size) {
  if (type == CC_EVENTSTREAM_TRUE) return 1;
  if (!size || size > 8 || sizes[type] == PREFIXED) return 0;
  uint64_t number = at[0] & 0x80 ? UINT64_MAX : 0;
  for (size_t i = 0; i < size; i++)
    number = number << 8 | at[i];
  return (int64_t)number;
}

bool cc_eventstream_header(struct cc_slice *headers, struct cc_eventstream_header *out) {
  const uint8_t *at = (const uint8_t *)headers->data;
  size_t left = headers->size, name = left ? at[0] : 0;
  if (!name || left < name + 2) return false;
  uint8_t type = at[name + 1];
  if (type >= sizeof sizes) return false;
  size_t from = name + 2, size = sizes[type];
  if (size == PREFIXED) {
    if (left < from + 2) return false;
    size = (size_t)at[from] << 8 | at[from + 1];
    from += 2;
  }
  if (left - from < size) return false;
  out->name = cc_slice(headers->data + 1, name);
  out->type = type;
  out->value = cc_slice(headers->data + from, size);
  out->number = read_number(type, at + from, size);
  *headers = cc_slice(headers->data + from + size, left - from - size);
  return true;
}

static bool well_formed(struct cc_slice headers) {
  struct cc_eventstream_header header;
  while (cc_eventstream_header(&headers, &header))
    continue;
  return headers.size == 0;
}

// ---- Messages ----------------------------------------------------------------------------------

static int fail(struct cc_eventstream *stream, int error) {
  cc_eventstream_free(stream);
  stream->failed = error;
  return error;
}

// The size of the message that begins with this prelude, or an error.
static int read_prelude(const char *data) {
  uint32_t total = read_word(data), headers = read_word(data + 4);
  if (cc_crc32(0, data, PRELUDE - 4) != read_word(data + PRELUDE - 4)) return CC_EFRAME;
  if (total < PRELUDE + TRAILER || headers > total - PRELUDE - TRAILER) return CC_EFRAME;
  bool fits = total <= CC_EVENTSTREAM_MESSAGE && headers <= CC_EVENTSTREAM_HEADERS;
  return fits ? (int)total : CC_EEVENT_SIZE;
}

static int open_message(struct cc_eventstream *stream, const char *data, uint32_t total,
                        struct cc_eventstream_message *out) {
  const char *end = data + total - TRAILER;
  if (cc_crc32(0, data, total - TRAILER) != read_word(end)) return fail(stream, CC_EFRAME);
  out->headers = cc_slice(data + PRELUDE, read_word(data + 4));
  if (!well_formed(out->headers)) return fail(stream, CC_EFRAME);
  const char *payload = data + PRELUDE + out->headers.size;
  out->payload = cc_slice(payload, (size_t)(end - payload));
  return 1;
}

static void forget(struct cc_eventstream *stream) {
  if (!stream->given) return;
  stream->given = false;
  stream->total = 0;
  cc_buffer_clear(&stream->held);
  if (stream->held.capacity > KEPT) cc_buffer_free(&stream->held);
}

static const char *take(struct cc_slice *piece, uint32_t size) {
  const char *data = piece->data;
  *piece = cc_slice(data + size, piece->size - size);
  return data;
}

// Holds size bytes, or as many as there are. Whether there were enough.
static bool hold(struct cc_eventstream *stream, struct cc_slice *piece, uint32_t size) {
  uint32_t missing = size - (uint32_t)stream->held.size;
  uint32_t taken = missing < piece->size ? missing : piece->size;
  if (taken) cc_buffer_add(&stream->held, take(piece, taken), taken);
  return taken == missing;
}

static int put_together(struct cc_eventstream *stream, struct cc_slice *piece,
                        struct cc_eventstream_message *out) {
  if (!stream->total) {
    if (!hold(stream, piece, PRELUDE)) return 0;
    int total = read_prelude(stream->held.data);
    if (total < 0) return fail(stream, total);
    stream->total = (uint32_t)total;
  }
  if (!hold(stream, piece, stream->total)) return 0;
  stream->given = true;
  return open_message(stream, stream->held.data, stream->total, out);
}

int cc_eventstream_next(struct cc_eventstream *stream, struct cc_slice *piece,
                        struct cc_eventstream_message *out) {
  if (stream->failed) return stream->failed;
  forget(stream);
  if (!piece->size) return 0;
  if (stream->held.size || piece->size < PRELUDE) return put_together(stream, piece, out);
  int total = read_prelude(piece->data);
  if (total < 0) return fail(stream, total);
  if (piece->size < (uint32_t)total) return put_together(stream, piece, out);
  return open_message(stream, take(piece, (uint32_t)total), (uint32_t)total, out);
}

bool cc_eventstream_between(const struct cc_eventstream *stream) {
  return !stream->failed && (stream->given || !stream->held.size);
}

void cc_eventstream_free(struct cc_eventstream *stream) {
  cc_buffer_free(&stream->held);
  *stream = (struct cc_eventstream){0};
}
