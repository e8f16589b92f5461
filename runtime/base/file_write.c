// SPDX-License-Identifier: Apache-2.0
#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cc_folder_make(const char *path) {
  if (mkdir(path, 0700) == 0 || errno == EEXIST) return CC_OK;
  return cc_fail_errno(errno == ENOENT ? CC_ENOTFOUND : CC_ESYSTEM, path);
}

static int make_folder_of(char *path) {
  char *slash = strrchr(path, '/');
  if (!slash || slash == path) return CC_OK;
  *slash = '\0';
  int error = cc_folder_make(path);
  *slash = '/';
  return error;
}

// The path behind all links, allocated, and the facts of the file; no file yet: path itself and mode.
static int resolve(const char *path, uint32_t mode, char **out, struct stat *facts) {
  *out = realpath(path, NULL);
  if (!*out) {
    if (errno != ENOENT) return cc_fail_errno(CC_ESYSTEM, path);
    if (lstat(path, facts) == 0) return cc_fail(CC_ENOTFOUND, "%s: the link leads nowhere", path);
    *out = cc_copy_text(path, strlen(path));
    *facts = (struct stat){.st_uid = geteuid(), .st_gid = getegid(), .st_mode = S_IFREG | mode};
    return make_folder_of(*out);
  }
  if (stat(*out, facts) != 0) return cc_fail_errno(CC_ESYSTEM, path);
  return S_ISREG(facts->st_mode) ? CC_OK : cc_fail(CC_EINVAL, "%s: not a regular file", path);
}

static bool write_all(int fd, const char *data, size_t size) {
  while (size) {
    ssize_t done = write(fd, data, size);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    data += done;
    size -= (size_t)done;
  }
  return true;
}

// A folder may give new files a group of its own, so owner and group are compared with what the file got.
static bool take_over(int fd, const struct stat *facts) {
  struct stat got;
  if (fstat(fd, &got) != 0) return false;
  bool same = got.st_uid == facts->st_uid && got.st_gid == facts->st_gid;
  if (!same && fchown(fd, facts->st_uid, facts->st_gid) != 0) return false;
  return fchmod(fd, facts->st_mode & 07777) == 0;
}

static int replace(const char *path, const struct stat *facts, const char *data, size_t size) {
  struct cc_buffer name = {0};
  cc_buffer_add(&name, path, strlen(path));
  cc_buffer_add(&name, ".XXXXXX", sizeof ".XXXXXX");
  int fd = mkostemp(name.data, O_CLOEXEC), error = CC_OK;
  bool done = fd >= 0 && take_over(fd, facts) && write_all(fd, data, size) && fsync(fd) == 0;
  done = done && rename(name.data, path) == 0;
  if (!done) error = cc_fail_errno(CC_ESYSTEM, path);
  if (!done && fd >= 0) unlink(name.data);
  if (fd >= 0) close(fd);
  cc_buffer_free(&name);
  return error;
}

int cc_file_write(const char *path, const char *data, uint32_t size, uint32_t mode) {
  char *target;
  struct stat facts;
  int error = resolve(path, mode, &target, &facts);
  if (!error) error = replace(target, &facts, data, size);
  free(target);
  return error;
}
