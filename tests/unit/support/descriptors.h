// SPDX-License-Identifier: Apache-2.0
// Counts the open descriptors of this process.
#ifndef CC_TEST_DESCRIPTORS_H
#define CC_TEST_DESCRIPTORS_H
#include <dirent.h>

static int count_descriptors(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  while (readdir(folder))
    count++;
  closedir(folder);
  return count;
}
#endif
