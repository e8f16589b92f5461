// SPDX-License-Identifier: Apache-2.0
// Writes to a stream. What the system takes at once is never copied; what it refuses is copied into
// blocks that libuv sends later.
#include "api/error.h"
#include "net/stream_internal.h"
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 32768, GROUP = 16 };

struct block {
  uv_write_t request;
  size_t size;
  char data[];
};

static void count_queued(struct cc_stream *stream) {
  stream->queued = uv_stream_get_write_queue_size(&stream->uv.stream) + stream->waiting;
}

// A peer may answer and then break the connection: its answer can still be read.
static void write_failed(struct cc_stream *stream, int status) {
  if (stream->failure) return;
  stream->system = status;
  stream->failure = cc_stream_error_of(status);
  bool lost = status == UV_EPIPE || status == UV_ECONNRESET;
  if (lost && !stream->ended && uv_is_active(&stream->uv.handle)) return;
  cc_stream_over(stream, stream->failure);
}

static void free_block(struct block *block) {
  cc_wipe(block->data, block->size);
  free(block);
}

static void wrote(uv_write_t *request, int status) {
  struct cc_stream *stream = (struct cc_stream *)request->handle;
  free_block((struct block *)request);
  stream->blocks--;
  if (uv_is_closing(&stream->uv.handle)) return;
  if (status < 0) write_failed(stream, status);
  if (!stream->failure && stream->waiting) stream->layer->write(stream, NULL, 0);
  count_queued(stream);
  if (stream->closing) {
    if (!stream->queued || stream->failure) cc_stream_close_orderly(stream);
    return;
  }
  bool all = !stream->queued && !stream->blocks; // newer libuv tells of several blocks in a row
  if (all && stream->standing && !stream->failure && stream->events->drain)
    stream->events->drain(stream);
}

static struct block *new_block(size_t size) {
  struct block *block = cc_alloc(sizeof *block + size);
  block->size = 0;
  return block;
}

static void send_block(struct cc_stream *stream, struct block *block) {
  uv_buf_t piece = uv_buf_init(block->data, (unsigned)block->size);
  int status = uv_write(&block->request, &stream->uv.stream, &piece, 1, wrote);
  if (!status) {
    stream->blocks++;
    return;
  }
  free_block(block);
  stream->system = status;
  cc_stream_fail_later(stream, cc_stream_error_of(status));
}

// Copies what is left of parts after the first skip bytes into blocks.
static void queue(struct cc_stream *stream, const struct cc_slice *parts, unsigned count,
                  size_t skip, size_t left) {
  struct block *block = NULL;
  for (unsigned i = 0; i < count && !stream->failure;) {
    if (skip >= parts[i].size) {
      skip -= parts[i++].size;
      continue;
    }
    size_t capacity = left < BLOCK ? left : BLOCK;
    if (!block) block = new_block(capacity);
    size_t fits = capacity - block->size;
    size_t size = parts[i].size - skip < fits ? parts[i].size - skip : fits;
    memcpy(block->data + block->size, parts[i].data + skip, size);
    block->size += size;
    skip += size;
    if (block->size < capacity) continue;
    left -= block->size;
    send_block(stream, block);
    block = NULL;
  }
}

// Returns the number of bytes that the system took at once. An error comes again when the rest is queued, and
// is then reported from the loop.
static size_t try_write(struct cc_stream *stream, const struct cc_slice *parts, unsigned count) {
  size_t taken = 0;
  while (count) {
    uv_buf_t pieces[GROUP];
    size_t size = 0;
    unsigned group = count < GROUP ? count : GROUP;
    for (unsigned i = 0; i < group; i++) {
      pieces[i] = uv_buf_init((char *)parts[i].data, parts[i].size);
      size += parts[i].size;
    }
    int result = size ? uv_try_write(&stream->uv.stream, pieces, group) : 0;
    if (result > 0) taken += (size_t)result;
    if (result < 0 || (size_t)result < size) break;
    parts += group;
    count -= group;
  }
  return taken;
}

int cc_stream_raw_write(struct cc_stream *stream, const struct cc_slice *parts, unsigned count) {
  if (stream->failure) return stream->failure;
  size_t size = 0;
  for (unsigned i = 0; i < count; i++)
    size += parts[i].size;
  size_t taken = try_write(stream, parts, count);
  if (taken < size) queue(stream, parts, count, taken, size - taken);
  count_queued(stream);
  return stream->failure;
}

int cc_stream_write(struct cc_stream *stream, const struct cc_slice *parts, unsigned count) {
  if (stream->failure) return stream->failure;
  if (stream->closing || !stream->standing) return CC_ESTATE;
  if (!stream->layer) return cc_stream_raw_write(stream, parts, count);
  int error = count ? stream->layer->write(stream, parts, count) : CC_OK;
  count_queued(stream);
  return error;
}
