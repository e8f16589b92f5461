// SPDX-License-Identifier: Apache-2.0
// Files and folders.
#ifndef CC_API_FILE_H
#define CC_API_FILE_H
#include "api/types.h"
#pragma GCC visibility push(default)

struct cc_file {
  char *data; // allocated for the caller
  uint32_t size;
  uint32_t owner;
  uint32_t group;
  uint32_t mode;
};

// Reads the file at path; a FIFO or device does not block it. Symbolic links are followed: owner, group
// and mode are of the file they lead to. CC_ENOTFOUND, CC_EINVAL when it is no regular file, CC_ELIMIT when
// it is larger than limit bytes, CC_ESYSTEM.
int cc_file_read(const char *path, uint32_t limit, struct cc_file *out);

// Copies the target of the symbolic link at path to out, without NUL, and returns its size. CC_EINVAL when
// it is no link, CC_ENOTFOUND, CC_ELIMIT when it has capacity bytes or more, CC_ESYSTEM.
int cc_file_link(const char *path, char *out, uint32_t capacity);

// Makes data the whole text of the file at path, in one step: who reads it meanwhile gets the old text or
// the new one. Symbolic links are followed. A file that is there keeps its owner, group and mode; a new one
// gets mode, and its folder is made (mode 0700) if only the last part of its path is missing. CC_ENOTFOUND
// when the folder or what a link leads to is missing, CC_EINVAL when it is no regular file, CC_ESYSTEM.
int cc_file_write(const char *path, const char *data, uint32_t size, uint32_t mode);

// The names in the folder at path that end in suffix, joined by NUL, allocated for the caller.
// CC_ENOTFOUND, CC_ESYSTEM.
int cc_folder(const char *path, const char *suffix, char **out, uint32_t *out_size);

// Locks the folder at path against other processes that use this function, and returns the lock, which ends
// with cc_folder_unlock or with the process. Nothing is written into the folder. make: make the folder (mode
// 0700) if only the last part of its path is missing. CC_EINUSE when another process keeps it locked for
// patience_ms, CC_ENOTFOUND, CC_ESYSTEM.
int cc_folder_lock(const char *path, bool make, uint32_t patience_ms);
void cc_folder_unlock(int lock);

#pragma GCC visibility pop
#endif
