// SPDX-License-Identifier: Apache-2.0
// Byte buffers that grow, and slices. Allocation never fails: without memory the process aborts.
#ifndef CC_BASE_BUFFER_H
#define CC_BASE_BUFFER_H
#include "api/types.h"
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct cc_buffer {
  char *data;
  size_t size;
  size_t capacity;
};

// malloc (zeroed), realloc and strndup that abort without memory. The caller frees with free.
void *cc_alloc(size_t size);
void *cc_realloc(void *memory, size_t size);
char *cc_copy_text(const char *text, size_t size); // ends with NUL

// Overwrites memory that held a secret; the compiler does not remove it.
void cc_wipe(void *memory, size_t size);

// A zeroed struct cc_buffer is an empty buffer. cc_buffer_free frees its memory and leaves an empty
// one; cc_buffer_wipe overwrites the memory first.
void cc_buffer_reserve(struct cc_buffer *buffer, size_t extra);
void cc_buffer_reserve_secret(struct cc_buffer *buffer, size_t extra); // wipes the memory it leaves
void cc_buffer_add(struct cc_buffer *buffer, const void *data, size_t size);
void cc_buffer_add_text(struct cc_buffer *buffer, const char *text);
void cc_buffer_add_number(struct cc_buffer *buffer, uint64_t number); // in decimal digits
void cc_buffer_printf(struct cc_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cc_buffer_drop(struct cc_buffer *buffer, size_t size); // removes size bytes from the front
void cc_buffer_clear(struct cc_buffer *buffer);             // keeps the memory
void cc_buffer_free(struct cc_buffer *buffer);
void cc_buffer_wipe(struct cc_buffer *buffer);

static inline struct cc_slice cc_slice(const char *data, size_t size) {
  return (struct cc_slice){data, (uint32_t)size};
}

static inline struct cc_slice cc_slice_text(const char *text) {
  return cc_slice(text, strlen(text));
}

// Equal byte for byte; equal but for ASCII case.
bool cc_slice_is(struct cc_slice slice, const char *text);

static inline bool cc_slice_same_nocase(struct cc_slice a, struct cc_slice b) {
  return a.size == b.size && (a.size == 0 || strncasecmp(a.data, b.data, a.size) == 0);
}

// Equal but for ASCII case. Header names are compared with lists, where the first byte mostly decides.
static inline bool cc_slice_is_nocase(struct cc_slice slice, const char *text) {
  if (slice.size && (slice.data[0] | 0x20) != (text[0] | 0x20)) return false;
  return cc_slice_same_nocase(slice, cc_slice_text(text));
}
#endif
