// SPDX-License-Identifier: Apache-2.0
// Worker processes: forking them, and the channel of messages between each and the master.
//
// A worker is a fork of the master without exec: it goes on with the same library, configuration
// and generation, so a worker that replaces a dead one cannot meet newer files than the others.
#include "base/error.h"
#include "loop/engine.h"
#include "shared/reservations.h"
#include "shared/shared.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 16 * 1024 * 1024 };

struct cc_channel {
  uv_pipe_t pipe;
  struct cc_relay *relay;
  struct cc_channel *next;
  int slot; // the other end: a worker's, or -1 for the master
  struct cc_buffer in;
  char read[4096];
};

struct cc_channels {
  struct cc_channel *first;
};

struct post {
  uv_write_t request;
  char data[];
};

// ---- Channels ----------------------------------------------------------------------------------

static uint32_t size_at(const struct cc_buffer *buffer, size_t offset) {
  uint32_t size;
  memcpy(&size, buffer->data + offset, sizeof size);
  return size;
}

// Offset behind the message that begins at offset; 0 when it is not whole.
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

static void gone(uv_handle_t *handle) {
  struct cc_channel *channel = (struct cc_channel *)handle;
  cc_buffer_free(&channel->in);
  free(channel);
}

static void close_channel(struct cc_channel *channel) {
  struct cc_channel **link = &channel->relay->channels->first;
  while (*link && *link != channel)
    link = &(*link)->next;
  if (*link) *link = channel->next;
  uv_close((uv_handle_t *)&channel->pipe, gone);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  struct cc_channel *channel = (struct cc_channel *)handle;
  (void)suggested;
  *buffer = uv_buf_init(channel->read, sizeof channel->read);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
  struct cc_channel *channel = (struct cc_channel *)stream;
  if (size < 0) {
    close_channel(channel);
    return;
  }
  size_t before = count_whole(&channel->in);
  cc_buffer_add(&channel->in, buffer->base, (size_t)size);
  for (size_t after = count_whole(&channel->in); before < after; before++)
    cc_relay_post(channel->relay, CC_EVENT_MESSAGE, channel->slot, 0);
}

static void open_channel(struct cc_relay *relay, int fd, int slot) {
  if (!relay->channels) relay->channels = cc_alloc(sizeof *relay->channels);
  struct cc_channel *channel = cc_alloc(sizeof *channel);
  channel->relay = relay;
  channel->slot = slot;
  channel->next = relay->channels->first;
  relay->channels->first = channel;
  uv_pipe_init(&relay->loop, &channel->pipe, 0);
  uv_pipe_open(&channel->pipe, fd);
  uv_read_start((uv_stream_t *)&channel->pipe, on_allocate, on_read);
}

static struct cc_channel *find_channel(struct cc_relay *relay, int slot) {
  struct cc_channel *channel = relay->channels ? relay->channels->first : NULL;
  while (channel && channel->slot != slot)
    channel = channel->next;
  return channel;
}

void cc_channels_close(struct cc_relay *relay) {
  if (!relay->channels) return;
  while (relay->channels->first)
    close_channel(relay->channels->first);
  free(relay->channels);
  relay->channels = NULL;
}

bool cc_channels_take(struct cc_relay *relay, int slot) {
  struct cc_channel *channel = find_channel(relay, slot);
  size_t end = channel ? message_end(&channel->in, 0) : 0;
  if (!end) return false;
  cc_buffer_clear(&relay->message);
  cc_buffer_add(&relay->message, channel->in.data + sizeof(uint32_t), end - sizeof(uint32_t));
  cc_buffer_drop(&channel->in, end);
  return true;
}

static void on_written(uv_write_t *request, int status) {
  (void)status;
  free(request);
}

int cc_send(struct cc_relay *relay, int slot, const char *data, uint32_t size) {
  struct cc_channel *channel = find_channel(relay, slot);
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
  *out = cc_slice(relay->message.data, relay->message.size);
  return CC_OK;
}

// ---- Forking -----------------------------------------------------------------------------------

static pid_t helper;                        // the child of cc_child
static struct cc_relay *volatile inherited; // the master's, of no more use here, still reachable

static void close_descriptor(uv_handle_t *handle, void *data) {
  uv_os_fd_t fd;
  (void)data;
  if (handle->type == UV_SIGNAL) uv_signal_stop((uv_signal_t *)handle);
  bool socket = handle->type == UV_TCP || handle->type == UV_NAMED_PIPE;
  if (socket && uv_fileno(handle, &fd) == 0) close(fd);
}

// The child must not run or close the master's loop in an orderly way: its connections are the
// master's. It only lets go of the descriptors.
void cc_relay_close_descriptors(struct cc_relay *relay) {
  uv_walk(&relay->loop, close_descriptor, NULL);
  close(uv_backend_fd(&relay->loop));
  inherited = relay;
}

static void become_worker(struct cc_relay **relay, uint32_t slot, int channel, pid_t master) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != master) _exit(1);
  struct cc_relay *old = *relay, *fresh = cc_open();
  fresh->settings = old->settings;
  cc_listeners_inherit(fresh->listeners, old->listeners, slot);
  cc_configure(fresh, &old->settings);
  cc_relay_close_descriptors(old);
  open_channel(fresh, channel, -1);
  cc_shared_this((int)slot);
  *relay = fresh;
}

int cc_fork(struct cc_relay **relay, uint32_t slot) {
  int pair[2];
  pid_t master = getpid();
  if (find_channel(*relay, (int)slot)) close_channel(find_channel(*relay, (int)slot));
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return cc_fail_errno(CC_ESYSTEM, "socketpair");
  pid_t pid = fork();
  if (pid < 0) {
    close(pair[0]);
    close(pair[1]);
    return cc_fail_errno(CC_ESYSTEM, "fork");
  }
  if (pid == 0) {
    close(pair[0]);
    become_worker(relay, slot, pair[1], master);
    return 1;
  }
  close(pair[1]);
  open_channel(*relay, pair[0], (int)slot);
  cc_shared_slot_started((int)slot, pid);
  return 0;
}

int cc_child(void) {
  pid_t parent = getpid(), pid = fork();
  if (pid < 0) return cc_fail_errno(CC_ESYSTEM, "fork");
  if (pid > 0) return helper = pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  return 0;
}

// ---- Ends of workers ---------------------------------------------------------------------------

static int status_of(int status) {
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static bool has_ended(pid_t pid, int *status) {
  return pid > 0 && waitpid(pid, status, WNOHANG) == pid;
}

// Each is waited for by its pid: the ends of programs (net/command.c) are the loop's to learn.
void cc_workers_reap(struct cc_relay *relay) {
  int status;
  struct cc_worker worker;
  if (has_ended(helper, &status)) helper = 0;
  for (uint32_t slot = 0; cc_worker(slot, &worker) == CC_OK; slot++) {
    if (!has_ended(worker.pid, &status)) continue;
    cc_reservations_refund(slot);
    cc_shared_slot_ended((int)slot, status_of(status));
    cc_relay_post(relay, CC_EVENT_CHILD, (int32_t)slot, 0);
  }
}
