// SPDX-License-Identifier: Apache-2.0
// Splits an event stream of AWS (application/vnd.amazon.eventstream) into messages: a prelude of two sizes and
// its CRC, headers, a payload, the CRC of all.
#ifndef CC_CODEC_EVENTSTREAM_H
#define CC_CODEC_EVENTSTREAM_H
#include "base/buffer.h"

enum {
  CC_EVENTSTREAM_MESSAGE = 24 * 1024 * 1024, // of a whole message, at most
  CC_EVENTSTREAM_HEADERS = 128 * 1024        // of its headers, at most
};

enum cc_eventstream_type {
  CC_EVENTSTREAM_TRUE,
  CC_EVENTSTREAM_FALSE,
  CC_EVENTSTREAM_BYTE,
  CC_EVENTSTREAM_INT16,
  CC_EVENTSTREAM_INT32,
  CC_EVENTSTREAM_INT64,
  CC_EVENTSTREAM_BYTES,
  CC_EVENTSTREAM_STRING,
  CC_EVENTSTREAM_TIMESTAMP, // ms since 1970
  CC_EVENTSTREAM_UUID
};

// The state between two pieces of a stream. Zeroed is the start.
struct cc_eventstream {
  struct cc_buffer held; // the message under way, when it is cut
  uint32_t total;        // its size, 0 until its prelude is there
  bool given;            // it was returned and may be dropped
  int failed;            // the error that occurred, or CC_OK
};

struct cc_eventstream_message {
  struct cc_slice headers; // well-formed: read them with cc_eventstream_header
  struct cc_slice payload;
};

struct cc_eventstream_header {
  struct cc_slice name;
  uint8_t type;          // enum cc_eventstream_type
  struct cc_slice value; // its bytes as they came; a string need not be UTF-8
  int64_t number;        // of an integer or a timestamp; of a bool 0 or 1
};

// Takes the next message from the front of *piece; call it until it returns 0 before the next piece. 1: a
// message, whose slices lie in the piece when it is complete there, else in the decoder; they are valid
// until the next call. 0: the piece is used up. CC_EFRAME: a CRC is wrong, the sizes contradict each other,
// or a header is malformed. CC_EEVENT_SIZE: the prelude announces more than the bounds above. After an error
// all later calls return that error. Nothing is held of a message whose prelude is refused.
int cc_eventstream_next(struct cc_eventstream *stream, struct cc_slice *piece,
                        struct cc_eventstream_message *out);

// Whether the stream may end here: at the end of a message or at its start.
bool cc_eventstream_between(const struct cc_eventstream *stream);

// Takes the next header from the front of *headers. False at the end, or when the next one is malformed; then
// *headers does not change.
bool cc_eventstream_header(struct cc_slice *headers, struct cc_eventstream_header *out);

void cc_eventstream_free(struct cc_eventstream *stream);
#endif
