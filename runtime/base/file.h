// SPDX-License-Identifier: Apache-2.0
// Reading files and folders, as relay.h says about cc_file_read, cc_file_link, cc_folder and
// cc_free.
//
// - What was read ends with a NUL beyond its size. Files whose size is not known before (as in
//   /proc) can be read too. When reading fails, what was read is wiped.
// - cc_folder leaves out "." and "..", sorts by bytes, and refuses more than 1 MiB of names with
//   CC_ELIMIT. Between two names is one NUL, behind the last one too, beyond the size.
// - cc_free wipes the memory before it frees it.
#ifndef CC_BASE_FILE_H
#define CC_BASE_FILE_H
#include "api/file.h"
#endif
