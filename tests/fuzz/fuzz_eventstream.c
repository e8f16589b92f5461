// SPDX-License-Identifier: Apache-2.0
// Reads frames whole and in pieces, and as events of a Bedrock answer. The first byte chooses the size of
// the pieces, and whether the CRCs are corrected first, so that the code behind them is reached.
#include "api/error.h"
#include "attempt/bedrock_stream.h"
#include "codec/base64.h"
#include "codec/crc32.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static uint32_t read_word(const char *at) {
  const uint8_t *byte = (const uint8_t *)at;
  return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
}

static void write_word(char *at, uint32_t word) {
  for (int i = 0; i < 4; i++)
    at[i] = (char)(word >> (24 - 8 * i));
}

static void mend(char *text, size_t size) {
  while (size >= 16) {
    uint32_t total = read_word(text);
    write_word(text + 8, cc_crc32(0, text, 8));
    if (total < 16 || total > size) return;
    write_word(text + total - 4, cc_crc32(0, text, total - 4));
    text += total;
    size -= total;
  }
}

static void note(struct cc_buffer *log, struct cc_eventstream_message message) {
  struct cc_eventstream_header header;
  while (cc_eventstream_header(&message.headers, &header)) {
    cc_buffer_add(log, &header.type, sizeof header.type);
    cc_buffer_add(log, &header.number, sizeof header.number);
    cc_buffer_add(log, header.name.data, header.name.size);
    cc_buffer_add(log, header.value.data, header.value.size);
  }
  if (message.headers.size) abort();
  cc_buffer_add(log, message.payload.data, message.payload.size);
}

static void read_messages(const char *text, size_t size, size_t cut, struct cc_buffer *log) {
  struct cc_eventstream stream = {0};
  int status = 0;
  for (size_t from = 0; from < size && status == 0; from += cut) {
    size_t part = size - from < cut ? size - from : cut;
    char *block = malloc(part);
    memcpy(block, text + from, part);
    struct cc_slice piece = cc_slice(block, part);
    struct cc_eventstream_message message;
    while ((status = cc_eventstream_next(&stream, &piece, &message)) == 1)
      note(log, message);
    if (status == 0 && piece.size) abort();
    free(block);
  }
  bool between = cc_eventstream_between(&stream);
  if (status < 0 && ((status != CC_EFRAME && status != CC_EEVENT_SIZE) || between)) abort();
  if (stream.held.size > size) abort();
  cc_buffer_printf(log, "%d%d", status, between);
  cc_eventstream_free(&stream);
}

static void read_frames(const char *text, size_t size, size_t cut, struct cc_buffer *sse) {
  struct cc_bedrock_stream frames = {0};
  int status = CC_OK;
  for (size_t from = 0; from < size && status == CC_OK; from += cut) {
    size_t part = size - from < cut ? size - from : cut;
    status = cc_bedrock_stream_read(&frames, cc_slice(text + from, part), false, sse);
  }
  if (sse->size && (sse->size < 2 || memcmp(sse->data + sse->size - 2, "\n\n", 2) != 0)) abort();
  int end = cc_bedrock_stream_end(&frames);
  if (status != CC_OK && status != CC_EFRAME && status != CC_EEVENT_SIZE) abort();
  if (status != CC_OK && end != CC_EFRAME) abort();
  cc_buffer_printf(sse, "%d%d", status, end);
  cc_bedrock_stream_free(&frames);
}

static void compare(void (*read)(const char *, size_t, size_t, struct cc_buffer *),
                    const char *text, size_t size, size_t cut) {
  struct cc_buffer whole = {0}, parts = {0};
  read(text, size, size, &whole);
  read(text, size, cut, &parts);
  if (whole.size != parts.size || memcmp(whole.data, parts.data, whole.size) != 0) abort();
  cc_buffer_free(&whole);
  cc_buffer_free(&parts);
}

// Base64 that was decoded must encode to the same text.
static void there_and_back(const char *text, size_t size) {
  struct cc_buffer plain = {0}, again = {0};
  if (cc_base64_decode(&plain, text, size)) {
    cc_base64_encode(&again, plain.data, plain.size);
    if (again.size != size || (size && memcmp(again.data, text, size) != 0)) abort();
  } else if (plain.size) {
    abort();
  }
  cc_buffer_free(&plain);
  cc_buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  if (size < 2) return 0;
  char *text = malloc(size - 1);
  memcpy(text, bytes + 1, --size);
  size_t cut = bytes[0] % 64 + 1u;
  there_and_back(text, size);
  if (bytes[0] & 0x80) mend(text, size);
  compare(read_messages, text, size, cut);
  compare(read_frames, text, size, cut);
  free(text);
  return 0;
}
