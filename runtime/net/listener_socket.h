// SPDX-License-Identifier: Apache-2.0
// Descriptors that listen. Part of listener.c; nobody else includes this.
#ifndef CC_NET_LISTENER_SOCKET_H
#define CC_NET_LISTENER_SOCKET_H
#include "base/buffer.h"

// Opens copies sockets that listen on a numeric address and share its port (*port tells which).
// CC_EINVAL: no such address; CC_EADDRESS: taken, not ours or not allowed; then none is open.
int cc_socket_tcp(struct cc_slice host, uint32_t port, uint32_t copies, int *fds, uint32_t *bound);

// Opens one on a unix socket that only this user can connect to. A socket file nobody answers on
// is replaced; any other file, or one that is answered on, is CC_EADDRESS.
int cc_socket_unix(const char *path, int *fd);
#endif
