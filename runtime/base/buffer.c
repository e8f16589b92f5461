// SPDX-License-Identifier: Apache-2.0
#include "base/buffer.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory) {
  if (memory) return memory;
  static const char text[] = "ccrelay: out of memory\n";
  fwrite(text, 1, sizeof text - 1, stderr);
  abort();
}

void *cc_alloc(size_t size) {
  return must(calloc(1, size ? size : 1));
}

void *cc_realloc(void *memory, size_t size) {
  return must(realloc(memory, size ? size : 1));
}

char *cc_copy_text(const char *text, size_t size) {
  char *copy = cc_alloc(size + 1);
  if (size) memcpy(copy, text, size);
  return copy;
}

void cc_wipe(void *memory, size_t size) {
  if (memory && size) explicit_bzero(memory, size);
}

void cc_buffer_reserve(struct cc_buffer *buffer, size_t extra) {
  size_t need = buffer->size + extra;
  if (need <= buffer->capacity) return;
  size_t capacity = buffer->capacity ? buffer->capacity * 2 : 64;
  if (capacity < need) capacity = need;
  buffer->data = cc_realloc(buffer->data, capacity);
  buffer->capacity = capacity;
}

void cc_buffer_reserve_secret(struct cc_buffer *buffer, size_t extra) {
  if (buffer->size + extra <= buffer->capacity) return;
  struct cc_buffer grown = {0};
  cc_buffer_reserve(&grown, buffer->capacity * 2 > buffer->size + extra ? buffer->capacity * 2
                                                                        : buffer->size + extra);
  cc_buffer_add(&grown, buffer->data, buffer->size);
  cc_buffer_wipe(buffer);
  *buffer = grown;
}

void cc_buffer_add(struct cc_buffer *buffer, const void *data, size_t size) {
  if (!size) return;
  cc_buffer_reserve(buffer, size);
  memcpy(buffer->data + buffer->size, data, size);
  buffer->size += size;
}

void cc_buffer_add_text(struct cc_buffer *buffer, const char *text) {
  cc_buffer_add(buffer, text, strlen(text));
}

void cc_buffer_add_number(struct cc_buffer *buffer, uint64_t number) {
  char digits[20];
  size_t at = sizeof digits;
  do
    digits[--at] = (char)('0' + number % 10);
  while (number /= 10);
  cc_buffer_add(buffer, digits + at, sizeof digits - at);
}

void cc_buffer_printf(struct cc_buffer *buffer, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char small[512];
  va_list again;
  va_copy(again, arguments);
  int size = vsnprintf(small, sizeof small, format, arguments);
  if (size > 0 && (size_t)size < sizeof small) {
    cc_buffer_add(buffer, small, (size_t)size);
  } else if (size > 0) {
    cc_buffer_reserve(buffer, (size_t)size + 1);
    vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, again);
    buffer->size += (size_t)size;
  }
  va_end(again);
  va_end(arguments);
}

void cc_buffer_drop(struct cc_buffer *buffer, size_t size) {
  if (!size) return; // data may be NULL then
  if (size >= buffer->size) {
    buffer->size = 0;
    return;
  }
  memmove(buffer->data, buffer->data + size, buffer->size - size);
  buffer->size -= size;
}

void cc_buffer_clear(struct cc_buffer *buffer) {
  buffer->size = 0;
}

void cc_buffer_free(struct cc_buffer *buffer) {
  free(buffer->data);
  *buffer = (struct cc_buffer){0};
}

void cc_buffer_wipe(struct cc_buffer *buffer) {
  cc_wipe(buffer->data, buffer->capacity);
  cc_buffer_free(buffer);
}

bool cc_slice_is(struct cc_slice slice, const char *text) {
  size_t size = strlen(text);
  return slice.size == size && (!size || memcmp(slice.data, text, size) == 0);
}
