// SPDX-License-Identifier: Apache-2.0
// Watches folders for changes of the files in them.
//
// A folder that is removed, moved or replaced stays watched by its path: its loss is reported as a change, its
// path is tried again twice a second, and its return is reported as a change too.
#ifndef CC_NET_WATCH_H
#define CC_NET_WATCH_H
#include "api/types.h"
#include <uv.h>

struct cc_watch; // a list of watched folders

// on_change is called from the loop for every change, with the number of the folder. It may add, remove and
// close.
struct cc_watch *cc_watch_new(uv_loop_t *loop, void (*on_change)(void *data, int number),
                              void *data);

// Watches the folder at path: returns a number of 0 or more, the same for the same folder however it is
// spelled; one cc_watch_remove ends it. CC_ENOTFOUND when it is no folder, CC_ELIMIT for more than 64,
// CC_ESYSTEM.
int cc_watch_add(struct cc_watch *list, const char *path);
void cc_watch_remove(struct cc_watch *list, int number); // does nothing for a number not in use

// Ends all watches; the list frees itself when the loop has run.
void cc_watch_close(struct cc_watch *list);
#endif
