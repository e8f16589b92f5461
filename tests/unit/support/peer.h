// SPDX-License-Identifier: Apache-2.0
// Scripted peers for tests of the whole runtime: upstreams and clients in threads with blocking
// sockets, so that the relay under test has the loop to itself.
#ifndef CC_TEST_PEER_H
#define CC_TEST_PEER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum peer_end {
  PEER_KEEP,
  PEER_CLOSE,
  PEER_RESET,
  PEER_HANG,
  PEER_LATE // a good second goes by before it answers and closes
};

// What an upstream does with one request: waits until it is whole, sends the bytes, then ends.
struct peer_reply {
  const char *bytes;
  size_t size; // 0: strlen(bytes)
  enum peer_end end;
};

struct peer_upstream;

// Listens on loopback and answers requests with the replies, in order; the last reply serves all further
// requests.
struct peer_upstream *peer_upstream_start(const struct peer_reply *replies, int count);
uint16_t peer_upstream_port(const struct peer_upstream *upstream);
int peer_upstream_requests(struct peer_upstream *upstream);
int peer_upstream_connections(struct peer_upstream *upstream);
// The bytes of the last request; valid until the upstream is stopped.
const char *peer_upstream_last(struct peer_upstream *upstream, size_t *size);
void peer_upstream_stop(struct peer_upstream *upstream);

struct peer_client;

// Connects, sends the bytes, and reads until the server closes or `until` bytes of text were seen.
struct peer_client *peer_client_start(uint16_t port, const char *bytes, size_t size,
                                      const char *until);
// Waits for the client and returns what it read (ends with NUL; freed by peer_client_free).
const char *peer_client_wait(struct peer_client *client, size_t *size, bool *reset);
bool peer_client_done(struct peer_client *client);
// Ends its connection now.
void peer_client_abort(struct peer_client *client);
void peer_client_free(struct peer_client *client);
#endif
