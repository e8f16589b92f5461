// SPDX-License-Identifier: Apache-2.0
// Decodes the JSON of a chunk directly into the output. The name of the event goes before the JSON but is
// only known after decoding, so room is left for a name as long as the last one; the JSON is moved if the
// length differs.
#include "attempt/bedrock_stream.h"
#include "api/error.h"
#include "codec/api_error.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/messages.h"
#include <string.h>

static const char before_type[] = "event: ", before_data[] = "\ndata: ";
enum { AROUND = sizeof before_type - 1 + sizeof before_data - 1 };

static struct cc_slice text_of(const struct cc_eventstream_message *message, const char *name) {
  struct cc_slice headers = message->headers;
  struct cc_eventstream_header header;
  while (cc_eventstream_header(&headers, &header))
    if (header.type == CC_EVENTSTREAM_STRING && cc_slice_is(header.name, name)) return header.value;
  return cc_slice("", 0);
}

// Finds a string member of an object; *raw is its JSON text. CC_ENOTFOUND when it is absent or null,
// CC_EFRAME for other values and for what is no object.
static int find_text(struct cc_slice object, const char *name, struct cc_slice *raw) {
  struct cc_json_member member;
  int status = cc_json_find(object.data, object.size, cc_slice_text(name), &member);
  if (status == CC_ENOTFOUND) return status;
  if (status != CC_OK) return CC_EFRAME;
  *raw = member.value;
  if (raw->data[0] == '"') return CC_OK;
  return raw->data[0] == 'n' ? CC_ENOTFOUND : CC_EFRAME;
}

// ---- Chunks ------------------------------------------------------------------------------------

// Decodes a raw JSON string that holds base64 and appends the bytes.
static bool decode(struct cc_buffer *out, struct cc_slice raw) {
  if (!memchr(raw.data, '\\', raw.size)) return cc_base64_decode(out, raw.data + 1, raw.size - 2u);
  struct cc_buffer plain = {0};
  cc_buffer_reserve(&plain, raw.size);
  size_t size = cc_json_text(raw, plain.data, plain.capacity);
  bool good = cc_base64_decode(out, plain.data, size);
  cc_buffer_free(&plain);
  return good;
}

// Puts each line of the JSON at sse + from on a data line of its own. Valid JSON has line ends only between
// tokens, so they mean nothing and may change.
static void split_lines(struct cc_buffer *sse, size_t from) {
  char *data = sse->data + from;
  size_t size = sse->size - from;
  if (!memchr(data, '\n', size) && !memchr(data, '\r', size)) return;
  struct cc_buffer text = {0};
  cc_buffer_add(&text, data, size);
  sse->size = from;
  for (const char *at = text.data, *end = at + size;;) {
    const char *stop = at;
    while (stop < end && *stop != '\n' && *stop != '\r')
      stop++;
    cc_buffer_add(sse, at, (size_t)(stop - at));
    if (stop == end) break;
    at = stop + (end - stop > 1 && stop[0] == '\r' && stop[1] == '\n' ? 2 : 1);
    cc_buffer_add_text(sse, before_data);
  }
  cc_buffer_free(&text);
}

// Completes the event whose JSON is at the end of sse, behind room for a name of frames->type_size bytes.
static void frame_event(struct cc_bedrock_stream *frames, struct cc_slice type, size_t start,
                        struct cc_buffer *sse) {
  size_t guess = start + AROUND + frames->type_size, from = start + AROUND + type.size;
  size_t size = sse->size - guess;
  if (from > guess) cc_buffer_reserve(sse, from - guess);
  if (from != guess) memmove(sse->data + from, sse->data + guess, size);
  sse->size = start;
  cc_buffer_add_text(sse, before_type);
  cc_buffer_add(sse, type.data, type.size);
  cc_buffer_add_text(sse, before_data);
  sse->size = from + size;
  split_lines(sse, from);
  cc_buffer_add_text(sse, "\n\n");
  frames->type_size = type.size;
}

static int add_event(struct cc_bedrock_stream *frames, struct cc_slice raw, struct cc_buffer *sse) {
  char type[CC_MESSAGES_NAME];
  struct cc_slice name;
  size_t start = sse->size, gap = AROUND + frames->type_size;
  cc_buffer_reserve(sse, gap + raw.size);
  sse->size += gap;
  int named = CC_EFRAME;
  if (decode(sse, raw))
    named =
        cc_messages_name(cc_slice(sse->data + start + gap, sse->size - start - gap), type, &name);
  if (named != CC_OK) {
    sse->size = start;
    return named == CC_ENOTFOUND ? CC_OK : CC_EFRAME;
  }
  frame_event(frames, name, start, sse);
  enum cc_messages_event kind = cc_messages_event(name);
  if (kind != CC_MESSAGES_START && kind != CC_MESSAGES_PING) frames->content = true;
  return CC_OK;
}

