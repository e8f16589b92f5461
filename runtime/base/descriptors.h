// SPDX-License-Identifier: Apache-2.0
// The limit of file descriptors of the process: raised at the start, put back for programs, and
// divided between clients and upstreams.
#ifndef CC_BASE_DESCRIPTORS_H
#define CC_BASE_DESCRIPTORS_H
#include <stdint.h>

// Raises the soft limit to the hard one. The soft limit is low by default only because of
// select(), which nothing here uses (systemd.exec(5), LimitNOFILE=).
void cc_descriptors_raise(void);

// Around the start of a program, which inherits limits and may use select(): puts the soft limit
// back to what it was at the start, but not below what is open here; and raises it again.
void cc_descriptors_lower(void);
void cc_descriptors_restore(void);

// How many connections to upstreams, and how many of clients, the soft limit has room for: each has
// half, so that every client can have its upstream; but upstreams no more than 8,192, for beyond
// that many at a time most clients only wait. What is left over is for everything else: log,
// look-ups, files that are read, the loop. At least 1.
uint32_t cc_descriptors_upstreams(void);
uint32_t cc_descriptors_clients(void);
#endif
