// SPDX-License-Identifier: Apache-2.0
// What the relay must know of a Messages API body and its answer: one validating pass.
#ifndef CC_CODEC_MESSAGES_H
#define CC_CODEC_MESSAGES_H
#include "api/scan.h"
#include "codec/json.h"

enum { CC_MODEL_BYTES = 512, CC_FILE_BYTES = 256 }; // of a model's name, of a file's id, at most

// Validates body and fills out (slices into body). CC_OK, CC_EJSON, CC_EJSON_DEPTH,
// CC_EJSON_OBJECT, CC_EMODEL; out->error_offset tells where. A doubled top-level "model", escaped
// or not, is CC_EMODEL.
int cc_messages_scan(const char *body, size_t size, struct cc_scan *out);

// What a stream event means to the relay, by its name.
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

// The name for an event that has none, read from its data: the decoded top-level "type", or "error"
// for an object without a type (or null) that has an "error" (object or text). CC_OK: *name is in out or
// static. CC_ENOTFOUND: an object that says nothing of the kind. CC_EINVAL: its type is no text or
// does not fit into a line. CC_EJSON*: the data is not one JSON object.
int cc_messages_name(struct cc_slice data, char out[CC_MESSAGES_NAME], struct cc_slice *name);

// The decoded error.type of an error body or error event's data into out (with NUL, cut to
// capacity); "" when there is none.
void cc_messages_error_type(struct cc_slice data, char *out, size_t capacity);
#endif
