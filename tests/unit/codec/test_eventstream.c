// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "codec/crc32.h"
#include "codec/eventstream.h"
#include "codec/json.h"
#include "support/frame_build.h"
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define TEXT(literal) cc_slice(literal, sizeof(literal) - 1)

// ---- Reading -----------------------------------------------------------------------------------

static void note(struct cc_buffer *log, const struct cc_eventstream_message *message) {
  struct cc_slice headers = message->headers;
  struct cc_eventstream_header header;
  while (cc_eventstream_header(&headers, &header)) {
    cc_buffer_add(log, header.name.data, header.name.size);
    cc_buffer_printf(log, "=%d:%lld:", header.type, (long long)header.number);
    cc_buffer_add(log, header.value.data, header.value.size);
    cc_buffer_add_text(log, ";");
  }
  assert_int_equal(headers.size, 0);
  cc_buffer_add(log, message->payload.data, message->payload.size);
  cc_buffer_add_text(log, "\n");
}

// Feeds text in blocks of its own (reading beside them is seen): one of `cut` bytes, then of
// `step`. Returns CC_OK, CC_ETRUNCATED or CC_EFRAME, and what the messages say in log.
static int read_stream(const char *text, size_t size, size_t cut, size_t step,
                       struct cc_buffer *log) {
  struct cc_eventstream stream = {0};
  int status = 0;
  for (size_t from = 0, to = cut; from < size && status == 0; from = to, to += step) {
    if (to > size) to = size;
    char *block = malloc(to - from + 1);
    memcpy(block, text + from, to - from);
    struct cc_slice piece = cc_slice(block, to - from);
    struct cc_eventstream_message message;
    while ((status = cc_eventstream_next(&stream, &piece, &message)) == 1)
      note(log, &message);
    if (status == 0) assert_int_equal(piece.size, 0);
    free(block);
  }
  if (status < 0) {
    assert_true(status == CC_EFRAME || status == CC_EEVENT_SIZE);
    assert_false(cc_eventstream_between(&stream));
    assert_null(stream.held.data);
    struct cc_slice piece = cc_slice(text, size);
    struct cc_eventstream_message message;
    assert_int_equal(cc_eventstream_next(&stream, &piece, &message), status);
  } else if (!cc_eventstream_between(&stream)) {
    status = CC_ETRUNCATED;
  }
  cc_eventstream_free(&stream);
  return status;
}

// Whole, byte by byte, and cut at every place: all the same. Leaves the log of one of them.
static int read_every_way(const char *text, size_t size, struct cc_buffer *log) {
  int status = read_stream(text, size, size, size, log);
  for (size_t cut = 0; cut < size; cut++) {
    struct cc_buffer other = {0};
    int found =
        cut ? read_stream(text, size, cut, size, &other) : read_stream(text, size, 1, 1, &other);
    if (found != status) fail_msg("cut at %zu: %d instead of %d", cut, found, status);
    assert_int_equal(other.size, log->size);
    if (log->size) assert_memory_equal(other.data, log->data, log->size);
    cc_buffer_free(&other);
  }
  return status;
}

static void check(const struct cc_buffer *frames, int expected, const char *expected_log) {
  struct cc_buffer log = {0};
  int status = read_every_way(frames->data, frames->size, &log);
  assert_int_equal(status, expected);
  if (!cc_slice_is(cc_slice(log.data ? log.data : "", log.size), expected_log))
    fail_msg("%.*s instead of %s", (int)log.size, log.data, expected_log);
  cc_buffer_free(&log);
}

static void check_one(struct cc_slice headers, struct cc_slice payload, int expected,
                      const char *log) {
  struct cc_buffer frames = {0};
  frame_add(&frames, headers, payload);
  check(&frames, expected, log);
  cc_buffer_free(&frames);
}

// ---- Tests -------------------------------------------------------------------------------------

static void sums_are_those_of_the_standard(void **state) {
  (void)state;
  char data[200];
  assert_int_equal(cc_crc32(0, "123456789", 9), 0xcbf43926u);
  assert_int_equal(cc_crc32(0, "", 0), 0);
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (char)(i * 151 + i / 3);
  for (size_t from = 0; from < 17; from++)
    for (size_t size = 0; size <= sizeof data - from; size++) {
      uint32_t sum = frame_crc(data + from, size);
      assert_int_equal(cc_crc32(0, data + from, size), sum);
      assert_int_equal(
          cc_crc32(cc_crc32(0, data + from, size / 3), data + from + size / 3, size - size / 3),
          sum);
    }
}

