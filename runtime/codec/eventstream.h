// SPDX-License-Identifier: Apache-2.0
// Takes messages out of an event stream of AWS (application/vnd.amazon.eventstream): a prelude of
// two sizes and its CRC, headers, a payload, the CRC of all.
#ifndef CC_CODEC_EVENTSTREAM_H
#define CC_CODEC_EVENTSTREAM_H
#include "base/buffer.h"

enum {
  CC_EVENTSTREAM_MESSAGE = 24 * 1024 * 1024, // a whole message, at most
  CC_EVENTSTREAM_HEADERS = 128 * 1024        // its headers, at most
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

// State between two pieces of a stream. Zeroed is the start.
struct cc_eventstream {
  struct cc_buffer held; // the message begun, when it does not lie whole in one piece
  uint32_t total;        // its size, 0 until its prelude is there
  bool given;            // it was returned and may be forgotten
  int failed;            // the error there was, or CC_OK
};

struct cc_eventstream_message {
  struct cc_slice headers; // known to be well-formed: read them with cc_eventstream_header
  struct cc_slice payload;
};

struct cc_eventstream_header {
  struct cc_slice name;
  uint8_t type;          // enum cc_eventstream_type
  struct cc_slice value; // its bytes as they came; of a string not known to be UTF-8
  int64_t number;        // of an integer or a timestamp; of a bool 0 or 1
};

// Takes the next message off the front of *piece, all of which must be taken (call again until 0)
// before the stream goes on with another. 1: a message, whose slices lie in the piece when it is
// whole in there, else in the decoder; they are good until the next call. 0: piece is used up.
// CC_EFRAME: a CRC is wrong, the sizes contradict each other, or a header is malformed.
// CC_EEVENT_SIZE: the prelude announces more than the bounds above. There is no way on after an error,
// and all later calls say the same. Nothing is held of a message whose prelude is refused.
int cc_eventstream_next(struct cc_eventstream *stream, struct cc_slice *piece,
                        struct cc_eventstream_message *out);

// Is this the end of a message (or the start of the stream), so that the stream may end here?
bool cc_eventstream_between(const struct cc_eventstream *stream);

// Takes the next header off the front of *headers; false at the end, or when none is there that is
// well-formed (*headers is then as before).
bool cc_eventstream_header(struct cc_slice *headers, struct cc_eventstream_header *out);

void cc_eventstream_free(struct cc_eventstream *stream);
#endif
