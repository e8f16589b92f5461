// SPDX-License-Identifier: Apache-2.0
// Token usage from message_start, message_delta and JSON answers: cumulative, the last one wins.
#ifndef CC_CODEC_USAGE_H
#define CC_CODEC_USAGE_H
#include "api/attempt.h"
#include "api/outcome.h"
#include "codec/json.h"

// Reads every usage figure found in the JSON text of an event's data or of a whole answer
// ("usage" at the top or inside "message"), into usage. Figures that are absent, or no whole
// numbers from 0 to 2^53, keep their value. What cache_creation_input_tokens holds beyond the
// known split by time counts as 5 minutes. True when any was found; text that is not one JSON
// object changes nothing.
bool cc_usage_read(struct cc_slice json, struct cc_usage *usage);

// The same for a whole answer with success, and whether it holds what was asked for: CC_OK;
// CC_ENOTJSON when it is not one JSON object; CC_ESTREAM_ERROR when it has the shape
// {"type":"error","error":{...}}; CC_ENOMESSAGE for an object that is not what success names. A
// message has "type":"message", or no type but a list "content". Unless CC_OK nothing is changed;
// *known becomes true when a figure was found.
int cc_usage_judge(struct cc_slice json, enum cc_success success, struct cc_usage *usage,
                   bool *known);

// What the beginning of such an answer tells already: CC_ESTREAM_ERROR or CC_ENOMESSAGE when its
// type is there and wrong, else CC_OK.
int cc_usage_judge_start(struct cc_slice json, enum cc_success success);
#endif
