// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "codec/base64.h"
#include "codec/json.h"
#include "codec/sse.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Reads a stream cut at the given place (then every step bytes) the way a connection does: bytes
// are added to what is pending, whole events are taken off the front. Writes down the events a
// client would see, and checks that the pieces make up the stream again.
static void read_stream(const char *text, size_t size, size_t cut, size_t step,
                        struct cc_buffer *log) {
  struct cc_sse sse = {0};
  struct cc_buffer pending = {0}, joined = {0}, again = {0};
  for (size_t from = 0, to = cut; from < size; from = to, to = step ? to + step : size) {
    if (to > size) to = size;
    cc_buffer_add(&pending, text + from, to - from);
    for (size_t whole; (whole = cc_sse_event(&sse, pending.data, pending.size));) {
      struct cc_sse_fields fields;
      assert_true(whole <= pending.size);
      char *event = malloc(whole); // a block of its own: reading beside it is seen
      memcpy(event, pending.data, whole);
      cc_sse_fields(event, whole, &joined, &fields);
      if (!fields.comment_only)
        cc_buffer_printf(log, "[%.*s|", (int)fields.event.size, fields.event.data);
      if (!fields.comment_only) {
        cc_buffer_add(log, fields.data.data, fields.data.size);
        cc_buffer_add_text(log, "]");
      }
      free(event);
      cc_buffer_add(&again, pending.data, whole);
      cc_buffer_drop(&pending, whole);
    }
  }
  cc_buffer_add(&again, pending.data, pending.size);
  assert_int_equal(again.size, size);
  if (size) assert_memory_equal(again.data, text, size);
  cc_buffer_free(&pending);
  cc_buffer_free(&joined);
  cc_buffer_free(&again);
}

static void check_stream(const char *text, size_t size, const char *expected,
                         size_t expected_size) {
  size_t stride = size > 2000 ? size / 200 : 1;
  for (size_t cut = 0; cut <= size; cut += stride) {
    struct cc_buffer log = {0};
    read_stream(text, size, cut ? cut : 1, cut ? 0 : 1, &log);
    if (log.size != expected_size || (log.size && memcmp(log.data, expected, log.size) != 0))
      fail_msg("cut at %zu: %.*s instead of %.*s", cut, (int)log.size, log.data, (int)expected_size,
               expected);
    cc_buffer_free(&log);
  }
}

static void streams(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"", ""},
      {"data: a\n\n", "[|a]"},
      {"data: a\r\n\r\n", "[|a]"},
      {"data: a\r\r", "[|a]"},
      {"data: a\n\r\n", "[|a]"},
      {"data: a\r\n\n", "[|a]"},
      {"data: a\n\r", "[|a]"},
      {"data: a\r\n\r", "[|a]"},
      {"data: a\r\r\n", "[|a]"},
      {"data: a\r\r\ndata: b\r\n\r\n", "[|a][|b]"},
      {"data: a\n\ndata: b\n\n", "[|a][|b]"},
      {"data: a\r\n\r\ndata: b\r\n\r\n", "[|a][|b]"},
      {"data: a\n\n\n\ndata: b\n\n", "[|a][|b]"},
      {"\r\n\r\n\ndata: b\n\n", "[|b]"},
      {"event: x\ndata: a\n\n", "[x|a]"},
      {"event: x\nevent: y\ndata: a\n\n", "[y|a]"},
      {"event:\ndata: a\n\n", "[|a]"},
      {"event: x\n\n", "[x|]"},
      {"data:a\ndata: b\r\ndata:  c\rdata\ndata:\n\n", "[|a\nb\n c\n\n]"},
      {"data\n\n", "[|]"},
      {": comment\n\ndata: a\n\n", "[|a]"},
      {"id: 1\nretry: 5\nother: x\n\n", ""},
      {"datax: a\n data: b\nDATA: c\n\n", ""},
      {"data: a\ndata: b", ""},
      {"data: a\n", ""},
      {"data: a:b\n\n", "[|a:b]"},
      {"\xef\xbb\xbf"
       "data: a\n\n",
       "[|a]"},
      {"data: a\r\n\r\n\xef\xbb\xbf"
       "data: b\r\n\r\n",
       "[|a][|b]"},
      {"data: 12345678901234567890\t\x01\x0b\x0c\x0e end\n\n",
       "[|12345678901234567890\t\x01\x0b\x0c\x0e end]"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    check_stream(rows[i][0], strlen(rows[i][0]), rows[i][1], strlen(rows[i][1]));
}

