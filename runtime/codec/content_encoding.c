// SPDX-License-Identifier: Apache-2.0
#define ZLIB_CONST
#include "codec/content_encoding.h"
#include "api/error.h"
#include <brotli/decode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
  FIRST_ROOM = 65536,
  ZSTD_WINDOW_LOG = 23 // RFC 9659: a decoder need not support more, and a client must not use more
};

struct cc_decoder {
  enum cc_coding coding;
  bool begun; // the library has been given a byte
  bool whole; // what came so far ends where the coding does
  int error;
  union {
    z_stream zlib;
    BrotliDecoderState *brotli;
    ZSTD_DCtx *zstd;
  };
};

// ---- Names -------------------------------------------------------------------------------------

static int coding_of(struct cc_slice name) {
  static const struct {
    const char *name;
    enum cc_coding coding;
  } rows[] = {{"gzip", CC_CODING_GZIP}, {"x-gzip", CC_CODING_GZIP}, {"deflate", CC_CODING_DEFLATE},
              {"br", CC_CODING_BROTLI}, {"zstd", CC_CODING_ZSTD},   {"identity", CC_CODING_NONE},
              {"", CC_CODING_NONE}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (cc_slice_is_nocase(name, rows[i].name)) return (int)rows[i].coding;
  return CC_EENCODING;
}

static bool is_blank(char byte) {
  return byte == ' ' || byte == '\t';
}

static struct cc_slice trimmed(const char *from, const char *to) {
  while (from < to && is_blank(*from))
    from++;
  while (from < to && is_blank(to[-1]))
    to--;
  return cc_slice(from, (size_t)(to - from));
}

int cc_coding_add(enum cc_coding *coding, struct cc_slice value) {
  const char *at = value.data, *end = value.data + value.size;
  while (at < end) {
    const char *comma = memchr(at, ',', (size_t)(end - at));
    int found = coding_of(trimmed(at, comma ? comma : end));
    if (found < 0 || (found != CC_CODING_NONE && *coding != CC_CODING_NONE)) return CC_EENCODING;
    if (found != CC_CODING_NONE) *coding = (enum cc_coding)found;
    at = comma ? comma + 1 : end;
  }
  return CC_OK;
}

// ---- The three libraries -----------------------------------------------------------------------

static void *take(void *opaque, size_t size) {
  (void)opaque;
  return cc_realloc(NULL, size);
}

static voidpf take_items(voidpf opaque, uInt items, uInt size) {
  return take(opaque, (size_t)items * size);
}

static void give_back(void *opaque, void *memory) {
  (void)opaque;
  free(memory);
}

// The low half of the first byte is 8 in RFC 1950. In RFC 1951 that would be a stored block with
// padding that is not zero, which no encoder writes.
static int window_bits(enum cc_coding coding, char first) {
  if (coding == CC_CODING_GZIP) return MAX_WBITS + 16;
  return (first & 15) == 8 ? MAX_WBITS : -MAX_WBITS;
}

static bool begin_zlib(struct cc_decoder *decoder, char first) {
  if (decoder->whole)
    return decoder->coding == CC_CODING_GZIP && inflateReset(&decoder->zlib) == Z_OK;
  if (decoder->begun) return true;
  decoder->zlib.zalloc = take_items;
  decoder->zlib.zfree = give_back;
  return inflateInit2(&decoder->zlib, window_bits(decoder->coding, first)) == Z_OK;
}

static bool step_zlib(struct cc_decoder *decoder, struct cc_slice *in, struct cc_buffer *out) {
  z_stream *zlib = &decoder->zlib;
  if (in->size && !begin_zlib(decoder, in->data[0])) return false;
  size_t room = out->capacity - out->size;
  zlib->next_in = (const Bytef *)in->data;
  zlib->avail_in = in->size;
  zlib->next_out = (Bytef *)out->data + out->size;
  zlib->avail_out = (uInt)room;
  int result = inflate(zlib, Z_NO_FLUSH);
  *in = cc_slice((const char *)zlib->next_in, zlib->avail_in);
  out->size += room - zlib->avail_out;
  decoder->whole = result == Z_STREAM_END;
  return decoder->whole || result == Z_OK || result == Z_BUF_ERROR; // the last: nothing left to do
}

static bool step_brotli(struct cc_decoder *decoder, struct cc_slice *in, struct cc_buffer *out) {
  if (decoder->whole) return false;
  if (!decoder->begun) decoder->brotli = BrotliDecoderCreateInstance(take, give_back, NULL);
  size_t left = in->size, room = out->capacity - out->size;
  const uint8_t *from = (const uint8_t *)in->data;
  uint8_t *to = (uint8_t *)out->data + out->size;
  BrotliDecoderResult result =
      BrotliDecoderDecompressStream(decoder->brotli, &left, &from, &room, &to, NULL);
  *in = cc_slice((const char *)from, left);
  out->size = out->capacity - room;
  decoder->whole = result == BROTLI_DECODER_RESULT_SUCCESS;
  return result != BROTLI_DECODER_RESULT_ERROR;
}

// The library also reads frames of its drafts, whose window has no limit. The first byte of a frame tells
// them from those of RFC 8878 (section 3.1).
static bool begin_zstd(struct cc_decoder *decoder, char first) {
  if (!decoder->begun) {
    decoder->zstd = ZSTD_createDCtx();
    if (!decoder->zstd) abort();
    ZSTD_DCtx_setParameter(decoder->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
  }
  bool at_frame = !decoder->begun || decoder->whole;
  return !at_frame || first == 0x28 || (first & 0xf0) == 0x50;
}

static bool step_zstd(struct cc_decoder *decoder, struct cc_slice *in, struct cc_buffer *out) {
  if (in->size && !begin_zstd(decoder, in->data[0])) return false;
  ZSTD_inBuffer from = {in->data, in->size, 0};
  ZSTD_outBuffer to = {out->data, out->capacity, out->size};
  size_t result = ZSTD_decompressStream(decoder->zstd, &to, &from);
  if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) abort();
  *in = cc_slice(in->data + from.pos, in->size - from.pos);
  out->size = to.pos;
  decoder->whole = result == 0;
  return !ZSTD_isError(result);
}

// ---- Decoding ----------------------------------------------------------------------------------

static bool step(struct cc_decoder *decoder, struct cc_slice *in, struct cc_buffer *out) {
  if (decoder->coding == CC_CODING_BROTLI) return step_brotli(decoder, in, out);
  if (decoder->coding == CC_CODING_ZSTD) return step_zstd(decoder, in, out);
  return step_zlib(decoder, in, out);
}

// One byte above the limit shows that there is too much.
static void make_room(struct cc_buffer *out, size_t limit) {
  if (out->size < out->capacity) return;
  size_t capacity = out->capacity < FIRST_ROOM ? FIRST_ROOM : out->capacity * 2;
  if (capacity > limit + 1) capacity = limit + 1;
  out->data = cc_realloc(out->data, capacity);
  out->capacity = capacity;
}

struct cc_decoder *cc_decoder_new(enum cc_coding coding) {
  struct cc_decoder *decoder = cc_alloc(sizeof *decoder);
  decoder->coding = coding;
  return decoder;
}

void cc_decoder_free(struct cc_decoder *decoder) {
  if (!decoder) return;
  if (decoder->begun && decoder->coding == CC_CODING_BROTLI)
    BrotliDecoderDestroyInstance(decoder->brotli);
  else if (decoder->begun && decoder->coding == CC_CODING_ZSTD)
    ZSTD_freeDCtx(decoder->zstd);
  else if (decoder->begun)
    inflateEnd(&decoder->zlib);
  free(decoder);
}

int cc_decoder_add(struct cc_decoder *decoder, const char *data, size_t size, struct cc_buffer *out,
                   size_t limit) {
  struct cc_slice in = cc_slice(data, size);
  bool full = false; // the library may hold more of what it was given
  while (!decoder->error && (in.size || (full && !decoder->whole))) {
    make_room(out, limit);
    if (!step(decoder, &in, out)) decoder->error = CC_EENCODED;
    decoder->begun = true;
    if (out->size > limit) decoder->error = CC_EDECODED_SIZE;
    full = out->size == out->capacity;
  }
  return decoder->error;
}

int cc_decoder_end(const struct cc_decoder *decoder) {
  return decoder->error || decoder->whole ? decoder->error : CC_EENCODED;
}
