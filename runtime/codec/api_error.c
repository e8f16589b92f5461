// SPDX-License-Identifier: Apache-2.0
#include "codec/api_error.h"
#include "codec/json.h"
#include <string.h>

const char *cc_api_error_type(int status) {
  static const struct {
    int status;
    const char *type;
  } types[] = {{408, "timeout_error"}, {413, "request_too_large"}, {504, "timeout_error"}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].status == status) return types[i].type;
  return "invalid_request_error";
}

static void open_message(struct cc_buffer *out, const char *type) {
  cc_buffer_add_text(out, "{\"type\":\"error\",\"error\":{\"type\":\"");
  cc_buffer_add_text(out, type);
  cc_buffer_add_text(out, "\",\"message\":");
}

static void close_body(struct cc_buffer *out, const char *request_id) {
  cc_buffer_add_text(out, "}");
  if (request_id) {
    cc_buffer_add_text(out, ",\"request_id\":");
    cc_json_quote(out, request_id, strlen(request_id));
  }
  cc_buffer_add_text(out, "}");
}

void cc_api_error(struct cc_buffer *out, const char *type, struct cc_slice message,
                  const char *request_id) {
  open_message(out, type);
  cc_json_quote(out, message.data, message.size);
  close_body(out, request_id);
}

void cc_api_error_quoted(struct cc_buffer *out, const char *type, struct cc_slice quoted,
                         const char *request_id) {
  open_message(out, type);
  cc_buffer_add(out, quoted.data, quoted.size);
  close_body(out, request_id);
}
