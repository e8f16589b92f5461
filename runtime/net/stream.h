// SPDX-License-Identifier: Apache-2.0
// A connected byte stream: TCP or a unix socket, plain or under TLS. TLS is behind struct cc_layer; callers cannot
// tell the difference.
//
// Ownership: the struct is a member of its owner's. cc_stream_close starts closing; the memory may be freed
// after the closed callback, not before. No callback but closed comes after cc_stream_close. Whatever
// cc_stream_accept and cc_stream_connect return, the stream must be closed.
#ifndef CC_NET_STREAM_H
#define CC_NET_STREAM_H
#include "base/buffer.h"
#include <uv.h>

struct cc_layer;
struct cc_stream;
struct cc_tls_config;

// Callbacks of the owner. ready: connected, TLS included (error: CC_OK, or why not; then no end follows).
// read: bytes, borrowed for the call. drain: the system has taken all that was written. end: no more bytes
// will come: CC_OK for a clean end (with TLS: close_notify), CC_EEOF for TLS without it, CC_ERESET or
// another error; the owner must still close the stream. After a clean end writing still works, and end
// comes once more, with the error, when it fails. While reading is on, what the peer sent before it broke
// the connection is read first. ready and drain may be NULL.
struct cc_stream_events {
  void (*ready)(struct cc_stream *stream, int error);
  void (*read)(struct cc_stream *stream, const char *data, size_t size);
  void (*drain)(struct cc_stream *stream);
  void (*end)(struct cc_stream *stream, int error);
  void (*closed)(struct cc_stream *stream);
};

// A socket of libuv, of TCP or of a unix socket.
union cc_socket {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_tcp_t tcp;
  uv_pipe_t pipe;
};

struct cc_stream {
  union cc_socket uv;
  const struct cc_stream_events *events;
  const struct cc_layer *layer; // NULL: plain
  void *tls;
  size_t queued; // bytes the system has not taken yet
  bool reading;  // as the owner wants
  bool closing;
  bool ended; // end was called
  void *data; // belongs to the owner
  // the rest belongs to stream.c, stream_write.c and the layer
  bool standing;   // connected, handshake done
  bool broken;     // end was called with an error
  bool held;       // the layer holds bytes back while reading is off
  int failure;     // first error; writing is over
  int system;      // its error number of libuv
  unsigned blocks; // that libuv has not finished writing
  size_t waiting;  // bytes of queued that the layer holds
  struct cc_later *later;
};

// Takes a connection from a listening socket (tcp or pipe). Reading is off.
int cc_stream_accept(struct cc_stream *stream, uv_stream_t *server,
                     const struct cc_stream_events *events);
// Connects to an address. ready follows, never from within, with CC_OK, CC_EREFUSED, CC_ECONNECT_TIMEOUT,
// CC_EROOM or CC_ECONNECT.
int cc_stream_connect(struct cc_stream *stream, uv_loop_t *loop, const struct sockaddr *address,
                      const struct cc_stream_events *events);
// Begin TLS on a connected stream, before any application byte was exchanged; ready follows. host: the name
// to check (an IP address literal is checked against iPAddress names). CC_ETLS when it cannot begin; then
// ready does not follow.
int cc_stream_tls_client(struct cc_stream *stream, struct cc_tls_config *config, const char *host);
int cc_stream_tls_server(struct cc_stream *stream, struct cc_tls_config *config);

// Writes all parts: what the system takes at once is not copied, the rest is. CC_OK, or an error when the
// stream is dead (end follows or has come). Callers watch queued for back-pressure.
int cc_stream_write(struct cc_stream *stream, const struct cc_slice *parts, unsigned count);

void cc_stream_read(struct cc_stream *stream);  // reading on; nothing is called from within
void cc_stream_pause(struct cc_stream *stream); // reading off

// Hands on bytes that the owner has read before it put TLS on, as if they came now.
void cc_stream_input(struct cc_stream *stream, const char *data, size_t size);

// Closes: what is queued is still sent, close_notify too, for at most 5 s; or (reset) dropped, and the peer
// gets RST.
void cc_stream_close(struct cc_stream *stream);
void cc_stream_reset(struct cc_stream *stream);

// What TLS or the system said of the last failure, for logs; "" when nothing. Borrowed.
const char *cc_stream_detail(const struct cc_stream *stream);
// The peer's address as text without port; "unix" for a unix socket.
void cc_stream_peer(const struct cc_stream *stream, char *out, size_t capacity);
#endif
