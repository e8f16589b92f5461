// SPDX-License-Identifier: Apache-2.0
// One connected byte stream: TCP or a unix socket, plain or under TLS. TLS stands behind
// struct cc_layer; nothing above can tell the difference.
//
// Ownership: the struct is a member of its owner's. cc_stream_close starts closing; the closed
// callback tells when the memory may go, nothing else does. No callback but closed comes after
// cc_stream_close. Whatever cc_stream_accept and cc_stream_connect return, the stream is then to be
// closed.
#ifndef CC_NET_STREAM_H
#define CC_NET_STREAM_H
#include "base/buffer.h"
#include <uv.h>

struct cc_layer;
struct cc_stream;
struct cc_tls_config;

// What the owner is told. read: bytes, borrowed for the call. end: no more will come, CC_OK for a
// clean end (with TLS: close_notify), CC_EEOF for TLS without it, CC_ERESET or another error; the
// stream is still to be closed. After a clean end writing goes on to work, and end comes once more,
// with the error, when that fails. While reading is on, what the peer said before it broke the
// connection is read first. drain: all that was written has gone to the system. ready: the
// connection stands, TLS included (error: CC_OK or why not; then no end follows). ready and drain
// may be NULL.
struct cc_stream_events {
  void (*ready)(struct cc_stream *stream, int error);
  void (*read)(struct cc_stream *stream, const char *data, size_t size);
  void (*drain)(struct cc_stream *stream);
  void (*end)(struct cc_stream *stream, int error);
  void (*closed)(struct cc_stream *stream);
};

struct cc_stream {
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv;
  const struct cc_stream_events *events;
  const struct cc_layer *layer; // NULL: plain
  void *tls;
  size_t queued; // bytes the system has not taken yet
  bool reading;  // the owner's wish
  bool closing;
  bool ended; // end has been told
  void *data; // the owner's
  // the rest is for stream.c, stream_write.c and the layer
  bool standing;   // connected, handshake done
  bool broken;     // the end that was told was an error
  bool held;       // the layer holds bytes back while reading is off
  int failure;     // first error; writing is over
  int system;      // the system's word for it
  unsigned blocks; // whose end libuv has not told yet
  size_t waiting;  // bytes of queued that the layer holds
  struct cc_later *later;
};

// Takes a connection from a listening socket (tcp or pipe); it stands, with reading off.
int cc_stream_accept(struct cc_stream *stream, uv_stream_t *server,
                     const struct cc_stream_events *events);
// Connects to an address; ready follows, never from within, with CC_EREFUSED,
// CC_ECONNECT_TIMEOUT, CC_EROOM or CC_ECONNECT when that fails.
int cc_stream_connect(struct cc_stream *stream, uv_loop_t *loop, const struct sockaddr *address,
                      const struct cc_stream_events *events);
// Puts TLS on a connected stream; ready follows. host: the name to check, client only (an IP
// address literal is checked against iPAddress names). Both are for use before any application
// byte was exchanged. CC_ETLS when it cannot begin; then ready does not follow.
int cc_stream_tls_client(struct cc_stream *stream, struct cc_tls_config *config, const char *host);
int cc_stream_tls_server(struct cc_stream *stream, struct cc_tls_config *config);

// Writes all parts: what the system takes at once is not copied, the rest is. CC_OK, or an error
// when the stream is dead (end follows or has come). Callers look at queued for back-pressure.
int cc_stream_write(struct cc_stream *stream, const struct cc_slice *parts, unsigned count);

void cc_stream_read(struct cc_stream *stream);  // reading on; nothing is called from within
void cc_stream_pause(struct cc_stream *stream); // reading off

// Ends: what is queued is still sent (close), or thrown away and the peer gets RST (reset).
// cc_stream_close gives queued bytes and close_notify at most 5 s.
void cc_stream_close(struct cc_stream *stream);
void cc_stream_reset(struct cc_stream *stream);

// Words for what TLS or the system last failed with ("" when nothing): for logs, borrowed.
const char *cc_stream_detail(const struct cc_stream *stream);
// The peer's address as text without port; "unix" for a unix socket.
void cc_stream_peer(const struct cc_stream *stream, char *out, size_t capacity);
#endif
