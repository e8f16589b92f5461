// SPDX-License-Identifier: Apache-2.0
#include "support/peer.h"
#include "base/buffer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 64 };

struct peer_upstream {
  const struct peer_reply *replies;
  int count, listener;
  uint16_t port;
  pthread_t thread, connection[CONNECTIONS];
  int fds[CONNECTIONS];
  atomic_int connections, requests;
  pthread_mutex_t lock;
  struct cc_buffer last;
};

struct served {
  struct peer_upstream *upstream;
  int fd;
};

static struct sockaddr_in loopback(uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static size_t content_length(const char *head) {
  const char *at = strcasestr(head, "\r\ncontent-length:");
  return at ? strtoul(at + 17, NULL, 10) : 0;
}

// Reads one request; false when the peer ended.
static bool read_request(int fd, struct cc_buffer *in) {
  char bytes[16384];
  for (;;) {
    cc_buffer_reserve(in, 1);
    in->data[in->size] = '\0';
    const char *end = in->size ? strstr(in->data, "\r\n\r\n") : NULL;
    if (end && in->size >= (size_t)(end + 4 - in->data) + content_length(in->data)) return true;
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    cc_buffer_add(in, bytes, (size_t)got);
  }
}

static void send_all(int fd, const char *bytes, size_t size) {
  while (size) {
    ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes += sent;
    size -= (size_t)sent;
  }
}

static void reset(int fd) {
  struct linger linger = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void wait_for_end(int fd) {
  char byte[256];
  while (recv(fd, byte, sizeof byte, 0) > 0)
    ;
}

static bool reply(struct peer_upstream *upstream, int fd, int number) {
  int index = number < upstream->count ? number : upstream->count - 1;
  const struct peer_reply *script = &upstream->replies[index];
  if (script->end == PEER_LATE) usleep(1100000);
  send_all(fd, script->bytes, script->size ? script->size : strlen(script->bytes));
  if (script->end == PEER_RESET) reset(fd);
  if (script->end == PEER_HANG) wait_for_end(fd);
  return script->end == PEER_KEEP;
}

static void *serve(void *data) {
  struct served served = *(struct served *)data;
  free(data);
  struct cc_buffer in = {0};
  bool open = true;
  while (open && read_request(served.fd, &in)) {
    pthread_mutex_lock(&served.upstream->lock);
    cc_buffer_clear(&served.upstream->last);
    cc_buffer_add(&served.upstream->last, in.data,
                  in.size + 1); // with the NUL that read_request added
    served.upstream->last.size--;
    pthread_mutex_unlock(&served.upstream->lock);
    cc_buffer_clear(&in);
    open = reply(served.upstream, served.fd, atomic_fetch_add(&served.upstream->requests, 1));
  }
  cc_buffer_free(&in);
  close(served.fd);
  return NULL;
}

static void *accept_all(void *data) {
  struct peer_upstream *upstream = data;
  for (;;) {
    int fd = accept(upstream->listener, NULL, NULL);
    int number = atomic_load(&upstream->connections);
    if (fd < 0 || number == CONNECTIONS) return NULL;
    struct served *served = cc_alloc(sizeof *served);
    *served = (struct served){upstream, fd};
    upstream->fds[number] = fd;
    atomic_fetch_add(&upstream->connections,
                     1); // before the peer can see an answer and read the count
    pthread_create(&upstream->connection[number], NULL, serve, served);
  }
}

struct peer_upstream *peer_upstream_start(const struct peer_reply *replies, int count) {
  struct peer_upstream *upstream = cc_alloc(sizeof *upstream);
  upstream->replies = replies;
  upstream->count = count;
  upstream->listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (bind(upstream->listener, (struct sockaddr *)&address, size) ||
      listen(upstream->listener, 64) ||
      getsockname(upstream->listener, (struct sockaddr *)&address, &size))
    abort();
  upstream->port = ntohs(address.sin_port);
  pthread_mutex_init(&upstream->lock, NULL);
  pthread_create(&upstream->thread, NULL, accept_all, upstream);
  return upstream;
}

uint16_t peer_upstream_port(const struct peer_upstream *upstream) {
  return upstream->port;
}

int peer_upstream_requests(struct peer_upstream *upstream) {
  return atomic_load(&upstream->requests);
}

int peer_upstream_connections(struct peer_upstream *upstream) {
  return atomic_load(&upstream->connections);
}

const char *peer_upstream_last(struct peer_upstream *upstream, size_t *size) {
  pthread_mutex_lock(&upstream->lock);
  *size = upstream->last.size;
  const char *data = upstream->last.data;
  pthread_mutex_unlock(&upstream->lock);
  return data;
}

// The relay has closed its side before, so every thread is about to end.
void peer_upstream_stop(struct peer_upstream *upstream) {
  shutdown(upstream->listener, SHUT_RDWR);
  pthread_join(upstream->thread, NULL);
  for (int i = 0; i < atomic_load(&upstream->connections); i++)
    pthread_join(upstream->connection[i], NULL);
  close(upstream->listener);
  pthread_mutex_destroy(&upstream->lock);
  cc_buffer_free(&upstream->last);
  free(upstream);
}

// ---- Clients -----------------------------------------------------------------------------------

struct peer_client {
  int fd;
  pthread_t thread;
  struct cc_buffer out, in;
  const char *until;
  atomic_bool done;
  bool joined, reset;
};

static void *talk(void *data) {
  struct peer_client *client = data;
  char bytes[16384];
  send_all(client->fd, client->out.data, client->out.size);
  for (;;) {
    ssize_t got = recv(client->fd, bytes, sizeof bytes, 0);
    client->reset = got < 0 && errno == ECONNRESET;
    if (got <= 0) break;
    cc_buffer_add(&client->in, bytes, (size_t)got);
    cc_buffer_reserve(&client->in, 1);
    client->in.data[client->in.size] = '\0';
    if (client->until && strstr(client->in.data, client->until)) break;
  }
  close(client->fd);
  atomic_store(&client->done, true);
  return NULL;
}

struct peer_client *peer_client_start(uint16_t port, const char *bytes, size_t size,
                                      const char *until) {
  struct peer_client *client = cc_alloc(sizeof *client);
  struct sockaddr_in address = loopback(port);
  client->fd = socket(AF_INET, SOCK_STREAM, 0);
  client->until = until;
  cc_buffer_add(&client->out, bytes, size);
  if (connect(client->fd, (struct sockaddr *)&address, sizeof address)) abort();
  pthread_create(&client->thread, NULL, talk, client);
  return client;
}

bool peer_client_done(struct peer_client *client) {
  return atomic_load(&client->done);
}

const char *peer_client_wait(struct peer_client *client, size_t *size, bool *was_reset) {
  if (!client->joined) pthread_join(client->thread, NULL);
  client->joined = true;
  if (size) *size = client->in.size;
  if (was_reset) *was_reset = client->reset;
  return client->in.size ? client->in.data : "";
}

void peer_client_abort(struct peer_client *client) {
  shutdown(client->fd, SHUT_RDWR);
}

void peer_client_free(struct peer_client *client) {
  peer_client_wait(client, NULL, NULL);
  cc_buffer_free(&client->out);
  cc_buffer_free(&client->in);
  free(client);
}
