// SPDX-License-Identifier: Apache-2.0
// Reads an upstream's answer: the head, the kind of the body, the events of a stream. What follows from
// them is decided by gate.c and pump.c.
#ifndef CC_REPLY_H
#define CC_REPLY_H
#include "attempt/attempt.h"
#include "codec/messages.h"

// Reads the head: status, length, headers, and the kind of the body by status, framing and encoding.
// Whether the body is the stream that was asked for is known after cc_reply_begin.
void cc_reply_head(struct cc_attempt *attempt, const struct cc_http1_head *head);

// Reads bytes of the body, as the upstream sent them, until attempt->begun: one of them has told whether
// the body is frames, server-sent events, or not the stream that was asked for. The content-type does
// not count; clients of the Messages API ignore it too.
void cc_reply_begin(struct cc_attempt *attempt, struct cc_slice piece);

// Corrects the content-type of a success to that of its body.
void cc_reply_label(struct cc_attempt *attempt);

struct cc_reply_event {
  size_t start, size; // the whole event, in data
  enum cc_messages_event kind;
  size_t name_at;       // offset in data where the name is to be inserted
  struct cc_slice name; // the name that an event without one is to get; else empty
  char text[CC_MESSAGES_NAME];
};

// Reads the next whole event of a stream, which begins at data[attempt->seen], and moves attempt->seen
// behind it. The attempt records content, usage, stop and error. Returns false if no whole event is left.
bool cc_reply_next(struct cc_attempt *attempt, const char *data, size_t size,
                   struct cc_reply_event *event);

// Makes the next cc_reply_next begin with the first event of the answer again.
void cc_reply_again(struct cc_attempt *attempt);

// Ends the stream: adds the blank line to the last event in attempt->held if it lacks nothing else, that
// is, if its data is one whole JSON object.
void cc_reply_end(struct cc_attempt *attempt);

// The type in the last error event of a stream, "api_error" if it has none that may be shown; "" when there was no such event.
struct cc_slice cc_reply_error_type(const struct cc_attempt *attempt);

// Judges whether the JSON body in attempt->held is what was asked for; an incomplete one by its beginning.
// CC_OK, CC_EEMPTY, CC_ENOTJSON, CC_ESTREAM_ERROR, CC_ENOMESSAGE.
int cc_reply_judge(struct cc_attempt *attempt);
#endif
