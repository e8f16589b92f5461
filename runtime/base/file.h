// SPDX-License-Identifier: Apache-2.0
// Reads and writes files, reads and locks folders (api/file.h), and frees what was allocated for Lua (cc_free).
//
// - A NUL follows the bytes of a file. Files of unknown size (as in /proc) can be read too. When reading
//   fails, what was read is wiped.
// - cc_folder leaves out "." and "..", sorts by bytes, and returns CC_ELIMIT for more than 1 MiB of names.
//   Each name ends with NUL, the last one beyond the size.
// - cc_file_write writes a temporary file beside the file, syncs it to the disk and renames it; after an error
//   nothing of it is left.
// - cc_free wipes memory before it frees it.
#ifndef CC_BASE_FILE_H
#define CC_BASE_FILE_H
#include "api/file.h"

// Makes a folder with mode 0700 if it is missing. CC_ENOTFOUND when its parent is missing, CC_ESYSTEM.
int cc_folder_make(const char *path);
#endif
