// SPDX-License-Identifier: Apache-2.0
// One connected byte stream: TCP or a unix socket, plain or under TLS. TLS stands behind the five
// functions of struct cc_layer; nothing above can tell the difference.
//
// Ownership: the struct is a member of its owner's. cc_stream_close starts closing; the closed
// callback tells when the memory may go, nothing else does. No callback but closed comes after
// cc_stream_close.
#ifndef CC_NET_STREAM_H
#define CC_NET_STREAM_H
#include "base/buffer.h"
#include <uv.h>

struct cc_stream;
struct cc_tls_config;

// What the owner is told. read: bytes, borrowed for the call. end: no more will come, CC_OK for a
// clean end (with TLS: close_notify), CC_EEOF for TLS without it, CC_ERESET or another error; the
// stream is still to be closed. drain: all that was written has gone to the system. ready: the
// connection stands, TLS included (error: CC_OK or why not).
struct cc_stream_events {
  void (*ready)(struct cc_stream *stream, int error);
  void (*read)(struct cc_stream *stream, const char *data, size_t size);
  void (*drain)(struct cc_stream *stream);
  void (*end)(struct cc_stream *stream, int error);
  void (*closed)(struct cc_stream *stream);
};

// What a layer (plain, TLS) does for a stream.
struct cc_layer {
  int (*start)(struct cc_stream *stream);
  int (*write)(struct cc_stream *stream, const struct cc_slice *parts, unsigned count);
  void (*input)(struct cc_stream *stream, const char *data, size_t size); // raw bytes came
  void (*finish)(struct cc_stream *stream); // orderly end of sending (close_notify)
  void (*free)(struct cc_stream *stream);
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
  size_t queued;                // bytes the system has not taken yet
  bool reading;
  bool closing;
  bool ended;
  void *data;                   // the owner's
};

// Takes a connection from a listening socket and starts reading paused. server is of the same
// kind (tcp or pipe).
int cc_stream_accept(struct cc_stream *stream, uv_stream_t *server,
                     const struct cc_stream_events *events);
// Connects to an address; ready follows.
int cc_stream_connect(struct cc_stream *stream, uv_loop_t *loop, const struct sockaddr *address,
                      const struct cc_stream_events *events);
// Puts TLS on a connected stream; ready follows. host: the name to check, client only (an IP
// address literal is checked against iPAddress names). Both are for use before any application
// byte was exchanged.
int cc_stream_tls_client(struct cc_stream *stream, struct cc_tls_config *config, const char *host);
int cc_stream_tls_server(struct cc_stream *stream, struct cc_tls_config *config);

// Writes all parts: what the system takes at once is not copied, the rest is. CC_OK, or an error
// when the stream is dead (end follows or has come). Callers look at queued for back-pressure.
int cc_stream_write(struct cc_stream *stream, const struct cc_slice *parts, unsigned count);

void cc_stream_read(struct cc_stream *stream);  // reading on
void cc_stream_pause(struct cc_stream *stream); // reading off

// Ends: what is queued is still sent (close), or thrown away and the peer gets RST (reset).
// cc_stream_close gives queued bytes and close_notify at most 5 s.
void cc_stream_close(struct cc_stream *stream);
void cc_stream_reset(struct cc_stream *stream);

// Words for the last TLS failure ("" when none): for logs, borrowed.
const char *cc_stream_detail(const struct cc_stream *stream);
// The peer's address as text.
void cc_stream_peer(const struct cc_stream *stream, char *out, size_t capacity);
#endif
