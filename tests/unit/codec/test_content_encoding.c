// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "codec/content_encoding.h"
#include <brotli/encode.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { LIMIT = 1 << 20, RAW = 100 }; // RAW: deflate without its wrapper

static const int all[] = {CC_CODING_GZIP, CC_CODING_DEFLATE, RAW, CC_CODING_BROTLI, CC_CODING_ZSTD};
#define EACH(name) for (const int *name = all; name < all + sizeof all / sizeof *all; name++)

static struct cc_buffer plain(size_t size) {
  struct cc_buffer out = {0};
  for (unsigned i = 0; out.size < size; i++)
    cc_buffer_printf(&out, "{\"line\":%u,\"x\":%u},", i, i * 2654435761u);
  out.size = size;
  return out;
}

static void deflate_with(int bits, const struct cc_buffer *in, struct cc_buffer *out) {
  z_stream zlib = {0};
  assert_int_equal(deflateInit2(&zlib, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  size_t most = deflateBound(&zlib, in->size) + 64;
  cc_buffer_reserve(out, most);
  zlib.next_in = (Bytef *)in->data;
  zlib.avail_in = (uInt)in->size;
  zlib.next_out = (Bytef *)out->data + out->size;
  zlib.avail_out = (uInt)most;
  assert_int_equal(deflate(&zlib, Z_FINISH), Z_STREAM_END);
  out->size += zlib.total_out;
  deflateEnd(&zlib);
}

static void encode_brotli(const struct cc_buffer *in, struct cc_buffer *out) {
  size_t size = BrotliEncoderMaxCompressedSize(in->size) + 64;
  cc_buffer_reserve(out, size);
  assert_true(BrotliEncoderCompress(5, BROTLI_MAX_WINDOW_BITS, BROTLI_MODE_TEXT, in->size,
                                    (const uint8_t *)in->data, &size,
                                    (uint8_t *)out->data + out->size));
  out->size += size;
}

static void encode_zstd(const struct cc_buffer *in, struct cc_buffer *out) {
  size_t most = ZSTD_compressBound(in->size);
  cc_buffer_reserve(out, most);
  size_t size = ZSTD_compress(out->data + out->size, most, in->data, in->size, 3);
  assert_false(ZSTD_isError(size));
  out->size += size;
}

// Appends in, encoded.
static void encode(int coding, const struct cc_buffer *in, struct cc_buffer *out) {
  if (coding == CC_CODING_GZIP) deflate_with(MAX_WBITS + 16, in, out);
  if (coding == CC_CODING_DEFLATE) deflate_with(MAX_WBITS, in, out);
  if (coding == RAW) deflate_with(-MAX_WBITS, in, out);
  if (coding == CC_CODING_BROTLI) encode_brotli(in, out);
  if (coding == CC_CODING_ZSTD) encode_zstd(in, out);
}

// Decodes in pieces of so many bytes, each in memory of its own.
static int decode(int coding, const struct cc_buffer *in, size_t cut, size_t limit,
                  struct cc_buffer *out) {
  struct cc_decoder *decoder =
      cc_decoder_new(coding == RAW ? CC_CODING_DEFLATE : (enum cc_coding)coding);
  int error = CC_OK;
  for (size_t from = 0; from < in->size && !error; from += cut) {
    size_t size = in->size - from < cut ? in->size - from : cut;
    char *piece = malloc(size);
    memcpy(piece, in->data + from, size);
    error = cc_decoder_add(decoder, piece, size, out, limit);
    free(piece);
    assert_true(out->capacity <= limit + 1);
  }
  if (!error) error = cc_decoder_end(decoder);
  cc_decoder_free(decoder);
  return error;
}

static void expect(int coding, const struct cc_buffer *in, size_t cut, size_t limit, int expected,
                   const struct cc_buffer *text) {
  struct cc_buffer out = {0};
  int error = decode(coding, in, cut, limit, &out);
  if (error != expected)
    fail_msg("coding %d, %zu bytes cut at %zu: %d, not %d", coding, in->size, cut, error, expected);
  if (expected == CC_OK) {
    assert_int_equal(out.size, text->size);
    if (text->size) assert_memory_equal(out.data, text->data, text->size);
  }
  cc_buffer_free(&out);
}

static void decodes_whole_and_in_pieces(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 300000},
                      cuts[] = {1, 7, 4096, LIMIT};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct cc_buffer text = plain(sizes[i]);
    EACH(coding) {
      struct cc_buffer encoded = {0};
      encode(*coding, &text, &encoded);
      for (size_t j = 0; j < sizeof cuts / sizeof *cuts; j++)
        expect(*coding, &encoded, cuts[j], LIMIT, CC_OK, &text);
      cc_buffer_free(&encoded);
    }
    cc_buffer_free(&text);
  }
}

