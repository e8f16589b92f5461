// SPDX-License-Identifier: Apache-2.0
// Turns Bedrock's answer to InvokeModelWithResponseStream (AWS event-stream frames) into the server-sent
// events that the Messages API would have sent.
#ifndef CC_BEDROCK_STREAM_H
#define CC_BEDROCK_STREAM_H
#include "codec/eventstream.h"

// State between two pieces of an answer. Zeroed is the start.
struct cc_bedrock_stream {
  struct cc_eventstream stream;
  uint32_t type_size; // of the last event's type; the guess for the next
  bool content;       // content was passed on
  bool failed;
};

// Reads the next piece of the answer and appends the events that it completes to sse. A chunk becomes an
// event with the type in its JSON as the name and the JSON, byte for byte, as the data (on several lines
// if it has line ends). An exception or error becomes an error event with the provider's message. Other
// events, and chunks without a type, are left out, as in the official SDK. in_stream: content has been
// passed on, so throttling becomes an overloaded_error, not a rate_limit_error; content that this stream
// has read before the exception counts too.
// CC_EFRAME: a frame is damaged, or a chunk holds no JSON object. CC_EEVENT_SIZE: a frame announces more
// than CC_EVENTSTREAM_MESSAGE. Events before the fault are in sse; later calls return CC_EFRAME and
// append nothing.
int cc_bedrock_stream_read(struct cc_bedrock_stream *frames, struct cc_slice piece, bool in_stream,
                           struct cc_buffer *sse);

// Ends the answer: CC_OK, CC_ETRUNCATED inside a frame, CC_EFRAME after a fault.
int cc_bedrock_stream_end(const struct cc_bedrock_stream *frames);

void cc_bedrock_stream_free(struct cc_bedrock_stream *frames);
#endif