static int read_event(struct cc_bedrock_stream *frames,
                      const struct cc_eventstream_message *message, struct cc_buffer *sse) {
  struct cc_slice type = text_of(message, ":event-type"), bytes;
  if (!type.size) return CC_EFRAME;
  if (!cc_slice_is(type, "chunk")) return CC_OK;
  int found = find_text(message->payload, "bytes", &bytes);
  if (found == CC_OK) return add_event(frames, bytes, sse);
  return found == CC_ENOTFOUND ? CC_OK : found;
}

// ---- Exceptions --------------------------------------------------------------------------------

static const struct {
  const char *name; // without "Exception"
  const char *first;
  const char *in_stream;
} kinds[] = {
    {"throttling", "rate_limit_error", "overloaded_error"},
    {"throttled", "rate_limit_error", "overloaded_error"},
    {"tooManyRequests", "rate_limit_error", "overloaded_error"},
    {"validation", "invalid_request_error", "invalid_request_error"},
    {"modelTimeout", "timeout_error", "timeout_error"},
    {"serviceUnavailable", "overloaded_error", "overloaded_error"},
};
enum { THROTTLING = 3 }; // the number of rows, from the first, that mean throttling

static const char *error_type(struct cc_slice name, size_t known, bool in_stream) {
  static const char suffix[] = "Exception";
  uint32_t size = sizeof suffix - 1;
  if (name.size > size && cc_slice_is_nocase(cc_slice(name.data + name.size - size, size), suffix))
    name.size -= size;
  for (size_t i = 0; i < known; i++)
    if (cc_slice_is_nocase(name, kinds[i].name))
      return in_stream ? kinds[i].in_stream : kinds[i].first;
  return "api_error";
}

static bool is_object(struct cc_slice text) {
  struct cc_json json;
  cc_json_init(&json, text.data, text.size);
  return cc_json_next(&json) == CC_JSON_OBJECT;
}

// Appends the provider's message as a JSON string: a member of the payload, a payload that is no object,
// or else the name of the exception.
static void add_message(struct cc_slice payload, struct cc_slice name, struct cc_buffer *sse) {
  static const char *const members[] = {"message", "Message", "originalMessage"};
  struct cc_slice raw;
  for (size_t i = 0; i < sizeof members / sizeof *members; i++)
    if (find_text(payload, members[i], &raw) == CC_OK && raw.size > 2) {
      cc_buffer_add(sse, raw.data, raw.size);
      return;
    }
  bool words = payload.size && !is_object(payload);
  struct cc_slice text = words ? payload : name.size ? name : cc_slice_text("unnamed exception");
  cc_json_quote(sse, text.data, text.size);
}

static void add_error(const struct cc_eventstream_message *message, bool exception, bool in_stream,
                      struct cc_buffer *sse) {
  struct cc_slice name = text_of(message, exception ? ":exception-type" : ":error-code");
  struct cc_slice words = exception ? cc_slice("", 0) : text_of(message, ":error-message");
  size_t known = exception ? sizeof kinds / sizeof *kinds : THROTTLING;
  struct cc_buffer quoted = {0};
  if (words.size)
    cc_json_quote(&quoted, words.data, words.size);
  else
    add_message(message->payload, name, &quoted);
  cc_buffer_add_text(sse, "event: error\ndata: ");
  cc_api_error_quoted(sse, error_type(name, known, in_stream), cc_slice(quoted.data, quoted.size),
                      NULL);
  cc_buffer_add_text(sse, "\n\n");
  cc_buffer_free(&quoted);
}

// ---- Frames ------------------------------------------------------------------------------------

static int read_message(struct cc_bedrock_stream *frames,
                        const struct cc_eventstream_message *message, struct cc_buffer *sse) {
  struct cc_slice type = text_of(message, ":message-type");
  if (cc_slice_is(type, "event")) return read_event(frames, message, sse);
  bool exception = cc_slice_is(type, "exception");
  if (!exception && !cc_slice_is(type, "error")) return CC_EFRAME;
  add_error(message, exception, frames->content, sse);
  return CC_OK;
}

int cc_bedrock_stream_read(struct cc_bedrock_stream *frames, struct cc_slice piece, bool in_stream,
                           struct cc_buffer *sse) {
  frames->content |= in_stream;
  int status = frames->failed ? CC_EFRAME : 1;
  while (status == 1) {
    struct cc_eventstream_message message;
    status = cc_eventstream_next(&frames->stream, &piece, &message);
    if (status == 1 && read_message(frames, &message, sse) != CC_OK) status = CC_EFRAME;
  }
  if (status < 0) {
    cc_eventstream_free(&frames->stream);
    frames->failed = true;
  }
  return status;
}

int cc_bedrock_stream_end(const struct cc_bedrock_stream *frames) {
  if (frames->failed) return CC_EFRAME;
  return cc_eventstream_between(&frames->stream) ? CC_OK : CC_ETRUNCATED;
}

void cc_bedrock_stream_free(struct cc_bedrock_stream *frames) {
  cc_eventstream_free(&frames->stream);
  *frames = (struct cc_bedrock_stream){0};
}