// Every prefix is incomplete, and one byte more is one too many.
static void needs_all_of_it_and_no_more(void **state) {
  (void)state;
  struct cc_buffer text = plain(600);
  EACH(coding) {
    struct cc_buffer encoded = {0};
    encode(*coding, &text, &encoded);
    size_t whole = encoded.size;
    for (encoded.size = 0; encoded.size < whole; encoded.size++) {
      expect(*coding, &encoded, LIMIT, LIMIT, CC_EENCODED, NULL);
      expect(*coding, &encoded, 1, LIMIT, CC_EENCODED, NULL);
    }
    cc_buffer_add(&encoded, "\x42", 1);
    expect(*coding, &encoded, LIMIT, LIMIT, CC_EENCODED, NULL);
    expect(*coding, &encoded, 1, LIMIT, CC_EENCODED, NULL);
    cc_buffer_free(&encoded);
  }
  cc_buffer_free(&text);
}

// RFC 1952 (2.2) and RFC 8878 (3): what follows the end of one may be another.
static void takes_several_members_where_the_format_has_them(void **state) {
  (void)state;
  struct cc_buffer text = plain(5000), twice = plain(5000);
  cc_buffer_add(&twice, text.data, text.size);
  EACH(coding) {
    struct cc_buffer encoded = {0};
    encode(*coding, &text, &encoded);
    encode(*coding, &text, &encoded);
    int expected = *coding == CC_CODING_GZIP || *coding == CC_CODING_ZSTD ? CC_OK : CC_EENCODED;
    expect(*coding, &encoded, LIMIT, LIMIT, expected, &twice);
    expect(*coding, &encoded, 1, LIMIT, expected, &twice);
    cc_buffer_free(&encoded);
  }
  cc_buffer_free(&text);
  cc_buffer_free(&twice);
}

static void finds_damage(void **state) {
  (void)state;
  struct cc_buffer text = plain(2000), out = {0};
  EACH(coding) {
    struct cc_buffer encoded = {0};
    encode(*coding, &text, &encoded);
    encoded.data[encoded.size - 5] ^= 0x55; // the sums of gzip and zlib; data of the others
    decode(*coding, &encoded, LIMIT, LIMIT, &out);
    bool summed = *coding == CC_CODING_GZIP || *coding == CC_CODING_DEFLATE;
    if (summed) expect(*coding, &encoded, LIMIT, LIMIT, CC_EENCODED, NULL);
    cc_buffer_free(&encoded);
    cc_buffer_free(&out);
    expect(*coding, &text, LIMIT, LIMIT, CC_EENCODED, NULL);
    expect(*coding, &text, 1, LIMIT, CC_EENCODED, NULL);
  }
  cc_buffer_free(&text);
}

static void stops_at_the_limit(void **state) {
  (void)state;
  struct cc_buffer text = plain(200000);
  EACH(coding) {
    struct cc_buffer encoded = {0};
    encode(*coding, &text, &encoded);
    expect(*coding, &encoded, LIMIT, text.size, CC_OK, &text);
    expect(*coding, &encoded, 1, text.size, CC_OK, &text);
    expect(*coding, &encoded, LIMIT, text.size - 1, CC_EDECODED_SIZE, NULL);
    expect(*coding, &encoded, 1, text.size - 1, CC_EDECODED_SIZE, NULL);
    cc_buffer_free(&encoded);
  }
  cc_buffer_free(&text);
}

// 256 MiB of zeros in some hundred KB or less: decode looks at the memory after every piece.
static void survives_bombs(void **state) {
  (void)state;
  struct cc_buffer zeros = {.data = calloc(1, 256 << 20), .size = 256 << 20};
  EACH(coding) {
    struct cc_buffer encoded = {0};
    encode(*coding, &zeros, &encoded);
    assert_true(encoded.size < 400000);
    expect(*coding, &encoded, encoded.size, LIMIT, CC_EDECODED_SIZE, NULL);
    cc_buffer_free(&encoded);
  }
  cc_buffer_free(&zeros);
}

