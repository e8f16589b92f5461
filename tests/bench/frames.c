// SPDX-License-Identifier: Apache-2.0
// Measures how many MB/s of event-stream frames are decoded, for frames.sh: the best of several runs over
// the same 8 MB, in pieces as a connection reads them.
#include "api/error.h"
#include "attempt/bedrock_stream.h"
#include "support/frame_build.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ALL = 8 * 1024 * 1024, PIECE = 64 * 1024, RUNS = 40 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// Makes a chunk with a frame of size bytes.
static void add_chunk(struct cc_buffer *out, size_t size) {
  struct cc_buffer json = {0}, empty = {0};
  static const char head[] = "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                             "\"text_delta\",\"text\":\"";
  frame_add_chunk(&empty, "", 0);
  cc_buffer_add_text(&json, head);
  while ((json.size + 3) / 3 * 4 + empty.size < size - 3)
    cc_buffer_add(&json, &"some words, and more of them "[json.size % 29], 1);
  cc_buffer_add_text(&json, "\"}}");
  frame_add_chunk(out, json.data, json.size);
  cc_buffer_free(&json);
  cc_buffer_free(&empty);
}

static size_t read_messages(const struct cc_buffer *all, size_t piece_size) {
  struct cc_eventstream stream = {0};
  size_t bytes = 0;
  for (size_t at = 0; at < all->size; at += piece_size) {
    size_t left = all->size - at;
    struct cc_slice piece = cc_slice(all->data + at, left < piece_size ? left : piece_size);
    struct cc_eventstream_message message;
    int status;
    while ((status = cc_eventstream_next(&stream, &piece, &message)) == 1)
      bytes += message.payload.size;
    if (status < 0) abort();
  }
  cc_eventstream_free(&stream);
  return bytes;
}

static size_t read_events(const struct cc_buffer *all, size_t piece_size) {
  struct cc_bedrock_stream frames = {0};
  struct cc_buffer sse = {0};
  size_t bytes = 0;
  for (size_t at = 0; at < all->size; at += piece_size) {
    size_t left = all->size - at;
    struct cc_slice piece = cc_slice(all->data + at, left < piece_size ? left : piece_size);
    if (cc_bedrock_stream_read(&frames, piece, false, &sse) != CC_OK) abort();
    bytes += sse.size;
    cc_buffer_clear(&sse);
  }
  cc_buffer_free(&sse);
  cc_bedrock_stream_free(&frames);
  return bytes;
}

static void measure(const char *what, size_t (*read)(const struct cc_buffer *, size_t),
                    const struct cc_buffer *all, size_t frame) {
  double best = 1e9;
  for (int run = 0; run < RUNS; run++) {
    double start = now();
    if (!read(all, PIECE)) abort();
    double took = now() - start;
    if (took < best) best = took;
  }
  printf("%-24s %6zu bytes a frame %8.0f MB/s\n", what, frame, (double)all->size / best / 1e6);
}

int main(void) {
  static const size_t frames[] = {256, 1024, 16384};
  for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
    struct cc_buffer all = {0};
    size_t count = 0;
    for (; all.size < ALL; count++)
      add_chunk(&all, frames[i]);
    measure("decoder", read_messages, &all, all.size / count);
    measure("decoder, base64, SSE", read_events, &all, all.size / count);
    cc_buffer_free(&all);
  }
  return 0;
}
