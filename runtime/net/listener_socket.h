// SPDX-License-Identifier: Apache-2.0
// Opens listening sockets. Part of listener.c; no other file includes this.
#ifndef CC_NET_LISTENER_SOCKET_H
#define CC_NET_LISTENER_SOCKET_H
#include "base/buffer.h"

// Opens sockets that listen on a numeric address and share its port, which is filled into *bound. CC_EINVAL
// for no address, CC_EADDRESS when it is taken, not of this machine or not allowed; then none is open.
int cc_socket_tcp(struct cc_slice host, uint32_t port, uint32_t copies, int *fds, uint32_t *bound);

// Opens a unix socket that only this user can connect to. A socket file that nobody listens on is replaced;
// any other file, or one that is in use, is CC_EADDRESS.
int cc_socket_unix(const char *path, int *fd);
#endif
