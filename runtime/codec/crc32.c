// SPDX-License-Identifier: Apache-2.0
// Every byte of a framed stream passes here, so sixteen are taken at a time: table k has the CRC of a byte with
// k bytes behind it.
#include "codec/crc32.h"

enum { SLICES = 16 };

static uint32_t table[SLICES][256];

__attribute__((constructor)) static void fill_table(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    table[0][byte] = crc;
  }
  for (int slice = 1; slice < SLICES; slice++)
    for (int byte = 0; byte < 256; byte++) {
      uint32_t crc = table[slice - 1][byte];
      table[slice][byte] = crc >> 8 ^ table[0][crc & 0xff];
    }
}

static inline uint32_t little(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint32_t word(uint32_t bits, int slice) {
  return table[slice + 3][bits & 0xff] ^ table[slice + 2][bits >> 8 & 0xff] ^
         table[slice + 1][bits >> 16 & 0xff] ^ table[slice][bits >> 24];
}

uint32_t cc_crc32(uint32_t crc, const void *data, size_t size) {
  const uint8_t *at = data;
  crc = ~crc;
  for (; size >= SLICES; size -= SLICES, at += SLICES)
    crc = word(crc ^ little(at), 12) ^ word(little(at + 4), 8) ^ word(little(at + 8), 4) ^
          word(little(at + 12), 0);
  for (; size; size--, at++)
    crc = crc >> 8 ^ table[0][(crc ^ *at) & 0xff];
  return ~crc;
}
