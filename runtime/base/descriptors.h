// SPDX-License-Identifier: Apache-2.0
// Raises the limit of file descriptors at the start, lowers it for child programs, and divides it between
// clients and upstreams.
#ifndef CC_BASE_DESCRIPTORS_H
#define CC_BASE_DESCRIPTORS_H
#include <stdint.h>

// Raises the soft limit to the hard one. The soft limit is low by default only because of
// select(), which nothing here uses (systemd.exec(5), LimitNOFILE=).
void cc_descriptors_raise(void);

// Called around the start of a program, which inherits limits and may use select(). lower puts the soft
// limit back to what it was at the start, but not below the descriptors that are open; restore raises it
// again.
void cc_descriptors_lower(void);
void cc_descriptors_restore(void);

// The number of upstream connections and of client connections that the soft limit has room for, at least
// 1. Each gets half, so that every client can have an upstream; upstreams at most 8,192, as with more
// than that most clients only wait. Some descriptors are set aside for the log, DNS, files and the loop.
uint32_t cc_descriptors_upstreams(void);
uint32_t cc_descriptors_clients(void);
#endif