static void reads_every_type_of_header(void **state) {
  (void)state;
  static const struct {
    uint8_t type;
    struct cc_slice value;
    const char *log;
  } cases[] = {
      {CC_EVENTSTREAM_TRUE, {"", 0}, "n=0:1:;p\n"},
      {CC_EVENTSTREAM_FALSE, {"", 0}, "n=1:0:;p\n"},
      {CC_EVENTSTREAM_BYTE, {"\x85", 1}, "n=2:-123:\x85;p\n"},
      {CC_EVENTSTREAM_INT16, {"\xf0\x41", 2}, "n=3:-4031:\xf0\x41;p\n"},
      {CC_EVENTSTREAM_INT32, {"\x7f\xff\xff\xff", 4}, "n=4:2147483647:\x7f\xff\xff\xff;p\n"},
      {CC_EVENTSTREAM_INT64,
       {"\xff\xff\xff\xff\xff\xff\xff\xfe", 8},
       "n=5:-2:\xff\xff\xff\xff\xff\xff\xff\xfe;p\n"},
      {CC_EVENTSTREAM_BYTES, {"\0\3\xff\x80z", 5}, "n=6:0:\xff\x80z;p\n"},
      {CC_EVENTSTREAM_STRING, {"\0\4word", 6}, "n=7:0:word;p\n"},
      {CC_EVENTSTREAM_STRING, {"\0\0", 2}, "n=7:0:;p\n"},
      {CC_EVENTSTREAM_TIMESTAMP,
       {"\x01\x02\x03\x04\x05\x06\x07\x08", 8},
       "n=8:72623859790382856:\x01\x02\x03\x04\x05\x06\x07\x08;p\n"},
      {CC_EVENTSTREAM_UUID, {"0123456789abcdef", 16}, "n=9:0:0123456789abcdef;p\n"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_buffer headers = {0};
    frame_add_header(&headers, "n", cases[i].type, cases[i].value.data, cases[i].value.size);
    check_one(cc_slice(headers.data, headers.size), TEXT("p"), 0, cases[i].log);
    if (headers.size > 3) // one byte short, whatever the type
      check_one(cc_slice(headers.data, headers.size - 1), TEXT("p"), CC_EFRAME, "");
    cc_buffer_free(&headers);
  }
}

static void refuses_malformed_headers(void **state) {
  (void)state;
  static const struct cc_slice cases[] = {
      {"\0", 1},
      {"\0\0", 2},
      {"\0\7\0\1x", 5},
      {"\1", 1},
      {"\1n", 2},
      {"\1n\n", 3},
      {"\1n\xff", 3},
      {"\2n\0", 3},
      {"\xffn\0", 3},
      {"\1n\7", 3},
      {"\1n\7\0", 4},
      {"\1n\7\0\1", 5},
      {"\1n\6\xff\xff", 5},
      {"\1n\0\1n", 5},
      {"\1n\0\0\0", 5},
      {"\1n\11123456789012345", 18},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    check_one(cases[i], TEXT(""), CC_EFRAME, "");
  struct cc_slice headers = TEXT("\1n\12");
  struct cc_eventstream_header header;
  assert_false(cc_eventstream_header(&headers, &header));
  assert_int_equal(headers.size, 3);
  check_one(TEXT("\1n\0\1n\1"), TEXT(""), 0, "n=0:1:;n=1:0:;\n");
}

static void goes_on_from_message_to_message(void **state) {
  (void)state;
  struct cc_buffer frames = {0};
  struct cc_slice headers = TEXT("\1a\7\0\1b");
  frame_add(&frames, TEXT(""), TEXT(""));
  frame_add(&frames, headers, TEXT("one"));
  frame_add(&frames, headers, TEXT(""));
  frame_add(&frames, TEXT(""), TEXT("three"));
  check(&frames, 0, "\na=7:0:b;one\na=7:0:b;\nthree\n");
  size_t whole = frames.size;
  frame_add(&frames, headers, TEXT("four"));
  size_t all = frames.size;
  for (frames.size = whole + 1; frames.size < all; frames.size++)
    check(&frames, CC_ETRUNCATED, "\na=7:0:b;one\na=7:0:b;\nthree\n");
  cc_buffer_free(&frames);
}

static void sees_every_flipped_bit(void **state) {
  (void)state;
  struct cc_buffer frames = {0};
  frame_add(&frames, TEXT(""), TEXT("good"));
  size_t first = frames.size;
  frame_add(&frames, TEXT("\1a\7\0\1b"), TEXT("payload"));
  for (size_t bit = first * 8; bit < frames.size * 8; bit++) {
    struct cc_buffer log = {0};
    frames.data[bit / 8] = (char)(frames.data[bit / 8] ^ 1 << bit % 8);
    assert_int_equal(read_stream(frames.data, frames.size, frames.size, 1, &log), CC_EFRAME);
    assert_true(cc_slice_is(cc_slice(log.data, log.size), "good\n"));
    cc_buffer_clear(&log);
    assert_int_equal(read_stream(frames.data, frames.size, 1, 1, &log), CC_EFRAME);
    cc_buffer_free(&log);
    frames.data[bit / 8] = (char)(frames.data[bit / 8] ^ 1 << bit % 8);
  }
  cc_buffer_free(&frames);
}

// A prelude with good CRC that announces these sizes: refused at its last byte, or believed.
static void announce(uint32_t total, uint32_t headers, int expected) {
  struct cc_buffer frames = {0};
  struct cc_eventstream_message message;
  frame_add_sized(&frames, total, headers, TEXT(""), TEXT(""));
  for (size_t step = 1; step <= 12; step += 11) {
    struct cc_eventstream stream = {0};
    int status = 0;
    for (size_t at = 0; at < 12; at += step) {
      assert_int_equal(status, 0);
      struct cc_slice piece = cc_slice(frames.data + at, step);
      status = cc_eventstream_next(&stream, &piece, &message);
    }
    assert_int_equal(status, expected);
    assert_true(stream.held.capacity <= 64); // whatever was announced
    cc_eventstream_free(&stream);
  }
  cc_buffer_free(&frames);
}

static void bounds_are_held_at_the_prelude(void **state) {
  (void)state;
  announce(16, 0, 0);
  announce(0, 0, CC_EFRAME);
  announce(15, 0, CC_EFRAME);
  announce(16, 1, CC_EFRAME);
  announce(17, 1, 0);
  announce(100, 84, 0);
  announce(100, 85, CC_EFRAME);
  announce(100, UINT32_MAX, CC_EFRAME);
  announce(8, UINT32_MAX - 7, CC_EFRAME);
  announce(24 * 1024 * 1024, 0, 0);
  announce(24 * 1024 * 1024 + 1, 0, CC_EEVENT_SIZE);
  announce(UINT32_MAX, 0, CC_EEVENT_SIZE);
  announce(UINT32_MAX, UINT32_MAX - 16, CC_EEVENT_SIZE);
  announce(CC_EVENTSTREAM_MESSAGE, CC_EVENTSTREAM_HEADERS, 0);
  announce(CC_EVENTSTREAM_MESSAGE, CC_EVENTSTREAM_HEADERS + 1, CC_EEVENT_SIZE);
}

static void largest_message(void **state) {
  (void)state;
  struct cc_buffer payload = {0}, headers = {0}, frames = {0};
  while (headers.size < CC_EVENTSTREAM_HEADERS)
    cc_buffer_add(&headers, "\xe", 1), cc_buffer_add(&headers, "abcdefghijklmn\0", 15);
  assert_int_equal(headers.size, CC_EVENTSTREAM_HEADERS);
  size_t size = CC_EVENTSTREAM_MESSAGE - CC_EVENTSTREAM_HEADERS - 16;
  cc_buffer_reserve(&payload, size);
  memset(payload.data, 'x', size);
  frame_add(&frames, cc_slice(headers.data, headers.size), cc_slice(payload.data, size));
  frame_add(&frames, TEXT(""), TEXT("after"));
  for (size_t step = frames.size; step > 1000; step /= 40) {
    struct cc_buffer log = {0};
    assert_int_equal(read_stream(frames.data, frames.size, step, step, &log), 0);
    assert_memory_equal(log.data + log.size - 6, "after\n", 6);
    assert_true(log.size > size);
    cc_buffer_free(&log);
  }
  cc_buffer_free(&payload);
  cc_buffer_free(&headers);
  cc_buffer_free(&frames);
}

static void whole_messages_are_not_copied(void **state) {
  (void)state;
  struct cc_buffer frames = {0};
  struct cc_eventstream stream = {0};
  struct cc_eventstream_message message;
  frame_add(&frames, TEXT("\1a\7\0\1b"), TEXT("payload"));
  size_t one = frames.size;
  frame_add(&frames, TEXT(""), TEXT("second"));
  frame_add(&frames, TEXT(""), TEXT("third"));
  struct cc_slice piece = cc_slice(frames.data, frames.size);
  assert_int_equal(cc_eventstream_next(&stream, &piece, &message), 1);
  assert_ptr_equal(message.headers.data, frames.data + 12);
  assert_ptr_equal(message.payload.data, frames.data + 18);
  assert_int_equal(cc_eventstream_next(&stream, &piece, &message), 1);
  assert_null(stream.held.data);
  // What was cut is held, what follows in the same piece is not.
  stream = (struct cc_eventstream){0};
  piece = cc_slice(frames.data, one - 1);
  assert_int_equal(cc_eventstream_next(&stream, &piece, &message), 0);
  piece = cc_slice(frames.data + one - 1, frames.size - one + 1);
  assert_int_equal(cc_eventstream_next(&stream, &piece, &message), 1);
  assert_ptr_equal(message.payload.data, stream.held.data + 18);
  assert_true(cc_eventstream_between(&stream));
  assert_int_equal(cc_eventstream_next(&stream, &piece, &message), 1);
  assert_ptr_equal(message.payload.data, frames.data + one + 12);
  cc_eventstream_free(&stream);
  cc_buffer_free(&frames);
}

static void large_memory_is_given_back(void **state) {
  (void)state;
  struct cc_buffer frames = {0};
  struct cc_eventstream stream = {0};
  struct cc_eventstream_message message;
  char *payload = calloc(1, 100000);
  frame_add(&frames, TEXT(""), cc_slice(payload, 100000));
  struct cc_slice piece = cc_slice(frames.data, 50000);
  assert_int_equal(cc_eventstream_next(&stream, &piece, &message), 0);
  piece = cc_slice(frames.data + 50000, frames.size - 50000);
  assert_int_equal(cc_eventstream_next(&stream, &piece, &message), 1);
  assert_int_equal(cc_eventstream_next(&stream, &piece, &message), 0);
  assert_true(stream.held.capacity <= 4096);
  cc_eventstream_free(&stream);
  cc_buffer_free(&frames);
  free(payload);
}

// ---- Vectors in files --------------------------------------------------------------------------

static bool read_file(const char *path, struct cc_buffer *out) {
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  cc_buffer_reserve(out, 1 << 20);
  out->size = fread(out->data, 1, out->capacity, file);
  fclose(file);
  return true;
}

static int expected_of(const char *name) {
  if (strncmp(name, "valid_", 6) == 0) return 0;
  if (strncmp(name, "cut_", 4) == 0) return CC_ETRUNCATED;
  if (strstr(name, "_large")) return CC_EEVENT_SIZE;
  return CC_EFRAME;
}

// Reads every file of the folder (its name tells what it is, unless it is told) and returns how
// many there were.
static int read_folder(const char *folder, const int *told) {
  DIR *dir = opendir(folder);
  int count = 0;
  if (!dir) return 0;
  for (struct dirent *entry; (entry = readdir(dir));) {
    if (entry->d_name[0] == '.' || strcmp(entry->d_name, "README.md") == 0) continue;
    char path[1024];
    struct cc_buffer bytes = {0}, log = {0};
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    assert_true(read_file(path, &bytes));
    int expected = told ? *told : expected_of(entry->d_name);
    int status = read_every_way(bytes.data, bytes.size, &log);
    if (status != expected) fail_msg("%s: %d instead of %d", path, status, expected);
    cc_buffer_free(&bytes);
    cc_buffer_free(&log);
    count++;
  }
  closedir(dir);
  return count;
}

static void own_vectors(void **state) {
  (void)state;
  assert_true(read_folder(TEST_DATA "/eventstream", NULL) >= 18);
}

static void vectors_of_smithy_rs(void **state) {
  (void)state;
  int count = read_folder(
      TEST_CORPORA "/eventstream-smithy-rs/rust-runtime/aws-smithy-eventstream/test_data", NULL);
  if (!count) {
    print_message("skipped: no " TEST_CORPORA "/eventstream-smithy-rs\n");
    skip();
  }
  print_message("vectors: %d\n", count);
  assert_true(count >= 11);
}

#define AWS_SDK_GO TEST_CORPORA "/eventstream-aws-sdk-go/private/protocol/eventstream/testdata/"

static struct cc_slice member(struct cc_slice object, const char *name) {
  struct cc_json_member found;
  assert_int_equal(cc_json_find(object.data, object.size, cc_slice_text(name), &found), CC_OK);
  return found.value;
}

static void add_value(struct cc_buffer *log, struct cc_slice value) {
  if (value.data[0] == '"') assert_true(cc_base64_decode(log, value.data + 1, value.size - 2));
}

static long long number_of(struct cc_slice value) {
  return value.data[0] == 't' ? 1 : value.data[0] == '"' ? 0 : strtoll(value.data, NULL, 10);
}

// The log that the message described in JSON makes, without the bytes of numbers.
static void describe(struct cc_slice text, struct cc_buffer *log) {
  struct cc_json json;
  struct cc_slice headers = member(text, "headers");
  cc_json_init(&json, headers.data, headers.size);
  assert_int_equal(cc_json_next(&json), CC_JSON_ARRAY);
  for (int token; (token = cc_json_next(&json)) == CC_JSON_OBJECT;) {
    assert_int_equal(cc_json_skip(&json, token), CC_OK);
    struct cc_slice name = member(json.raw, "name"), value = member(json.raw, "value");
    cc_buffer_add(log, name.data + 1, name.size - 2);
    cc_buffer_printf(log, "=%lld:%lld:", number_of(member(json.raw, "type")), number_of(value));
    add_value(log, value);
    cc_buffer_add_text(log, ";");
  }
  add_value(log, member(text, "payload"));
}

static void note_words(struct cc_buffer *log, const struct cc_eventstream_message *message) {
  struct cc_slice headers = message->headers;
  struct cc_eventstream_header header;
  while (cc_eventstream_header(&headers, &header)) {
    bool words = header.type == CC_EVENTSTREAM_BYTES || header.type == CC_EVENTSTREAM_STRING ||
                 header.type == CC_EVENTSTREAM_UUID;
    cc_buffer_add(log, header.name.data, header.name.size);
    cc_buffer_printf(log, "=%d:%lld:", header.type, (long long)header.number);
    if (words) cc_buffer_add(log, header.value.data, header.value.size);
    cc_buffer_add_text(log, ";");
  }
  cc_buffer_add(log, message->payload.data, message->payload.size);
}

static void check_described(const char *name) {
  struct cc_buffer bytes = {0}, text = {0}, log = {0}, expected = {0};
  struct cc_eventstream stream = {0};
  struct cc_eventstream_message message;
  char path[1024];
  snprintf(path, sizeof path, AWS_SDK_GO "encoded/positive/%s", name);
  assert_true(read_file(path, &bytes));
  snprintf(path, sizeof path, AWS_SDK_GO "decoded/positive/%s", name);
  assert_true(read_file(path, &text));
  struct cc_slice piece = cc_slice(bytes.data, bytes.size);
  assert_int_equal(cc_eventstream_next(&stream, &piece, &message), 1);
  note_words(&log, &message);
  describe(cc_slice(text.data, text.size), &expected);
  assert_int_equal(log.size, expected.size);
  if (log.size) assert_memory_equal(log.data, expected.data, log.size);
  cc_buffer_free(&bytes);
  cc_buffer_free(&text);
  cc_buffer_free(&log);
  cc_buffer_free(&expected);
}

static void vectors_of_aws_sdk_go(void **state) {
  (void)state;
  static const int good = 0, bad = CC_EFRAME;
  static const char *const names[] = {"all_headers", "empty_message", "int32_header",
                                      "payload_no_headers", "payload_one_str_header"};
  int count = read_folder(AWS_SDK_GO "encoded/positive", &good);
  if (!count) {
    print_message("skipped: no " TEST_CORPORA "/eventstream-aws-sdk-go\n");
    skip();
  }
  assert_int_equal(count, COUNT(names));
  for (size_t i = 0; i < COUNT(names); i++)
    check_described(names[i]);
  assert_int_equal(read_folder(AWS_SDK_GO "encoded/negative", &bad), 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_are_those_of_the_standard),
      cmocka_unit_test(reads_every_type_of_header),
      cmocka_unit_test(refuses_malformed_headers),
      cmocka_unit_test(goes_on_from_message_to_message),
      cmocka_unit_test(sees_every_flipped_bit),
      cmocka_unit_test(bounds_are_held_at_the_prelude),
      cmocka_unit_test(largest_message),
      cmocka_unit_test(whole_messages_are_not_copied),
      cmocka_unit_test(large_memory_is_given_back),
      cmocka_unit_test(own_vectors),
      cmocka_unit_test(vectors_of_smithy_rs),
      cmocka_unit_test(vectors_of_aws_sdk_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
