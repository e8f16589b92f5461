// SPDX-License-Identifier: Apache-2.0
// Bedrock's answer to InvokeModelWithResponseStream, which comes in event-stream frames, as the
// server-sent events that the Messages API would have sent.
#ifndef CC_BEDROCK_STREAM_H
#define CC_BEDROCK_STREAM_H
#include "codec/eventstream.h"

// State between two pieces of an answer. Zeroed is the start.
struct cc_bedrock_stream {
  struct cc_eventstream stream;
  uint32_t type_size; // of the last event's type: the next one's, as a guess
  bool content;       // content went out
  bool failed;
};

// Appends to sse the whole events that piece completes. A chunk becomes "event: " + the type of its
// JSON and the JSON byte for byte (on several data lines where it has line ends); an exception or
// error becomes an error event with the provider's words; other events, and chunks that have no
// type, are left out, as by the official SDK. in_stream: content has gone out already, so that
// throttling is told as overload, no longer as a rate limit; content that was read here before the
// exception, in this piece or an earlier one, counts as well.
// CC_EFRAME: a frame is damaged, or a chunk holds no JSON object. CC_EEVENT_SIZE: a frame announces
// more than CC_EVENTSTREAM_MESSAGE. The events before it are in sse, and all later calls say
// CC_EFRAME and add nothing.
int cc_bedrock_stream_read(struct cc_bedrock_stream *frames, struct cc_slice piece, bool in_stream,
                           struct cc_buffer *sse);

// The answer has ended: CC_OK, CC_ETRUNCATED when within a frame, CC_EFRAME when it had failed.
int cc_bedrock_stream_end(const struct cc_bedrock_stream *frames);

void cc_bedrock_stream_free(struct cc_bedrock_stream *frames);
#endif
