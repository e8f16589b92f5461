// SPDX-License-Identifier: Apache-2.0
// A head is collected, checked by our own scanner, then given to llhttp in one piece, so that its spans are
// slices of one buffer. Bodies with a length are counted without touching a byte. Chunks go through both
// scanners, which must agree.
#include "codec/http1.h"
#include "api/error.h"
#include "codec/http1_internal.h"
#include <llhttp.h>
#include <stdlib.h>
#include <string.h>

enum { INTERIM_MAX = 16, PIECE_MAX = 1 << 30 };

enum phase { HEAD, TOLD, LENGTH, UNTIL_CLOSE, CHUNK_SIZE, CHUNK_DATA, TRAILERS, WHOLE, DONE, DEAD };

// Besides the steps of the interface: another phase has begun, continue.
enum { AGAIN = 100 };

struct cc_http1 {
  llhttp_t llhttp;
  struct cc_http1_limits limits;
  struct cc_http1_lines lines;
  struct cc_http1_chunk chunk;
  struct cc_http1_head head;
  struct cc_buffer text;     // the head, then its header table
  struct cc_buffer trailers; // while they come in pieces
  struct cc_header *table;
  struct cc_slice piece; // what llhttp took for body
  double left;           // body bytes under Content-Length
  uint32_t first_line;   // its size
  uint8_t kind;
  uint8_t phase;
  uint8_t interim;
  bool bodyless;
  bool begun;
  bool whole; // llhttp saw the end of the message
};

static int on_field(llhttp_t *llhttp, const char *at, size_t size) {
  struct cc_http1 *parser = llhttp->data;
  if (parser->phase != HEAD) return 0;
  if (parser->head.headers >= parser->lines.count) return -1;
  struct cc_header *header = &parser->table[parser->head.headers++];
  header->name = cc_slice(at, size);
  header->value = cc_slice(at + size, 0);
  return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t size) {
  struct cc_http1 *parser = llhttp->data;
  if (parser->phase != HEAD) return 0;
  if (!parser->head.headers) return -1;
  struct cc_slice *value = &parser->table[parser->head.headers - 1].value;
  if (value->size) {
    size += (size_t)(at - value->data);
    at = value->data;
  }
  *value = cc_slice(at, size);
  return 0;
}

static int on_head(llhttp_t *llhttp) {
  (void)llhttp;
  return HPE_PAUSED;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size) {
  struct cc_http1 *parser = llhttp->data;
  if (parser->piece.size) return -1;
  parser->piece = cc_slice(at, size);
  return 0;
}

static int on_whole(llhttp_t *llhttp) {
  struct cc_http1 *parser = llhttp->data;
  parser->whole = true;
  return 0;
}

static const llhttp_settings_t callbacks = {.on_header_field = on_field,
                                            .on_header_value = on_value,
                                            .on_headers_complete = on_head,
                                            .on_body = on_body,
                                            .on_message_complete = on_whole};

static void begin(struct cc_http1 *parser) {
  llhttp_init(&parser->llhttp, parser->kind == CC_HTTP1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
              &callbacks);
  parser->llhttp.data = parser;
  parser->lines = (struct cc_http1_lines){0};
  parser->chunk = (struct cc_http1_chunk){0};
  parser->head = (struct cc_http1_head){0};
  parser->table = NULL;
  parser->whole = false;
  parser->phase = HEAD;
  cc_buffer_wipe(&parser->text);
  cc_buffer_free(&parser->trailers);
}

struct cc_http1 *cc_http1_new(enum cc_http1_kind kind, const struct cc_http1_limits *limits) {
  struct cc_http1 *parser = cc_alloc(sizeof *parser);
  parser->kind = (uint8_t)kind;
  parser->limits = *limits;
  if (kind == CC_HTTP1_RESPONSE) parser->limits.target_bytes = 0;
  begin(parser);
  return parser;
}

void cc_http1_free(struct cc_http1 *parser) {
  if (!parser) return;
  cc_buffer_wipe(&parser->text);
  cc_buffer_free(&parser->trailers);
  free(parser);
}

void cc_http1_forget(struct cc_http1 *parser) {
  static const struct cc_header none;
  struct cc_http1_head *head = &parser->head;
  head->method = head->target = head->path = head->query = head->host = (struct cc_slice){0};
  head->headers = 0;
  head->header = &none;
  parser->table = NULL;
  cc_buffer_wipe(&parser->text);
}

void cc_http1_reset(struct cc_http1 *parser) {
  if (parser->phase == DEAD) return;
  begin(parser);
  parser->interim = 0;
  parser->bodyless = false;
  parser->begun = false;
}

void cc_http1_expect_no_body(struct cc_http1 *parser) {
  parser->bodyless = true;
}

static void trim(struct cc_slice *value) {
  while (value->size && (value->data[0] == ' ' || value->data[0] == '\t')) {
    value->data++;
    value->size--;
  }
  while (value->size &&
         (value->data[value->size - 1] == ' ' || value->data[value->size - 1] == '\t'))
    value->size--;
}

