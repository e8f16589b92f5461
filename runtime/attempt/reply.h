// SPDX-License-Identifier: Apache-2.0
// Reads an upstream's answer: its head, what its body is, the events of a stream. It decides nothing
// about the exchange; gate.c and pump.c do.
#ifndef CC_REPLY_H
#define CC_REPLY_H
#include "attempt/attempt.h"
#include "codec/messages.h"

// Takes status, length and headers. The kind follows from status, framing and encoding; whether the
// body of a stream is one is not known before cc_reply_begin.
void cc_reply_head(struct cc_attempt *attempt, const struct cc_http1_head *head);

// Takes the next bytes of a body, as the upstream sent them, until one of them tells what the body
// is: frames, server-sent events, or something else than the stream that was asked for. Clients of
// the Messages API do not look at the content-type of a stream either.
void cc_reply_begin(struct cc_attempt *attempt, struct cc_slice piece);

// Sets the content-type to what the body of a success is, unless it says so already.
void cc_reply_label(struct cc_attempt *attempt);

struct cc_reply_event {
  size_t start, size; // the whole event, in data
  enum cc_messages_event kind;
  size_t name_at;       // where its name is to be put in, in data; for an event without one
  struct cc_slice name; // that name; empty: nothing is put in
  char text[CC_MESSAGES_NAME];
};

// The next whole event of a stream: data[attempt->seen] begins one. Notes what it says (content,
// usage, stop, error), moves attempt->seen behind it; false when no whole event is left.
bool cc_reply_next(struct cc_attempt *attempt, const char *data, size_t size,
                   struct cc_reply_event *event);

// The next call of cc_reply_next begins with the first event of the answer again.
void cc_reply_again(struct cc_attempt *attempt);

// No more bytes will come: adds the blank line to the last event in attempt->held if that is all it
// lacks, which is when its data is one whole JSON object.
void cc_reply_end(struct cc_attempt *attempt);

// The type in the last error event of a stream; "" when there was none, or it has no type.
struct cc_slice cc_reply_error_type(const struct cc_attempt *attempt);

// Whether a JSON body in attempt->held is what was asked for; of one that is not complete, as far as
// its beginning tells. CC_OK, CC_EEMPTY, CC_ENOTJSON, CC_ESTREAM_ERROR, CC_ENOMESSAGE.
int cc_reply_judge(struct cc_attempt *attempt);
#endif