static void ends_are_exact(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t first;
  } rows[] = {{"data: a\n\ndata: b\n\n", 9},
              {"data: a\r\n\r\nx", 11},
              {"data: a\r\n\r", 10},
              {"data: a\r\r\nx", 10},
              {"data: a\r\rx", 9},
              {"\n\n", 1},
              {"\r\n\r\n", 2},
              {"data: a\r\n", 0},
              {"data: a\r", 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct cc_sse sse = {0};
    assert_int_equal(cc_sse_event(&sse, rows[i].text, strlen(rows[i].text)), rows[i].first);
  }
}

// A CR ended the event by itself; the LF that belongs to it opens no line of its own.
static void late_line_feed(void **state) {
  (void)state;
  struct cc_sse sse = {0};
  assert_int_equal(cc_sse_event(&sse, "data: a\r\n\r", 10), 10);
  assert_int_equal(cc_sse_event(&sse, "", 0), 0);
  assert_int_equal(cc_sse_event(&sse, "\n", 1), 0);
  assert_int_equal(cc_sse_event(&sse, "\ndata: b\n\n", 10), 10);
  struct cc_sse_fields fields;
  struct cc_buffer joined = {0};
  cc_sse_fields("\ndata: b\n\n", 10, &joined, &fields);
  assert_true(cc_slice_is(fields.data, "b"));
  assert_int_equal(joined.size, 0);
}

static void what_was_looked_at_is_not_looked_at_again(void **state) {
  (void)state;
  struct cc_sse sse = {0};
  char text[32] = "data: abcdefgh\n";
  assert_int_equal(cc_sse_event(&sse, text, 15), 0);
  memset(text, '\n', 15); // would be events, were they seen again
  assert_int_equal(sse.scanned, 15);
  assert_int_equal(cc_sse_event(&sse, text, 15), 0);
  text[15] = '\n';
  assert_int_equal(cc_sse_event(&sse, text, 16), 16);
  assert_int_equal(sse.scanned, 0);
}

static void a_name_may_be_put_in(void **state) {
  (void)state;
  static const struct {
    const char *event;
    size_t at;
  } rows[] = {{"data: a\n\n", 0},
              {"\ndata: a\n\n", 1},
              {"\xef\xbb\xbf"
               "data: a\n\n",
               3},
              {"\xef\xbb\xbf\r\ndata: a\r\n\r\n", 5},
              {": c\nid: 1\ndata: a\n\n", 0},
              {"event:\ndata: a\n\n", 7},
              {"event:\r\ndata: a\n\n", 8},
              {"event:\revent\rdata: a\r\r", 13}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct cc_buffer joined = {0};
    struct cc_sse_fields fields;
    cc_sse_fields(rows[i].event, strlen(rows[i].event), &joined, &fields);
    assert_int_equal(fields.name_at, rows[i].at);
    assert_true(cc_slice_is(fields.data, "a"));
    cc_buffer_free(&joined);
  }
}

static void single_data_is_not_copied(void **state) {
  (void)state;
  const char *event = "event: x\ndata: {\"a\":1}\n\n";
  struct cc_buffer joined = {0};
  struct cc_sse_fields fields;
  cc_sse_fields(event, strlen(event), &joined, &fields);
  assert_ptr_equal(fields.data.data, event + 15);
  assert_int_equal(fields.data.size, 7);
  assert_null(joined.data);
}

// ---- Vectors of others -------------------------------------------------------------------------

