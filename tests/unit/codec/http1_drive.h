// SPDX-License-Identifier: Apache-2.0
// Drives a parser over bytes cut in a given way and writes down all it says, so that two runs can
// be compared as text.
#ifndef TEST_HTTP1_DRIVE_H
#define TEST_HTTP1_DRIVE_H
#include "api/error.h"
#include "codec/http1.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cc_http1_limits drive_limits = {65536, 100, 8192};

struct drive {
  enum cc_http1_kind kind;
  const struct cc_http1_limits *limits;
  bool bodyless;
  bool finish;          // the peer closes at the end
  struct cc_buffer log; // one line a step
  struct cc_buffer body;
  int error;
  unsigned heads, ends;
};

static inline void drive_head(struct drive *drive, const struct cc_http1_head *head) {
  struct cc_buffer *log = &drive->log;
  drive->heads++;
  if (drive->kind == CC_HTTP1_REQUEST)
    cc_buffer_printf(log, "%.*s %.*s ?%.*s @%.*s", (int)head->method.size, head->method.data,
                     (int)head->path.size, head->path.data, (int)head->query.size, head->query.data,
                     (int)head->host.size, head->host.data);
  else
    cc_buffer_printf(log, "%d", head->status);
  cc_buffer_printf(log, " 1.%d %s%s%s%s%s%.0f", head->minor, head->keep_alive ? "keep " : "",
                   head->chunked ? "chunked " : "", head->expect_continue ? "expect " : "",
                   head->until_close ? "close " : "", head->has_body ? "body " : "",
                   head->content_length);
  for (uint32_t i = 0; i < head->headers; i++)
    cc_buffer_printf(log, " {%.*s=%.*s}", (int)head->header[i].name.size, head->header[i].name.data,
                     (int)head->header[i].value.size, head->header[i].value.data);
  cc_buffer_add_text(log, "\n");
}

static inline void drive_body(struct drive *drive) {
  if (!drive->body.size) return;
  cc_buffer_add_text(&drive->log, "body ");
  cc_buffer_add(&drive->log, drive->body.data, drive->body.size);
  cc_buffer_add_text(&drive->log, "\n");
  cc_buffer_clear(&drive->body);
}

static inline bool drive_bytes(struct drive *drive, struct cc_http1 *parser, const char *data,
                               size_t size) {
  for (;;) {
    struct cc_slice piece = {0};
    int step = cc_http1_next(parser, &data, &size, &piece);
    if (step == CC_HTTP1_BODY) {
      cc_buffer_add(&drive->body, piece.data, piece.size);
      continue;
    }
    if (step == CC_HTTP1_MORE) return size == 0;
    drive_body(drive);
    if (step < 0) {
      drive->error = step;
      cc_buffer_printf(&drive->log, "%s\n", cc_error_name(step));
      return false;
    }
    if (step == CC_HTTP1_HEAD) drive_head(drive, cc_http1_head(parser));
    if (step != CC_HTTP1_END) continue;
    drive->ends++;
    cc_buffer_add_text(&drive->log, "end\n");
    cc_http1_reset(parser);
    if (drive->bodyless) cc_http1_expect_no_body(parser);
  }
}

// Pieces begin where cut says: at is the first cut, then every step bytes (0: none more). Each
// piece is a heap block of its own, so that reading beside it is seen.
static inline void drive(struct drive *drive, const char *data, size_t size, size_t at,
                         size_t step) {
  struct cc_http1 *parser =
      cc_http1_new(drive->kind, drive->limits ? drive->limits : &drive_limits);
  if (drive->bodyless) cc_http1_expect_no_body(parser);
  bool fine = true;
  for (size_t from = 0, to = at; fine && from < size; from = to, to = step ? to + step : size) {
    if (to > size) to = size;
    char *copy = malloc(to - from + 1);
    memcpy(copy, data + from, to - from);
    copy = realloc(copy, to - from ? to - from : 1);
    fine = drive_bytes(drive, parser, copy, to - from);
    free(copy);
  }
  if (fine) {
    drive_body(drive);
    cc_buffer_add_text(&drive->log, cc_http1_busy(parser) ? "busy\n" : "idle\n");
  }
  if (fine && drive->finish) {
    int last = cc_http1_finish(parser);
    cc_buffer_printf(&drive->log, "%s\n",
                     last == CC_HTTP1_END    ? "finished"
                     : last == CC_HTTP1_MORE ? "nothing"
                                             : cc_error_name(last));
  }
  cc_buffer_add(&drive->log, "", 1);
  cc_http1_free(parser);
}

static inline void drive_free(struct drive *drive) {
  cc_buffer_free(&drive->log);
  cc_buffer_free(&drive->body);
}

// The log of bytes handed in whole; *same tells whether every other cut gives the same one.
static inline char *drive_all(struct drive how, const char *data, size_t size, bool *same) {
  struct drive whole = how;
  drive(&whole, data, size, size, 0);
  *same = true;
  size_t stride = size > 4096 ? size / 512 : 1;
  for (size_t cut = 0; cut <= size; cut += stride) {
    struct drive other = how;
    drive(&other, data, size, cut ? cut : 1, cut ? 0 : 1);
    if (strcmp(other.log.data, whole.log.data) != 0) *same = false;
    drive_free(&other);
  }
  cc_buffer_free(&whole.body);
  return whole.log.data;
}
#endif
