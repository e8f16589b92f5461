// SPDX-License-Identifier: Apache-2.0
// Folders watched for changes of what is in them.
#ifndef CC_NET_WATCH_H
#define CC_NET_WATCH_H
#include "relay.h"
#include <uv.h>

struct cc_watches;

// changed is called from the loop with data and the number of the watch; quick changes are not
// merged. Watches do not keep the loop alive.
struct cc_watches *cc_watches_new(uv_loop_t *loop, void (*changed)(void *data, int number),
                                  void *data);

// Watches the folder path: its number, 0 or more, the same for the same path; CC_ENOTFOUND when
// there is no such folder, CC_ESYSTEM.
int cc_watches_add(struct cc_watches *watches, const char *path);
void cc_watches_remove(struct cc_watches *watches, int number);

// Stops all; frees itself when the loop has run.
void cc_watches_close(struct cc_watches *watches);
#endif
