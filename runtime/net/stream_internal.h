// SPDX-License-Identifier: Apache-2.0
// What the files of a stream and its layers share.
#ifndef CC_NET_STREAM_INTERNAL_H
#define CC_NET_STREAM_INTERNAL_H
#include "net/stream.h"

// What a layer (TLS) does for a stream. write without parts: go on with what waits in the layer.
// input: raw bytes came; with size 0, bytes held back while reading was off may be used now.
struct cc_layer {
  int (*start)(struct cc_stream *stream);
  int (*write)(struct cc_stream *stream, const struct cc_slice *parts, unsigned count);
  void (*input)(struct cc_stream *stream, const char *data, size_t size);
  void (*eof)(struct cc_stream *stream);    // the peer sent FIN
  void (*finish)(struct cc_stream *stream); // orderly end of sending (close_notify)
  const char *(*detail)(const struct cc_stream *stream);
  void (*free)(struct cc_stream *stream);
};

int cc_stream_raw_write(struct cc_stream *stream, const struct cc_slice *parts, unsigned count);
void cc_stream_raw_read(struct cc_stream *stream, bool on);
// The handshake is done: calls ready and goes on as the owner wants.
void cc_stream_stands(struct cc_stream *stream);
// Nothing more will come: calls end once (ready, before it was connected).
void cc_stream_over(struct cc_stream *stream, int error);
// The same, later from the loop; writing fails at once.
void cc_stream_fail_later(struct cc_stream *stream, int error);

// ---- Between stream.c and stream_write.c --------------------------------------------------------

// CC_ERESET or CC_ESYSTEM for a status of libuv.
int cc_stream_error_of(int status);
// Closes now. Bytes that have come are read and dropped first, so that the peer gets no reset.
void cc_stream_close_orderly(struct cc_stream *stream);
#endif