static void unquote(struct cc_buffer *out, struct cc_slice raw) {
  for (uint32_t i = 1; i + 1 < raw.size; i++) {
    const char *at = raw.data + i;
    unsigned code = 0;
    if (*at != '\\') {
      cc_buffer_add(out, at, 1);
      continue;
    }
    i++;
    if (at[1] == 'u') {
      assert_int_equal(sscanf(at + 2, "%4x", &code), 1);
      char utf8[3] = {(char)code, 0, 0};
      size_t size = 1;
      if (code >= 0x800) {
        utf8[0] = (char)(0xe0 | code >> 12);
        utf8[1] = (char)(0x80 | (code >> 6 & 0x3f));
        utf8[2] = (char)(0x80 | (code & 0x3f));
        size = 3;
      }
      cc_buffer_add(out, utf8, size);
      i += 4;
    } else {
      static const char from[] = "nrt\"\\/", to[] = "\n\r\t\"\\/";
      cc_buffer_add(out, &to[strchr(from, at[1]) - from], 1);
    }
  }
}

static struct cc_slice member(struct cc_slice object, const char *name) {
  struct cc_json_member found;
  if (cc_json_find(object.data, object.size, cc_slice_text(name), &found)) return cc_slice("", 0);
  return found.value;
}

// What the standard makes of the stream, in the words of our log.
static void expected_events(struct cc_buffer *out, struct cc_slice events) {
  struct cc_json json;
  cc_json_init(&json, events.data, events.size);
  assert_int_equal(cc_json_next(&json), CC_JSON_ARRAY);
  for (int token; (token = cc_json_next(&json)) == CC_JSON_OBJECT;) {
    assert_int_equal(cc_json_skip(&json, token), CC_OK);
    struct cc_buffer name = {0};
    unquote(&name, member(json.raw, "event"));
    cc_buffer_add_text(out, "[");
    if (name.size != 7 || memcmp(name.data, "message", 7) != 0)
      cc_buffer_add(out, name.data, name.size);
    cc_buffer_add_text(out, "|");
    unquote(out, member(json.raw, "data"));
    cc_buffer_add_text(out, "]");
    cc_buffer_free(&name);
  }
}

static const struct {
  const char *name;
  const char *reason;
} differences[] = {
    {"bom", "a BOM is skipped at the start of any event, not only of the stream"},
    {"utf8-invalid-byte", "bytes are passed on, not replaced"},
};

static bool differs(struct cc_slice name) {
  for (size_t i = 0; i < sizeof differences / sizeof *differences; i++)
    if (cc_json_is(name, differences[i].name)) return true;
  return false;
}

static int one_vector(const char *line) {
  struct cc_slice object = cc_slice_text(line);
  struct cc_slice name = member(object, "name"), raw = member(object, "raw_b64");
  struct cc_slice events = member(object, "events");
  struct cc_buffer text = {0}, expected = {0}, log = {0};
  assert_true(raw.size > 2);
  assert_true(cc_base64_decode(&text, raw.data + 1, raw.size - 2));
  if (!events.size || differs(name)) {
    read_stream(text.data, text.size, 1, 1, &log);
  } else {
    expected_events(&expected, events);
    check_stream(text.data, text.size, expected.data, expected.size);
  }
  cc_buffer_free(&text);
  cc_buffer_free(&expected);
  cc_buffer_free(&log);
  return events.size && !differs(name);
}

static void vectors(void **state) {
  (void)state;
  FILE *file = fopen(TEST_CORPORA "/sse-vectors/sse.jsonl", "r");
  if (!file) {
    print_message("skipped: no " TEST_CORPORA "/sse-vectors/sse.jsonl\n");
    skip();
  }
  char *line = NULL;
  size_t capacity = 0;
  int checked = 0;
  while (getline(&line, &capacity, file) > 0)
    checked += one_vector(line);
  free(line);
  fclose(file);
  print_message("vectors: %d\n", checked);
  assert_true(checked >= 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(streams),
      cmocka_unit_test(ends_are_exact),
      cmocka_unit_test(late_line_feed),
      cmocka_unit_test(what_was_looked_at_is_not_looked_at_again),
      cmocka_unit_test(a_name_may_be_put_in),
      cmocka_unit_test(single_data_is_not_copied),
      cmocka_unit_test(vectors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
