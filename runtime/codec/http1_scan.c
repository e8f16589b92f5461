// SPDX-License-Identifier: Apache-2.0
// llhttp 8.1 and 9.x disagree about stray CR, folded lines and chunk extensions. These scanners accept only what
// both read alike.
#include "api/error.h"
#include "codec/http1_internal.h"
#include <string.h>

enum { FIRST, FIRST_CR, LINE_START, LINE, LINE_CR, LAST_CR };

static const uint8_t token_byte[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1,  ['~'] = 1, ['0'] = 1,
    ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1,  ['7'] = 1, ['8'] = 1,
    ['9'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1,  ['f'] = 1, ['g'] = 1,
    ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1,  ['n'] = 1, ['o'] = 1,
    ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1,  ['v'] = 1, ['w'] = 1,
    ['x'] = 1, ['y'] = 1, ['z'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1,  ['D'] = 1, ['E'] = 1,
    ['F'] = 1, ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1,  ['L'] = 1, ['M'] = 1,
    ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1,  ['T'] = 1, ['U'] = 1,
    ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1};

static bool is_control(char byte) {
  return (unsigned char)byte < 0x20 || byte == 0x7f;
}

bool cc_http1_is_token(struct cc_slice text) {
  for (uint32_t i = 0; i < text.size; i++)
    if (!token_byte[(unsigned char)text.data[i]]) return false;
  return text.size > 0;
}

bool cc_http1_is_value(struct cc_slice text) {
  for (uint32_t i = 0; i < text.size; i++)
    if (is_control(text.data[i]) && text.data[i] != '\t') return false;
  return true;
}

bool cc_http1_is_target(struct cc_slice text) {
  for (uint32_t i = 0; i < text.size; i++)
    if (text.data[i] <= ' ' || text.data[i] >= 0x7f || text.data[i] == '#') return false;
  return text.size > 0 && text.data[0] == '/';
}

// The first byte at or after at that may be a control character; takes eight at a time.
static const char *next_control(const char *at, const char *end) {
  while (end - at >= 8) {
    uint64_t word, ones = 0x0101010101010101u, rubout;
    memcpy(&word, at, sizeof word);
    rubout = word ^ (ones * 0x7f);
    if (((word - ones * 0x20) & ~word & (ones * 0x80)) ||
        ((rubout - ones) & ~rubout & (ones * 0x80)))
      break;
    at += 8;
  }
  while (at < end && !is_control(*at))
    at++;
  return at;
}

static int first_line(struct cc_http1_lines *lines, const struct cc_http1_limits *limits,
                      const char **at, const char *end) {
  for (; *at < end; ++*at) {
    char byte = **at;
    if (byte == '\r') {
      lines->state = FIRST_CR;
      ++*at;
      break;
    }
    if (is_control(byte) && byte != '\t') return CC_EHTTP;
    if (byte == ' ')
      lines->spaces += lines->spaces < 2;
    else if (lines->spaces == 1 && ++lines->target > limits->target_bytes && limits->target_bytes)
      return CC_ETARGET_SIZE;
  }
  return CC_HTTP1_SCAN_MORE;
}

static int line_start(struct cc_http1_lines *lines, const struct cc_http1_limits *limits,
                      const char **at) {
  if (**at == '\r') {
    lines->state = LAST_CR;
    ++*at;
    return CC_HTTP1_SCAN_MORE;
  }
  if (**at == ' ' || **at == '\t') return CC_EHTTP;
  lines->state = LINE;
  return ++lines->count > limits->headers ? CC_EHEAD_SIZE : CC_HTTP1_SCAN_MORE;
}

static int in_line(struct cc_http1_lines *lines, const char **at, const char *end) {
  *at = next_control(*at, end);
  if (*at == end) return CC_HTTP1_SCAN_MORE;
  char byte = *(*at)++;
  if (byte == '\r') lines->state = LINE_CR;
  return byte == '\r' || byte == '\t' ? CC_HTTP1_SCAN_MORE : CC_EHTTP;
}

static int line_feed(struct cc_http1_lines *lines, const char **at) {
  if (*(*at)++ != '\n') return CC_EHTTP;
  uint8_t state = lines->state;
  lines->state = LINE_START;
  if (state == LAST_CR) return CC_HTTP1_SCAN_END;
  return state == FIRST_CR ? CC_HTTP1_SCAN_FIRST : CC_HTTP1_SCAN_MORE;
}

static int lines_step(struct cc_http1_lines *lines, const struct cc_http1_limits *limits,
                      const char **at, const char *end) {
  switch (lines->state) {
  case FIRST:
    return first_line(lines, limits, at, end);
  case LINE_START:
    return line_start(lines, limits, at);
  case LINE:
    return in_line(lines, at, end);
  default:
    return line_feed(lines, at);
  }
}

void cc_http1_lines_trailers(struct cc_http1_lines *lines) {
  *lines = (struct cc_http1_lines){.state = LINE_START};
}

int cc_http1_scan_lines(struct cc_http1_lines *lines, const struct cc_http1_limits *limits,
                        const char *data, size_t size, size_t *used) {
  size_t room = limits->head_bytes - lines->size;
  const char *at = data, *end = data + (size < room ? size : room);
  int result = CC_HTTP1_SCAN_MORE;
  while (at < end && result == CC_HTTP1_SCAN_MORE)
    result = lines_step(lines, limits, &at, end);
  *used = (size_t)(at - data);
  lines->size += (uint32_t)*used;
  if (result == CC_HTTP1_SCAN_MORE && size > room) return CC_EHEAD_SIZE;
  return result;
}

enum {
  SIZE,
  NAME_START,
  NAME,
  VALUE_START,
  VALUE,
  QUOTED,
  QUOTED_PAIR,
  QUOTED_END,
  SIZE_LF,
  DATA_CR,
  DATA_LF
};

static int hex_value(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  byte |= 0x20;
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

// After a name, a value or the size: another extension or the end of the line.
static int size_tail(char byte) {
  return byte == ';' ? NAME_START : byte == '\r' ? SIZE_LF : CC_EHTTP;
}

static void keep(struct cc_http1_chunk *chunk, char byte) {
  chunk->line[chunk->line_size++] = byte;
}

static int size_digit(struct cc_http1_chunk *chunk, char byte) {
  int value = hex_value(byte);
  if (value < 0) return chunk->digits ? size_tail(byte) : CC_EHTTP;
  if (++chunk->digits > 16 || chunk->left >> 48) return CC_EHTTP;
  chunk->left = chunk->left * 16 + (unsigned)value;
  keep(chunk, byte);
  return SIZE;
}

static int quoted_byte(uint8_t state, char byte) {
  if (is_control(byte) && byte != '\t') return CC_EHTTP;
  if (state == QUOTED_PAIR) return QUOTED;
  return byte == '"' ? QUOTED_END : byte == '\\' ? QUOTED_PAIR : QUOTED;
}

static int extension_byte(uint8_t state, char byte) {
  bool token = token_byte[(unsigned char)byte];
  switch (state) {
  case NAME_START:
    return token ? NAME : CC_EHTTP;
  case NAME:
    return token ? NAME : byte == '=' ? VALUE_START : size_tail(byte);
  case VALUE_START:
    return token ? VALUE : byte == '"' ? QUOTED : CC_EHTTP;
  case VALUE:
    return token ? VALUE : size_tail(byte);
  case QUOTED_END:
    return size_tail(byte);
  default:
    return quoted_byte(state, byte);
  }
}

static int size_byte(struct cc_http1_chunk *chunk, char byte) {
  switch (chunk->state) {
  case SIZE:
    return size_digit(chunk, byte);
  case DATA_CR:
    return byte == '\r' ? DATA_LF : CC_EHTTP;
  case DATA_LF:
    return byte == '\n' ? SIZE : CC_EHTTP;
  default:
    if (++chunk->extension > CC_HTTP1_EXTENSION) return CC_EHTTP;
    if (++chunk->extensions > CC_HTTP1_EXTENSIONS) return CC_EHTTP;
    return extension_byte(chunk->state, byte);
  }
}

void cc_http1_chunk_after_data(struct cc_http1_chunk *chunk) {
  *chunk = (struct cc_http1_chunk){.state = DATA_CR, .extensions = chunk->extensions};
  keep(chunk, '\r');
  keep(chunk, '\n');
}

int cc_http1_scan_size(struct cc_http1_chunk *chunk, const char *data, size_t size, size_t *used) {
  for (size_t i = 0; i < size; i++) {
    if (chunk->state == SIZE_LF) {
      *used = i + 1;
      keep(chunk, '\r');
      keep(chunk, '\n');
      return data[i] == '\n' ? CC_HTTP1_SCAN_END : CC_EHTTP;
    }
    int state = size_byte(chunk, data[i]);
    if (state < 0) return CC_EHTTP;
    chunk->state = (uint8_t)state;
  }
  *used = size;
  return CC_HTTP1_SCAN_MORE;
}