// A head may hold credentials: it is moved as little as possible, and wiped where it was.
static void add_text(struct cc_http1 *parser, const char *data, size_t size, size_t behind) {
  cc_buffer_reserve_secret(&parser->text, size + behind);
  cc_buffer_add(&parser->text, data, size);
}

enum { ALIGN = _Alignof(struct cc_header) };

static size_t table_size(const struct cc_http1 *parser) {
  return ALIGN + parser->lines.count * sizeof(struct cc_header);
}

// Runs llhttp over the whole head, behind which there is room for the table.
static int tokenise(struct cc_http1 *parser) {
  struct cc_buffer *text = &parser->text;
  size_t start = (text->size + ALIGN - 1) / ALIGN * ALIGN;
  parser->table = (struct cc_header *)(void *)(text->data + start);
  if (llhttp_execute(&parser->llhttp, text->data, text->size) != HPE_PAUSED) return CC_EHTTP;
  if (parser->head.headers != parser->lines.count) return CC_EHTTP;
  for (uint32_t i = 0; i < parser->head.headers; i++) {
    trim(&parser->table[i].value);
    if (!cc_http1_is_token(parser->table[i].name)) return CC_EHTTP;
  }
  parser->head.header = parser->table;
  return CC_OK;
}

// llhttp must have found the same framing.
static bool agrees(const struct cc_http1 *parser) {
  const struct cc_http1_head *head = &parser->head;
  bool chunked = parser->llhttp.flags & F_CHUNKED;
  if (chunked != head->chunked) return false;
  return head->content_length <= 0 || (double)parser->llhttp.content_length == head->content_length;
}

static int conclude(struct cc_http1 *parser) {
  struct cc_http1_head *head = &parser->head;
  int error = tokenise(parser);
  if (error) return error;
  cc_http1_first_line(parser->kind, parser->text.data, parser->first_line, head);
  error = cc_http1_conclude(parser->kind, parser->bodyless, head, parser->table);
  if (error) return error;
  if (!agrees(parser)) return CC_EHTTP;
  if (head->status && head->status < 200 && ++parser->interim > INTERIM_MAX) return CC_EHTTP;
  parser->left = head->content_length;
  parser->phase = TOLD;
  return CC_HTTP1_HEAD;
}

// Checks the first line as soon as it has ended; the slices are taken later, when the text moves no more.
static int first_line(struct cc_http1 *parser, const char *data, size_t size) {
  struct cc_http1_head unused = {0};
  if (parser->text.size) {
    add_text(parser, data, size, 0);
    data = parser->text.data;
    size = parser->text.size;
  }
  parser->first_line = (uint32_t)size;
  return cc_http1_first_line(parser->kind, data, size, &unused);
}

static int gather(struct cc_http1 *parser, const char **data, size_t *size) {
  const char *kept = *data; // bytes before this are in text
  int result;
  parser->begun |= *size > 0;
  for (;;) {
    size_t used;
    result = cc_http1_scan_lines(&parser->lines, &parser->limits, *data, *size, &used);
    *data += used;
    *size -= used;
    if (result != CC_HTTP1_SCAN_FIRST) break;
    bool gathered = parser->text.size > 0;
    int error = first_line(parser, kept, (size_t)(*data - kept));
    if (error) return error;
    if (gathered) kept = *data;
  }
  if (result < 0) return result;
  bool whole = result == CC_HTTP1_SCAN_END;
  add_text(parser, kept, (size_t)(*data - kept), whole ? table_size(parser) : 0);
  return whole ? conclude(parser) : CC_HTTP1_MORE;
}

// What follows a head that was returned.
static int after_head(struct cc_http1 *parser) {
  const struct cc_http1_head *head = &parser->head;
  if (head->status && head->status < 200) {
    begin(parser);
  } else if (!head->has_body) {
    parser->phase = WHOLE;
  } else if (head->chunked) {
    llhttp_resume(&parser->llhttp);
    parser->phase = CHUNK_SIZE;
  } else {
    parser->phase = head->until_close ? UNTIL_CLOSE : LENGTH;
  }
  return AGAIN;
}

static size_t piece_size(size_t size, double left) {
  if (size > PIECE_MAX) size = PIECE_MAX;
  return (double)size > left ? (size_t)left : size;
}

static int take(const char **data, size_t *size, size_t count, struct cc_slice *body) {
  *body = cc_slice(*data, count);
  *data += count;
  *size -= count;
  return CC_HTTP1_BODY;
}

static int length_body(struct cc_http1 *parser, const char **data, size_t *size,
                       struct cc_slice *body) {
  size_t count = piece_size(*size, parser->left);
  if (!count) return CC_HTTP1_MORE;
  parser->left -= (double)count;
  if (parser->left <= 0) parser->phase = WHOLE;
  return take(data, size, count, body);
}

