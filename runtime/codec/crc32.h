// SPDX-License-Identifier: Apache-2.0
// CRC-32 (IEEE 802.3, reflected), as gzip and event streams use it.
#ifndef CC_CODEC_CRC32_H
#define CC_CODEC_CRC32_H
#include <stddef.h>
#include <stdint.h>

// The sum of data. crc is 0, or the sum of what goes before it.
uint32_t cc_crc32(uint32_t crc, const void *data, size_t size);
#endif
