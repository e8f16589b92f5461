// SPDX-License-Identifier: Apache-2.0
// What the files of the HTTP/1.1 codec share. http1_scan.c checks raw bytes strictly before llhttp gets them;
// http1_head.c then reads what the head means.
#ifndef CC_CODEC_HTTP1_INTERNAL_H
#define CC_CODEC_HTTP1_INTERNAL_H
#include "codec/http1.h"

enum cc_http1_scanned {
  CC_HTTP1_SCAN_MORE = 0,  // all bytes are used
  CC_HTTP1_SCAN_FIRST = 1, // the first line has ended
  CC_HTTP1_SCAN_END = 2    // the section (head, trailers, size line) has ended
};

// The scanner of a head or of trailers. Zeroed is the start of a head.
struct cc_http1_lines {
  uint8_t state;
  uint8_t spaces;  // in the first line
  uint32_t size;   // bytes so far
  uint32_t target; // bytes of the target so far
  uint32_t count;  // header lines
};

// Sets the scanner to the start of trailers.
void cc_http1_lines_trailers(struct cc_http1_lines *lines);

// Scans bytes until something ends; *used says how many. CR may stand only before LF, LF only after CR, no
// other control character but tab, and no line may begin with white space. CC_EHTTP, CC_EHEAD_SIZE,
// CC_ETARGET_SIZE at the first byte at fault, so the result does not depend on how the bytes are cut.
int cc_http1_scan_lines(struct cc_http1_lines *lines, const struct cc_http1_limits *limits,
                        const char *data, size_t size, size_t *used);

// The scanner of the size line of a chunk, and of the line end of the chunk before it. line holds it without
// extensions, about which llhttp 8.1 and 9.x disagree.
enum { CC_HTTP1_EXTENSION = 1024, CC_HTTP1_EXTENSIONS = 16384 };
struct cc_http1_chunk {
  uint8_t state; // zero: at the start of a size line
  uint8_t digits;
  uint8_t line_size;
  char line[20];
  uint32_t extension;  // bytes of extensions in this line
  uint32_t extensions; // in this message
  uint64_t left;       // bytes of this chunk
};
void cc_http1_chunk_after_data(struct cc_http1_chunk *chunk);
int cc_http1_scan_size(struct cc_http1_chunk *chunk, const char *data, size_t size, size_t *used);

// Reads the first line (with its CRLF) into method, target, status and minor.
int cc_http1_first_line(enum cc_http1_kind kind, const char *line, size_t size,
                        struct cc_http1_head *head);

// Reads framing, Host, target and persistence from the header table, and removes headers that must not be
// seen. bodyless: no body follows whatever the head says.
int cc_http1_conclude(enum cc_http1_kind kind, bool bodyless, struct cc_http1_head *head,
                      struct cc_header *table);

// Checks complete trailers: every name is a token, and none would frame a message.
int cc_http1_check_trailers(const char *data, size_t size);
#endif
