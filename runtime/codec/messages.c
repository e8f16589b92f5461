// SPDX-License-Identifier: Apache-2.0
#include "codec/messages.h"
#include <string.h>

static const struct {
  const char *name;
  enum cc_messages_event event;
} events[] = {
    {"message_start", CC_MESSAGES_START}, {"message_delta", CC_MESSAGES_DELTA},
    {"message_stop", CC_MESSAGES_STOP},   {"error", CC_MESSAGES_ERROR},
    {"ping", CC_MESSAGES_PING},
};

enum cc_messages_event cc_messages_event(struct cc_slice name, struct cc_slice data) {
  struct cc_json_member type;
  bool named = name.size > 0;
  if (!named && !data.size) return CC_MESSAGES_PING;
  if (!named) {
    int status = cc_json_find(data.data, data.size, cc_slice_text("type"), &type);
    if (status < 0 || type.value.data[0] != '"') return CC_MESSAGES_OTHER;
  }
  for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
    const char *known = events[i].name;
    if (named ? cc_slice_is(name, known) : cc_json_is(type.value, known)) return events[i].event;
  }
  return CC_MESSAGES_OTHER;
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
