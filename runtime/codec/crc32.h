// SPDX-License-Identifier: Apache-2.0
// Computes CRC-32 (IEEE 802.3, reflected), which gzip and event streams use.
#ifndef CC_CODEC_CRC32_H
#define CC_CODEC_CRC32_H
#include <stddef.h>
#include <stdint.h>

// The CRC of data. crc is 0, or the CRC of what precedes it.
uint32_t cc_crc32(uint32_t crc, const void *data, size_t size);
#endif
