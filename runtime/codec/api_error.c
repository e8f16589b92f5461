// SPDX-License-Identifier: Apache-2.0
#include "codec/api_error.h"
#include "api/error.h"
#include "codec/messages.h"
#include <string.h>

// Of several statuses with one type, that of the type comes first.
static const struct {
  int status;
  const char *type;
} types[] = {
    {400, "invalid_request_error"},
    {401, "authentication_error"},
    {402, "billing_error"},
    {403, "permission_error"},
    {404, "not_found_error"},
    {409, "conflict_error"},
    {413, "request_too_large"},
    {429, "rate_limit_error"},
    {500, "api_error"},
    {424, "api_error"},
    {504, "timeout_error"},
    {408, "timeout_error"},
    {529, "overloaded_error"},
};

const char *cc_api_error_type(int status) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].status == status) return types[i].type;
  return status >= 500 ? "api_error" : "invalid_request_error";
}

int cc_api_error_status(const char *type, uint32_t size) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (cc_slice_is(cc_slice(type, size), types[i].type)) return types[i].status;
  return 500;
}

bool cc_api_error_is_type(const char *text, uint32_t size) {
  static const char fit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:/";
  for (uint32_t i = 0; i < size; i++)
    if (!memchr(fit, text[i], sizeof fit - 1)) return false;
  bool ours = size >= 3 && memcmp(text, "CC_", 3) == 0; // a name of enum cc_error
  return size > 0 && size <= CC_API_ERROR_TYPE && !ours;
}

// ---- The body of an error ----------------------------------------------------------------------

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

// ---- Error events of a stream ------------------------------------------------------------------

static bool is_error(struct cc_slice event, struct cc_buffer *joined, struct cc_slice *data) {
  char text[CC_MESSAGES_NAME];
  struct cc_sse_fields fields;
  struct cc_slice name;
  cc_sse_fields(event.data, event.size, joined, &fields);
  *data = fields.data;
  return cc_messages_kind(&fields, text, &name) == CC_MESSAGES_ERROR;
}

int cc_api_error_data(const char *body, uint32_t size, char **out, uint32_t *out_size) {
  struct cc_buffer joined = {0}, found = {0};
  struct cc_sse sse = {0};
  struct cc_slice data;
  bool seen = false;
  for (size_t at = 0; at < size && !seen;) {
    size_t length = cc_sse_event(&sse, body + at, size - at);
    if (!length) length = size - at;
    seen = is_error(cc_slice(body + at, length), &joined, &data);
    at += length;
  }
  if (seen) cc_buffer_add(&found, data.data, data.size);
  cc_buffer_free(&joined);
  *out = found.data;
  *out_size = (uint32_t)found.size;
  return seen ? CC_OK : CC_ENOTFOUND;
}
