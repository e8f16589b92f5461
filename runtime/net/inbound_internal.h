// SPDX-License-Identifier: Apache-2.0
// What inbound.c, inbound_answer.c and inbound_proxy.c share.
#ifndef CC_NET_INBOUND_INTERNAL_H
#define CC_NET_INBOUND_INTERNAL_H
#include "net/inbound.h"

// Takes bytes of a connection whose PROXY protocol header is not complete. When it is, named is called and what follows
// it goes to the stream. CC_OK, also when bytes are missing; else what is wrong with the header.
int cc_inbound_proxy_read(struct cc_inbound *in, const char *data, size_t size);
void cc_inbound_close(struct cc_inbound *in, bool reset);
// Whether a client waits for another connection to close.
bool cc_inbound_is_crowded(struct cc_inbound *in);
// All is written: goes on to the next request, or closes.
void cc_inbound_proceed(struct cc_inbound *in);
// To be called after writing: the write deadline runs while bytes are queued.
void cc_inbound_watch_writes(struct cc_inbound *in);
#endif
