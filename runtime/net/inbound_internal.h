// SPDX-License-Identifier: Apache-2.0
// What inbound.c and inbound_answer.c share.
#ifndef CC_NET_INBOUND_INTERNAL_H
#define CC_NET_INBOUND_INTERNAL_H
#include "net/inbound.h"

void cc_inbound_close(struct cc_inbound *in, bool reset);
// True while a client waits until another connection has closed.
bool cc_inbound_is_crowded(struct cc_inbound *in);
// Everything has been written: the next request, or the end.
void cc_inbound_proceed(struct cc_inbound *in);
// Bytes were written: the write deadline runs while any are queued.
void cc_inbound_watch_writes(struct cc_inbound *in);
#endif
