// SPDX-License-Identifier: Apache-2.0
// A message on the wire is its size (4 bytes of this machine) and its bytes.
#include "process/channel.h"
#include "api/error.h"
#include "api/process.h"
#include "base/buffer.h"
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 16 * 1024 * 1024 };

struct channel {
  uv_pipe_t pipe;
  struct cc_relay *relay;
  struct channel *next;
  int slot; // the other end: a worker's, or -1 for the master
  struct cc_buffer in;
  char read[4096];
};

struct cc_channels {
  struct channel *first;
  struct cc_buffer message; // taken last
};

struct post {
  uv_write_t request;
  char data[];
};

static uint32_t size_at(const struct cc_buffer *buffer, size_t offset) {
  uint32_t size;
  memcpy(&size, buffer->data + offset, sizeof size);
  return size;
}

// The offset behind the message that begins at offset; 0 when it is incomplete.
static size_t message_end(const struct cc_buffer *in, size_t offset) {
  if (in->size - offset < sizeof(uint32_t)) return 0;
  size_t end = offset + sizeof(uint32_t) + size_at(in, offset);
  return end <= in->size ? end : 0;
}

static size_t count_whole(const struct cc_buffer *in) {
  size_t count = 0, offset = 0;
  while ((offset = message_end(in, offset)))
    count++;
  return count;
}

static void on_closed(uv_handle_t *handle) {
  struct channel *channel = (struct channel *)handle;
  cc_buffer_free(&channel->in);
  free(channel);
}

static void close_one(struct channel *channel) {
  struct channel **link = &channel->relay->channels->first;
  while (*link && *link != channel)
    link = &(*link)->next;
  if (*link) *link = channel->next;
  uv_close((uv_handle_t *)&channel->pipe, on_closed);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  struct channel *channel = (struct channel *)handle;
  (void)suggested;
  *buffer = uv_buf_init(channel->read, sizeof channel->read);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
  struct channel *channel = (struct channel *)stream;
  if (size < 0) {
    close_one(channel);
    return;
  }
  size_t before = count_whole(&channel->in);
  cc_buffer_add(&channel->in, buffer->base, (size_t)size);
  for (size_t after = count_whole(&channel->in); before < after; before++)
    cc_events_post(&channel->relay->events, CC_EVENT_MESSAGE, channel->slot, 0);
}

void cc_channel_open(struct cc_relay *relay, int fd, int slot) {
  if (!relay->channels) relay->channels = cc_alloc(sizeof *relay->channels);
  struct channel *channel = cc_alloc(sizeof *channel);
  channel->relay = relay;
  channel->slot = slot;
  channel->next = relay->channels->first;
  relay->channels->first = channel;
  uv_pipe_init(&relay->loop, &channel->pipe, 0);
  uv_pipe_open(&channel->pipe, fd);
  uv_read_start((uv_stream_t *)&channel->pipe, on_allocate, on_read);
}

static struct channel *find(struct cc_relay *relay, int slot) {
  struct channel *channel = relay->channels ? relay->channels->first : NULL;
  while (channel && channel->slot != slot)
    channel = channel->next;
  return channel;
}

void cc_channels_close(struct cc_relay *relay) {
  if (!relay->channels) return;
  while (relay->channels->first)
    close_one(relay->channels->first);
  cc_buffer_free(&relay->channels->message);
  free(relay->channels);
  relay->channels = NULL;
}

void cc_channel_close(struct cc_relay *relay, int slot) {
  struct channel *channel = find(relay, slot);
  if (channel) close_one(channel);
}

bool cc_channel_take(struct cc_relay *relay, int slot) {
  struct channel *channel = find(relay, slot);
  size_t end = channel ? message_end(&channel->in, 0) : 0;
  if (!end) return false;
  struct cc_buffer *message = &relay->channels->message;
  cc_buffer_clear(message);
  cc_buffer_add(message, channel->in.data + sizeof(uint32_t), end - sizeof(uint32_t));
  cc_buffer_drop(&channel->in, end);
  return true;
}

static void on_written(uv_write_t *request, int status) {
  (void)status;
  free(request);
}

int cc_send(struct cc_relay *relay, int slot, const char *data, uint32_t size) {
  struct channel *channel = find(relay, slot);
  if (!channel) return CC_ENOTFOUND;
  if (size > MESSAGE_BYTES) return CC_ELIMIT;
  struct post *post = cc_alloc(sizeof *post + sizeof size + size);
  memcpy(post->data, &size, sizeof size);
  memcpy(post->data + sizeof size, data, size);
  uv_buf_t part = uv_buf_init(post->data, (unsigned)(sizeof size + size));
  if (uv_write(&post->request, (uv_stream_t *)&channel->pipe, &part, 1, on_written) == 0)
    return CC_OK;
  free(post);
  return CC_ERESET;
}

int cc_message(struct cc_relay *relay, struct cc_slice *out) {
  *out = cc_slice_text("");
  if (relay->channels)
    *out = cc_slice(relay->channels->message.data, relay->channels->message.size);
  return CC_OK;
}
