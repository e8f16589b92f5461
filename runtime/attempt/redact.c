// SPDX-License-Identifier: Apache-2.0
#include "attempt/redact.h"
#include <string.h>

enum { SHORTEST = 12 };

static struct cc_slice secret_at(const struct cc_redactor *redactor, uint32_t index) {
  return cc_headers_name(&redactor->secrets, index);
}

static void add(struct cc_redactor *redactor, struct cc_slice text) {
  cc_headers_add(&redactor->secrets, text, cc_slice("", 0));
}

static void add_escaped(struct cc_redactor *redactor, struct cc_slice secret) {
  struct cc_buffer text = {0};
  cc_buffer_reserve_secret(&text, 2 * (size_t)secret.size);
  for (uint32_t i = 0; i < secret.size; i++) {
    if (secret.data[i] == '/') cc_buffer_add(&text, "\\", 1);
    cc_buffer_add(&text, secret.data + i, 1);
  }
  add(redactor, cc_slice(text.data, text.size));
  cc_buffer_wipe(&text);
}

void cc_redactor_add(struct cc_redactor *redactor, struct cc_slice secret) {
  if (secret.size < SHORTEST) return;
  add(redactor, secret);
  if (memchr(secret.data, '/', secret.size)) add_escaped(redactor, secret);
}

void cc_redactor_free(struct cc_redactor *redactor) {
  cc_headers_free(&redactor->secrets);
  cc_buffer_wipe(&redactor->held);
}

static char *find(const char *data, size_t size, struct cc_slice secret) {
  return size < secret.size ? NULL : memmem(data, size, secret.data, secret.size);
}

bool cc_redactor_finds(const struct cc_redactor *redactor, struct cc_slice text) {
  for (uint32_t i = 0; i < redactor->secrets.count; i++)
    if (find(text.data, text.size, secret_at(redactor, i))) return true;
  return false;
}

static void overwrite(char *data, size_t size) {
  static const char word[] = "[redacted]";
  memcpy(data, word, sizeof word - 1);
  memset(data + sizeof word - 1, '*', size - (sizeof word - 1));
}

void cc_redactor_clean(const struct cc_redactor *redactor, char *data, size_t size) {
  for (uint32_t i = 0; i < redactor->secrets.count; i++) {
    struct cc_slice secret = secret_at(redactor, i);
    char *end = data + size, *at = data;
    while (at && (at = find(at, (size_t)(end - at), secret))) {
      overwrite(at, secret.size);
      at += secret.size;
    }
  }
}

// Returns how many bytes at the end of data may be the beginning of a secret.
static size_t begun(const struct cc_redactor *redactor, const char *data, size_t size) {
  size_t longest = 0;
  for (uint32_t i = 0; i < redactor->secrets.count; i++) {
    struct cc_slice secret = secret_at(redactor, i);
    const char *end = data + size, *at = size < secret.size ? data : end - (secret.size - 1);
    while (at < end && (at = memchr(at, secret.data[0], (size_t)(end - at)))) {
      size_t count = (size_t)(end - at);
      if (memcmp(at++, secret.data, count) != 0) continue;
      if (count > longest) longest = count;
      break;
    }
  }
  return longest;
}

struct cc_slice cc_redactor_next(struct cc_redactor *redactor, struct cc_slice piece,
                                 struct cc_buffer *copy) {
  struct cc_buffer *held = &redactor->held;
  if (!held->size && !begun(redactor, piece.data, piece.size) &&
      !cc_redactor_finds(redactor, piece))
    return piece;
  cc_buffer_reserve_secret(copy, held->size + piece.size);
  cc_buffer_add(copy, held->data, held->size);
  cc_buffer_add(copy, piece.data, piece.size);
  cc_redactor_clean(redactor, copy->data, copy->size);
  size_t rest = begun(redactor, copy->data, copy->size);
  cc_buffer_clear(held);
  cc_buffer_reserve_secret(held, rest);
  cc_buffer_add(held, copy->data + copy->size - rest, rest);
  return cc_slice(copy->data, copy->size - rest);
}
