// SPDX-License-Identifier: Apache-2.0
// Reads files and folders (api/file.h), and frees what was allocated for Lua (cc_free).
//
// - A NUL follows the bytes of a file. Files of unknown size (as in /proc) can be read too. When reading
//   fails, what was read is wiped.
// - cc_folder leaves out "." and "..", sorts by bytes, and returns CC_ELIMIT for more than 1 MiB of names.
//   Each name ends with NUL, the last one beyond the size.
// - cc_free wipes memory before it frees it.
#ifndef CC_BASE_FILE_H
#define CC_BASE_FILE_H
#include "api/file.h"
#endif
