// SPDX-License-Identifier: Apache-2.0
// Reads token usage from message_start, message_delta and JSON answers. Figures are cumulative: the last one counts.
#ifndef CC_CODEC_USAGE_H
#define CC_CODEC_USAGE_H
#include "api/attempt.h"
#include "api/outcome.h"
#include "codec/json.h"

// Reads the usage in the JSON of an event's data or of a whole answer ("usage" at the top or inside "message").
// Figures that are absent, or no whole numbers from 0 to 10^9, keep their value. What
// cache_creation_input_tokens has beyond the known split by time counts as 5 minutes. True when there was any
// figure. A text that is not one JSON object changes nothing.
bool cc_usage_read(struct cc_slice json, struct cc_usage *usage);

// The same for a whole answer with a status of success, and checks that it is what was asked for: CC_OK;
// CC_ENOTJSON when it is not one JSON object; CC_ESTREAM_ERROR when it has the shape
// {"type":"error","error":{...}}; CC_ENOMESSAGE for an object that is not what success names. A message has
// "type":"message", or no type but an array "content". Unless CC_OK nothing is changed; *known becomes true
// when there was any figure.
int cc_usage_judge(struct cc_slice json, enum cc_success success, struct cc_usage *usage,
                   bool *known);

// The same verdict from the beginning of such an answer: CC_ESTREAM_ERROR or CC_ENOMESSAGE when its type is there
// and wrong, else CC_OK.
int cc_usage_judge_start(struct cc_slice json, enum cc_success success);
#endif
