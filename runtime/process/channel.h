// SPDX-License-Identifier: Apache-2.0
// Channels: messages between the master and each worker, over a socket pair made before the fork.
#ifndef CC_CHANNEL_H
#define CC_CHANNEL_H
#include "loop/engine.h"

// Adds a channel over fd, which it owns from then on. slot is the other end: a worker's slot, or -1
// for the master. A whole message posts a MESSAGE event with the slot as its detail.
void cc_channel_open(struct cc_relay *relay, int fd, int slot);

// Closes the channel to slot, if there is one.
void cc_channel_close(struct cc_relay *relay, int slot);

// Makes the oldest message from slot the one that cc_message returns; false when there is none.
bool cc_channel_take(struct cc_relay *relay, int slot);

// Closes all channels of a relay and frees the message taken last.
void cc_channels_close(struct cc_relay *relay);
#endif
