// SPDX-License-Identifier: Apache-2.0
// Builds AWS event-stream frames for tests of codec/eventstream.c, with a bitwise CRC of its own.
#ifndef CC_TEST_FRAME_BUILD_H
#define CC_TEST_FRAME_BUILD_H
#include "codec/base64.h"
#include <string.h>

static inline uint32_t frame_crc(const char *data, size_t size) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < size; i++) {
    crc ^= (uint8_t)data[i];
    for (int bit = 0; bit < 8; bit++)
      crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
  }
  return ~crc;
}

static inline void frame_put(char *at, uint32_t word) {
  for (int i = 0; i < 4; i++)
    at[i] = (char)(word >> (24 - 8 * i));
}

// Appends a frame with correct CRCs, whose prelude announces the sizes given, true or not.
static inline void frame_add_sized(struct cc_buffer *out, uint32_t total, uint32_t headers_size,
                                   struct cc_slice headers, struct cc_slice payload) {
  size_t start = out->size;
  char word[4];
  frame_put(word, total);
  cc_buffer_add(out, word, 4);
  frame_put(word, headers_size);
  cc_buffer_add(out, word, 4);
  frame_put(word, frame_crc(out->data + start, 8));
  cc_buffer_add(out, word, 4);
  cc_buffer_add(out, headers.data, headers.size);
  cc_buffer_add(out, payload.data, payload.size);
  frame_put(word, frame_crc(out->data + start, out->size - start));
  cc_buffer_add(out, word, 4);
}

static inline void frame_add(struct cc_buffer *out, struct cc_slice headers,
                             struct cc_slice payload) {
  uint32_t total = 16 + headers.size + payload.size;
  frame_add_sized(out, total, headers.size, headers, payload);
}

static inline void frame_add_header(struct cc_buffer *headers, const char *name, uint8_t type,
                                    const void *value, size_t size) {
  uint8_t length = (uint8_t)strlen(name);
  cc_buffer_add(headers, &length, 1);
  cc_buffer_add_text(headers, name);
  cc_buffer_add(headers, &type, 1);
  cc_buffer_add(headers, value, size);
}

static inline void frame_add_string(struct cc_buffer *headers, const char *name,
                                    const char *value) {
  size_t size = strlen(value);
  char prefix[2] = {(char)(size >> 8), (char)size};
  frame_add_header(headers, name, 7, prefix, 2);
  cc_buffer_add_text(headers, value);
}

// Appends a frame as Bedrock sends it: ":message-type" kind, the header name_of (":event-type" ...) and
// the payload.
static inline void frame_add_message(struct cc_buffer *out, const char *kind, const char *name_of,
                                     const char *name, struct cc_slice payload) {
  struct cc_buffer headers = {0};
  frame_add_string(&headers, name_of, name);
  frame_add_string(&headers, ":content-type", "application/json");
  frame_add_string(&headers, ":message-type", kind);
  frame_add(out, cc_slice(headers.data, headers.size), payload);
  cc_buffer_free(&headers);
}

// Appends a chunk that holds json.
static inline void frame_add_chunk(struct cc_buffer *out, const char *json, size_t size) {
  struct cc_buffer payload = {0};
  cc_buffer_add_text(&payload, "{\"bytes\":\"");
  cc_base64_encode(&payload, json, size);
  cc_buffer_add_text(&payload, "\",\"p\":\"abcdefghijklmnopq\"}");
  frame_add_message(out, "event", ":event-type", "chunk", cc_slice(payload.data, payload.size));
  cc_buffer_free(&payload);
}
#endif