static void an_error_stays(void **state) {
  (void)state;
  struct cc_buffer out = {0};
  struct cc_decoder *decoder = cc_decoder_new(CC_CODING_GZIP);
  assert_int_equal(cc_decoder_add(decoder, "plain text", 10, &out, LIMIT), CC_EENCODED);
  assert_int_equal(cc_decoder_add(decoder, "\x1f\x8b", 2, &out, LIMIT), CC_EENCODED);
  assert_int_equal(cc_decoder_end(decoder), CC_EENCODED);
  assert_int_equal(out.size, 0);
  cc_decoder_free(decoder);
  cc_decoder_free(NULL);
  cc_buffer_free(&out);
}

// A window of 16 MiB is over what RFC 9659 allows; a frame of a draft (its magic number ends in 25 to
// 27 instead of 28) is none of RFC 8878, though the library could read it.
static void bounds_the_window_of_zstd(void **state) {
  (void)state;
  static const char window_8[] = "\x28\xb5\x2f\xfd\x00\x68\x09\x00\x00x";
  static const char window_16[] = "\x28\xb5\x2f\xfd\x00\x70\x09\x00\x00x";
  struct cc_buffer text = {.data = "x", .size = 1}, frame = {.size = 10};
  frame.data = (char *)window_8;
  expect(CC_CODING_ZSTD, &frame, LIMIT, LIMIT, CC_OK, &text);
  frame.data = (char *)window_16;
  expect(CC_CODING_ZSTD, &frame, LIMIT, LIMIT, CC_EENCODED, NULL);
  for (char magic = 0x1e; magic < 0x28; magic++) {
    char draft[] = "\x28\xb5\x2f\xfd\x00\x68\x09\x00\x00x";
    draft[0] = magic;
    frame.data = draft;
    struct cc_buffer out = {0};
    struct cc_decoder *decoder = cc_decoder_new(CC_CODING_ZSTD);
    assert_int_equal(cc_decoder_add(decoder, draft, 5, &out, LIMIT), CC_EENCODED);
    cc_decoder_free(decoder);
    cc_buffer_free(&out);
  }
}

static void knows_the_names(void **state) {
  (void)state;
  static const struct {
    const char *first, *second; // lines
    int coding;                 // or the error
  } rows[] = {
      {"gzip", "", CC_CODING_GZIP},
      {"GZip", "", CC_CODING_GZIP},
      {"x-gzip", "", CC_CODING_GZIP},
      {"deflate", "", CC_CODING_DEFLATE},
      {"br", "", CC_CODING_BROTLI},
      {"zstd", "", CC_CODING_ZSTD},
      {"", "", CC_CODING_NONE},
      {"identity", "IDENTITY", CC_CODING_NONE},
      {" , br ,\t identity,", "", CC_CODING_BROTLI},
      {"identity", "br", CC_CODING_BROTLI},
      {"gzip, br", "", CC_EENCODING},
      {"gzip", "gzip", CC_EENCODING},
      {"gzip", "compress", CC_EENCODING},
      {"compress", "", CC_EENCODING},
      {"gzi", "", CC_EENCODING},
      {"gzipp", "", CC_EENCODING},
      {"gzip;q=1", "", CC_EENCODING},
      {"gz ip", "", CC_EENCODING},
      {"*", "", CC_EENCODING},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    enum cc_coding coding = CC_CODING_NONE;
    int error = cc_coding_add(&coding, cc_slice_text(rows[i].first));
    if (!error) error = cc_coding_add(&coding, cc_slice_text(rows[i].second));
    int result = error ? error : (int)coding;
    if (result != rows[i].coding)
      fail_msg("\"%s\" and \"%s\": %d", rows[i].first, rows[i].second, result);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decodes_whole_and_in_pieces),
      cmocka_unit_test(needs_all_of_it_and_no_more),
      cmocka_unit_test(takes_several_members_where_the_format_has_them),
      cmocka_unit_test(finds_damage),
      cmocka_unit_test(stops_at_the_limit),
      cmocka_unit_test(survives_bombs),
      cmocka_unit_test(an_error_stays),
      cmocka_unit_test(bounds_the_window_of_zstd),
      cmocka_unit_test(knows_the_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
