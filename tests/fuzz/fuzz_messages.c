// SPDX-License-Identifier: Apache-2.0
// The scan of a Messages body must agree with looking up each field.
#include "api/error.h"
#include "api/json.h"
#include "codec/base64.h"
#include "codec/messages.h"
#include "codec/usage.h"
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) abort();                                                                     \
  } while (0)

static int find(const char *text, size_t size, const char *path, struct cc_json_member *out) {
  return cc_json_find(text, size, cc_slice_text(path), out);
}

static void check_scan(const char *text, size_t size) {
  struct cc_scan scan;
  struct cc_json_member member;
  int status = cc_messages_scan(text, size, &scan);
  int found = find(text, size, "model", &member);
  CHECK(scan.error_offset <= size);
  if (found < 0 && found != CC_ENOTFOUND) {
    CHECK(status == found);
  } else if (status == CC_OK) {
    CHECK(found == CC_OK && member.value.data + 1 == scan.model.data);
    CHECK(member.value.size == scan.model.size + 2 && scan.model.size > 0);
    found = find(text, size, "stream", &member);
    CHECK(scan.stream == (found == CC_OK && cc_slice_is(member.value, "true")));
    CHECK(scan.max_tokens >= 0 && scan.max_tokens <= 9007199254740992.0);
  } else {
    CHECK(status == CC_EMODEL && !scan.model.data && !scan.features);
  }
}

// The scan of a beginning must not contradict the scan of the whole.
static void check_judge(struct cc_slice data, enum cc_success success) {
  struct cc_usage usage = {0}, judged_usage = {0};
  bool known = false, found = cc_usage_read(data, &usage);
  int judged = cc_usage_judge(data, success, &judged_usage, &known);
  int started = cc_usage_judge_start(data, success);
  uint32_t bom = data.size >= 3 && memcmp(data.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  CHECK((judged == CC_ENOTJSON && !found) || cc_json_valid(data.data + bom, data.size - bom));
  CHECK(judged == CC_OK ? known == found : !known);
  CHECK(started == CC_OK || started == CC_ESTREAM_ERROR || started == CC_ENOMESSAGE);
  if (judged == CC_OK && success == CC_SUCCESS_MESSAGE) CHECK(started == CC_OK);
}

static void check_name(struct cc_slice data) {
  char text[CC_MESSAGES_NAME];
  struct cc_slice name;
  int named = cc_messages_name(data, text, &name);
  CHECK((named == CC_OK) == (name.size > 0) && name.size <= CC_MESSAGES_NAME);
  for (uint32_t i = 0; i < name.size; i++)
    CHECK((uint8_t)name.data[i] >= 0x20);
  if (named == CC_OK || named == CC_ENOTFOUND) CHECK(cc_json_valid(data.data, data.size));
  CHECK(cc_messages_event(name) <= CC_MESSAGES_ERROR);
  CHECK(cc_messages_event(data) <= CC_MESSAGES_ERROR);
}

static void check_answer(struct cc_slice data) {
  char type[16];
  struct cc_usage usage = {0};
  cc_usage_read(data, &usage);
  for (int success = CC_SUCCESS_MESSAGE; success <= CC_SUCCESS_OBJECT; success++)
    check_judge(data, (enum cc_success)success);
  CHECK(usage.input >= 0 && usage.output >= 0 && usage.cache_read >= 0);
  CHECK(usage.cache_5m >= 0 && usage.cache_1h >= 0);
  memset(type, '!', sizeof type);
  cc_messages_error_type(data, type, sizeof type);
  CHECK(memchr(type, 0, sizeof type));
  check_name(data);
}

// Bytes have exactly one Base64 text.
static void check_base64(const char *text, size_t size) {
  struct cc_buffer out = {0}, again = {0};
  if (cc_base64_decode(&out, text, size)) {
    cc_base64_encode(&again, out.data, out.size);
    CHECK(again.size == size && (size == 0 || memcmp(again.data, text, size) == 0));
  }
  cc_buffer_free(&out);
  cc_buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check_scan((const char *)data, size);
  check_answer(cc_slice((const char *)data, size));
  check_base64((const char *)data, size);
  return 0;
}
