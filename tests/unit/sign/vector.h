// SPDX-License-Identifier: Apache-2.0
// A request as text, read into what the signer takes. For the tests of signatures.
#ifndef TESTS_SIGN_VECTOR_H
#define TESTS_SIGN_VECTOR_H
#include "base/buffer.h"
#include "sign/digest.h"
#include "sign/sigv4.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vector {
  char *text; // owns all the slices
  struct cc_header header[48];
  struct cc_signer signer;
  struct cc_sigv4 request;
  char hash[2 * CC_DIGEST_SIZE + 1];
};

static inline char *read_text(const char *path) {
  FILE *file = fopen(path, "r");
  struct cc_buffer text = {0};
  if (!file) return NULL;
  for (int byte; (byte = fgetc(file)) != EOF;) {
    char got = (char)byte;
    cc_buffer_add(&text, &got, 1);
  }
  fclose(file);
  cc_buffer_add(&text, "", 1);
  return text.data;
}

static inline void vector_hash(struct vector *vector, const char *body, size_t size) {
  uint8_t digest[CC_DIGEST_SIZE];
  cc_sha256(body, (uint32_t)size, digest);
  cc_hex(digest, sizeof digest, vector->hash);
  vector->request.body_hash = cc_slice_text(vector->hash);
}

static inline void vector_header(struct vector *vector, char *line) {
  char *colon = strchr(line, ':');
  struct cc_header *header = &vector->header[vector->request.count];
  *header = (struct cc_header){cc_slice(line, (size_t)(colon - line)), cc_slice_text(colon + 1)};
  if (cc_slice_is_nocase(header->name, "host")) vector->request.host = header->value;
  vector->request.count++;
}

// Takes text ("METHOD target HTTP/1.1", header lines, maybe an empty line and the body) over.
static inline void vector_read(struct vector *vector, char *text) {
  *vector = (struct vector){.text = text, .request.headers = vector->header};
  vector->request.signer = &vector->signer;
  vector->signer.access_key = cc_slice_text("AKIDEXAMPLE");
  vector->signer.secret_key = cc_slice_text("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
  vector->signer.region = cc_slice_text("us-east-1");
  vector->signer.service = cc_slice_text("service");
  vector->request.time_ms = 1440938160e3; // 2015-08-30T12:36:00Z
  char *body = strstr(text, "\n\n");
  vector_hash(vector, body ? body + 2 : "", body ? strlen(body + 2) : 0);
  if (body) *body = '\0';
  for (char *fold; (fold = strstr(text, "\n "));)
    *fold = ' ';
  char *rest = text, *line = strsep(&rest, "\n"), *space = strchr(line, ' ');
  char *end = strstr(line, " HTTP/1.1");
  vector->request.method = cc_slice(line, (size_t)(space - line));
  vector->request.target = cc_slice(space + 1, (size_t)(end - space - 1));
  while (rest && (line = strsep(&rest, "\n")))
    if (*line) vector_header(vector, line);
}

// The value of a line "name: value" in lines, or NULL; to be freed.
static inline char *line_value(const struct cc_buffer *lines, const char *name) {
  char *text = cc_copy_text(lines->data, lines->size), *rest = text, *line, *found = NULL;
  while (rest && (line = strsep(&rest, "\n"))) {
    size_t size = strlen(name);
    if (strncasecmp(line, name, size) || line[size] != ':') continue;
    line += size + 1;
    found = strdup(line + strspn(line, " "));
    break;
  }
  free(text);
  return found;
}
#endif
