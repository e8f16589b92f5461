// SPDX-License-Identifier: Apache-2.0
// Signs requests of the relay's own for Lua (api/crypto.h): text lines in, text lines out.
#include "api/error.h"
#include "sign/digest.h"
#include "sign/sigv4.h"
#include <stdlib.h>
#include <string.h>

static bool read_line(const char *line, size_t size, struct cc_header *header) {
  if (size && line[size - 1] == '\r') size--;
  const char *colon = memchr(line, ':', size);
  if (!colon) return false;
  const char *value = colon + 1, *end = line + size;
  while (value < end && (*value == ' ' || *value == '\t'))
    value++;
  header->name = cc_slice(line, (size_t)(colon - line));
  header->value = cc_slice(value, (size_t)(end - value));
  return true;
}

// Splits text lines into headers: CC_OK and a table that the caller frees, or CC_EINVAL.
static int read_lines(const char *text, struct cc_header **out, size_t *count) {
  size_t most = 1;
  for (const char *at = text; *at; at++)
    most += *at == '\n';
  struct cc_header *table = cc_alloc(most * sizeof *table);
  *count = 0;
  for (const char *end; *text; text = *end ? end + 1 : end) {
    end = strchrnul(text, '\n');
    if (end == text) continue;
    if (!read_line(text, (size_t)(end - text), &table[(*count)++])) {
      free(table);
      return CC_EINVAL;
    }
  }
  *out = table;
  return CC_OK;
}

int cc_sign(const struct cc_signer *signer, double time_ms, const char *method, const char *host,
            const char *target, const char *headers, const char *body, uint32_t body_size,
            char **out, uint32_t *out_size) {
  struct cc_header *table;
  struct cc_buffer lines = {0};
  uint8_t digest[CC_DIGEST_SIZE];
  char hash[2 * CC_DIGEST_SIZE + 1];
  struct cc_sigv4 request = {signer,
                             time_ms,
                             cc_slice_text(method),
                             cc_slice_text(host),
                             cc_slice_text(target),
                             .options = CC_SIGV4_RELAY};
  int error = read_lines(headers, &table, &request.count);
  if (error) return error;
  cc_sha256(body, body_size, digest);
  cc_hex(digest, sizeof digest, hash);
  request.headers = table;
  request.body_hash = cc_slice(hash, 2 * CC_DIGEST_SIZE);
  error = cc_sigv4(&request, "\n", &lines);
  free(table);
  if (error) return error;
  *out = lines.data;
  *out_size = (uint32_t)lines.size;
  return CC_OK;
}
