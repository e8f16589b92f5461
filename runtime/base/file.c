// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "api/util.h"
#include "base/buffer.h"
#include "base/error.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_BYTES = 4096, FOLDER_BYTES = 1 << 20 };

void cc_free(void *memory) {
  if (memory) cc_wipe(memory, malloc_usable_size(memory));
  free(memory);
}

static int open_error(const char *path) {
  int error = CC_ESYSTEM;
  if (errno == ENOENT || errno == ENOTDIR) error = CC_ENOTFOUND;
  if (errno == ENXIO) error = CC_EINVAL; // a socket
  return cc_fail_errno(error, path);
}

// Doubles the capacity and wipes the old memory.
static void grow(struct cc_buffer *buffer, size_t most) {
  size_t capacity = buffer->capacity * 2 < most ? buffer->capacity * 2 : most;
  struct cc_buffer larger = {cc_alloc(capacity), buffer->size, capacity};
  memcpy(larger.data, buffer->data, buffer->size);
  cc_buffer_wipe(buffer);
  *buffer = larger;
}

// Reads to the end. CC_ELIMIT above limit bytes. There is always room for one byte more.
static int read_all(int fd, const char *path, size_t limit, struct cc_buffer *buffer) {
  for (;;) {
    if (buffer->size + 1 >= buffer->capacity) grow(buffer, limit + 2);
    ssize_t got = read(fd, buffer->data + buffer->size, buffer->capacity - buffer->size - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cc_fail_errno(CC_ESYSTEM, path);
    if (got == 0) break;
    buffer->size += (size_t)got;
    if (buffer->size > limit) return cc_fail(CC_ELIMIT, "%s: over %zu bytes", path, limit);
  }
  buffer->data[buffer->size] = 0;
  return CC_OK;
}

static int read_open(int fd, const char *path, size_t limit, struct cc_file *out) {
  struct stat facts;
  if (fstat(fd, &facts) != 0) return cc_fail_errno(CC_ESYSTEM, path);
  if (!S_ISREG(facts.st_mode)) return cc_fail(CC_EINVAL, "%s: not a regular file", path);
  if (facts.st_size > (off_t)limit) return cc_fail(CC_ELIMIT, "%s: over %zu bytes", path, limit);
  size_t capacity = facts.st_size ? (size_t)facts.st_size + 2 : FIRST_BYTES;
  if (capacity > limit + 2) capacity = limit + 2;
  struct cc_buffer buffer = {cc_alloc(capacity), 0, capacity};
  int error = read_all(fd, path, limit, &buffer);
  if (error) {
    cc_buffer_wipe(&buffer);
    return error;
  }
  *out = (struct cc_file){buffer.data, (uint32_t)buffer.size, facts.st_uid, facts.st_gid,
                          facts.st_mode & 07777};
  return CC_OK;
}

int cc_file_read(const char *path, uint32_t limit, struct cc_file *out) {
  *out = (struct cc_file){0};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return open_error(path);
  int error = read_open(fd, path, limit, out);
  close(fd);
  return error;
}

int cc_file_link(const char *path, char *out, uint32_t capacity) {
  ssize_t size = readlink(path, out, capacity);
  if (size < 0) return errno == EINVAL ? CC_EINVAL : open_error(path);
  return size < (ssize_t)capacity ? (int)size : CC_ELIMIT;
}

static bool is_wanted(const char *name, const char *suffix) {
  size_t size = strlen(name), end = strlen(suffix);
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return false;
  return size >= end && strcmp(name + size - end, suffix) == 0;
}

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

// Appends the wanted names to texts, each with its NUL.
static int collect(DIR *folder, const char *path, const char *suffix, struct cc_buffer *texts,
                   size_t *count) {
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(folder);
    if (!entry) return errno ? cc_fail_errno(CC_ESYSTEM, path) : CC_OK;
    if (!is_wanted(entry->d_name, suffix)) continue;
    cc_buffer_add(texts, entry->d_name, strlen(entry->d_name) + 1);
    if (texts->size > FOLDER_BYTES) return cc_fail(CC_ELIMIT, "%s: too many names", path);
    ++*count;
  }
}

static char *sorted(const struct cc_buffer *texts, size_t count) {
  const char **names = cc_alloc(count * sizeof *names);
  const char *next = texts->data;
  for (size_t i = 0; i < count; i++, next += strlen(next) + 1)
    names[i] = next;
  qsort(names, count, sizeof *names, by_bytes);
  struct cc_buffer all = {0};
  for (size_t i = 0; i < count; i++)
    cc_buffer_add(&all, names[i], strlen(names[i]) + 1);
  free(names);
  return all.data ? all.data : cc_alloc(1);
}

int cc_folder(const char *path, const char *suffix, char **out, uint32_t *out_size) {
  struct cc_buffer texts = {0};
  size_t count = 0;
  *out = NULL;
  *out_size = 0;
  DIR *folder = opendir(path);
  if (!folder) return open_error(path);
  int error = collect(folder, path, suffix, &texts, &count);
  closedir(folder);
  if (!error) {
    *out = sorted(&texts, count);
    *out_size = (uint32_t)(texts.size ? texts.size - 1 : 0);
  }
  cc_buffer_free(&texts);
  return error;
}
