// SPDX-License-Identifier: Apache-2.0
#include "codec/messages.h"
#include "api/error.h"
#include <string.h>

static const struct {
  const char *name;
  enum cc_messages_event event;
} events[] = {
    {"message_start", CC_MESSAGES_START}, {"message_delta", CC_MESSAGES_DELTA},
    {"message_stop", CC_MESSAGES_STOP},   {"error", CC_MESSAGES_ERROR},
    {"ping", CC_MESSAGES_PING},
};

enum cc_messages_event cc_messages_event(struct cc_slice name) {
  if (!name.size) return CC_MESSAGES_PING;
  for (size_t i = 0; i < sizeof events / sizeof *events; i++)
    if (cc_slice_is(name, events[i].name)) return events[i].event;
  return CC_MESSAGES_OTHER;
}

static int name_by_type(struct cc_slice raw, char *out, struct cc_slice *name) {
  if (raw.data[0] != '"') return CC_EINVAL;
  size_t size = cc_json_text(raw, out, CC_MESSAGES_NAME);
  if (!size || size > CC_MESSAGES_NAME) return CC_EINVAL;
  for (size_t i = 0; i < size; i++)
    if ((uint8_t)out[i] < 0x20) return CC_EINVAL;
  *name = cc_slice(out, size);
  return CC_OK;
}

int cc_messages_name(struct cc_slice data, char out[CC_MESSAGES_NAME], struct cc_slice *name) {
  struct cc_json_member member;
  *name = cc_slice("", 0);
  int status = cc_json_find(data.data, data.size, cc_slice_text("type"), &member);
  if (status < 0 && status != CC_ENOTFOUND) return status;
  if (status == CC_OK && member.value.data[0] != 'n') return name_by_type(member.value, out, name);
  status = cc_json_find(data.data, data.size, cc_slice_text("error"), &member);
  if (status == CC_OK && (member.value.data[0] == '{' || member.value.data[0] == '"'))
    *name = cc_slice_text("error");
  return name->size ? CC_OK : CC_ENOTFOUND;
}

enum cc_messages_event cc_messages_kind(const struct cc_sse_fields *fields,
                                        char text[CC_MESSAGES_NAME], struct cc_slice *name) {
  *name = cc_slice("", 0);
  if (fields->event.size) return cc_messages_event(fields->event);
  if (fields->data.size) cc_messages_name(fields->data, text, name);
  return cc_messages_event(*name);
}

void cc_messages_error_type(struct cc_slice data, char *out, size_t capacity) {
  struct cc_json_member type;
  if (!capacity) return;
  out[0] = 0;
  int status = cc_json_find(data.data, data.size, cc_slice_text("error.type"), &type);
  if (status < 0 || type.value.data[0] != '"') return;
  memset(out, 0, capacity);
  cc_json_text(type.value, out, capacity - 1);
}