static int close_body(const char **data, size_t *size, struct cc_slice *body) {
  if (!*size) return CC_HTTP1_MORE;
  return take(data, size, piece_size(*size, PIECE_MAX), body);
}

// Gives checked bytes to llhttp, which must take exactly body of them as body.
static int agree(struct cc_http1 *parser, const char *data, size_t size, size_t body) {
  parser->piece = cc_slice(NULL, 0);
  llhttp_errno_t error = llhttp_execute(&parser->llhttp, data, size);
  bool fine = error == HPE_OK || (error == HPE_PAUSED_UPGRADE && parser->whole);
  return fine && parser->piece.size == body ? CC_OK : CC_EHTTP;
}

static int chunk_data(struct cc_http1 *parser, const char **data, size_t *size,
                      struct cc_slice *body) {
  size_t count = piece_size(*size, (double)parser->chunk.left);
  if (!count) return CC_HTTP1_MORE;
  if (agree(parser, *data, count, count)) return CC_EHTTP;
  parser->chunk.left -= count;
  if (!parser->chunk.left) {
    cc_http1_chunk_after_data(&parser->chunk);
    parser->phase = CHUNK_SIZE;
  }
  return take(data, size, count, body);
}

static int chunk_size(struct cc_http1 *parser, const char **data, size_t *size) {
  size_t used;
  if (!*size) return CC_HTTP1_MORE;
  int result = cc_http1_scan_size(&parser->chunk, *data, *size, &used);
  if (result < 0) return CC_EHTTP;
  *data += used;
  *size -= used;
  if (result != CC_HTTP1_SCAN_END) return CC_HTTP1_MORE;
  if (agree(parser, parser->chunk.line, parser->chunk.line_size, 0)) return CC_EHTTP;
  parser->phase = parser->chunk.left ? CHUNK_DATA : TRAILERS;
  cc_http1_lines_trailers(&parser->lines);
  return AGAIN;
}

static int trailers(struct cc_http1 *parser, const char **data, size_t *size) {
  size_t used;
  struct cc_buffer *kept = &parser->trailers;
  int result = cc_http1_scan_lines(&parser->lines, &parser->limits, *data, *size, &used);
  if (result < 0) return result;
  struct cc_slice section = cc_slice(*data, used);
  *data += used;
  *size -= used;
  if (kept->size || result == CC_HTTP1_SCAN_MORE) {
    cc_buffer_add(kept, section.data, section.size);
    section = cc_slice(kept->data, kept->size);
  }
  if (result == CC_HTTP1_SCAN_MORE) return CC_HTTP1_MORE;
  if (cc_http1_check_trailers(section.data, section.size)) return CC_EHTTP;
  if (agree(parser, section.data, section.size, 0) || !parser->whole) return CC_EHTTP;
  parser->phase = WHOLE;
  return AGAIN;
}

static int step(struct cc_http1 *parser, const char **data, size_t *size, struct cc_slice *body) {
  switch (parser->phase) {
  case HEAD:
    return gather(parser, data, size);
  case TOLD:
    return after_head(parser);
  case LENGTH:
    return length_body(parser, data, size, body);
  case UNTIL_CLOSE:
    return close_body(data, size, body);
  case CHUNK_SIZE:
    return chunk_size(parser, data, size);
  case CHUNK_DATA:
    return chunk_data(parser, data, size, body);
  case TRAILERS:
    return trailers(parser, data, size);
  case DEAD:
    return CC_EHTTP;
  default:
    parser->phase = DONE;
    return CC_HTTP1_END;
  }
}

int cc_http1_next(struct cc_http1 *parser, const char **data, size_t *size, struct cc_slice *body) {
  int result;
  do
    result = step(parser, data, size, body);
  while (result == AGAIN);
  if (result >= 0) return result;
  if (parser->phase == HEAD) parser->head.header = NULL;
  parser->phase = DEAD;
  return result;
}

int cc_http1_finish(struct cc_http1 *parser) {
  if (parser->phase == TOLD) after_head(parser);
  if (parser->phase == DEAD) return CC_EHTTP;
  if (parser->phase == DONE || (parser->phase == HEAD && !parser->begun)) return CC_HTTP1_MORE;
  if (parser->phase != UNTIL_CLOSE && parser->phase != WHOLE) return CC_EEOF;
  parser->phase = DONE;
  return CC_HTTP1_END;
}

const struct cc_http1_head *cc_http1_head(const struct cc_http1 *parser) {
  return parser->head.header ? &parser->head : NULL;
}

bool cc_http1_busy(const struct cc_http1 *parser) {
  return parser->begun && parser->phase < WHOLE;
}

const struct cc_header *cc_http1_find(const struct cc_http1_head *head, struct cc_slice name) {
  for (uint32_t i = 0; i < head->headers; i++)
    if (cc_slice_same_nocase(head->header[i].name, name)) return &head->header[i];
  return NULL;
}
