// SPDX-License-Identifier: Apache-2.0
// Reads what the relay needs of a Messages API body (one validating pass) and of the events of an answer.
#ifndef CC_CODEC_MESSAGES_H
#define CC_CODEC_MESSAGES_H
#include "api/request.h"
#include "codec/json.h"
#include "codec/sse.h"

// Validates body and fills in out (slices into body). CC_OK, CC_EJSON, CC_EJSON_DEPTH, CC_EJSON_OBJECT,
// CC_EMODEL; out->error_offset says where. A doubled top-level "model", escaped or not, is CC_EMODEL.
int cc_messages_scan(const char *body, size_t size, struct cc_scan *out);

// The kinds of stream events, by name.
enum cc_messages_event {
  CC_MESSAGES_OTHER, // content: the gate opens
  CC_MESSAGES_START, // message_start: does not open the gate
  CC_MESSAGES_PING, // neither does a ping, a comment, or an event without a name (clients ignore it)
  CC_MESSAGES_DELTA, // message_delta
  CC_MESSAGES_STOP,  // message_stop
  CC_MESSAGES_ERROR
};
enum cc_messages_event cc_messages_event(struct cc_slice name);

enum { CC_MESSAGES_NAME = 128 }; // of an event's name, at most

// Finds the name of an event that has none in its data: the decoded top-level "type", or "error" for an object
// without a type (or with null) that has an "error" (object or string). CC_OK: *name is in out or static.
// CC_ENOTFOUND: the object has neither. CC_EINVAL: its type is no string or does not fit into a line. CC_EJSON,
// CC_EJSON_DEPTH, CC_EJSON_OBJECT: the data is not one JSON object.
int cc_messages_name(struct cc_slice data, char out[CC_MESSAGES_NAME], struct cc_slice *name);

// The kind of an event of a stream: that of its name, or of the name that its data gives an event without one.
// *name is the latter, in text or static; else empty.
enum cc_messages_event cc_messages_kind(const struct cc_sse_fields *fields,
                                        char text[CC_MESSAGES_NAME], struct cc_slice *name);

// Writes the decoded error.type of an error body or the data of an error event to out (with NUL, cut to
// capacity); "" when there is none.
void cc_messages_error_type(struct cc_slice data, char *out, size_t capacity);
#endif
