// SPDX-License-Identifier: Apache-2.0
// tests/data/sigv4/cases.txt: requests signed with @smithy/signature-v4.
#include "api/error.h"
#include "api/util.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>
#include <math.h>

#include "sign/canonical.h"
#include "sign/vector.h"

#define SECRET "CANARY7f3a9d/secret+key"

static uint32_t read_options(const char *words, bool *body) {
  uint32_t options = 0;
  if (strstr(words, "normalize")) options |= CC_SIGV4_NORMALIZE;
  if (strstr(words, "encode")) options |= CC_SIGV4_ENCODE;
  if (strstr(words, "few")) options |= CC_SIGV4_FEW;
  if (strstr(words, "body")) options |= CC_SIGV4_BODY_HEADER;
  if (strstr(words, "apart")) options |= CC_SIGV4_TOKEN_APART;
  *body = !strstr(words, "unsigned");
  return options;
}

// Cuts the next line off and returns what stands behind its first word.
static char *take(char **text) {
  char *line = strsep(text, "\n");
  return strchr(line, ' ') + 1;
}

static void one_case(char *text) {
  struct vector vector;
  bool body;
  char *name = take(&text);
  uint32_t options = read_options(take(&text), &body);
  char *region = take(&text), *service = take(&text), *time = take(&text), *token = take(&text);
  char *expected = take(&text), *end = strstr(text, "\n====");
  *end = '\0';
  vector_read(&vector, text);
  vector.signer.secret_key = cc_slice_text(SECRET);
  vector.signer.session_token = cc_slice_text(token);
  vector.signer.region = cc_slice_text(region);
  vector.signer.service = cc_slice_text(service);
  vector.request.time_ms = strtod(time, NULL);
  vector.request.options = options;
  if (!body) vector.request.body_hash = cc_slice(NULL, 0);
  struct cc_buffer lines = {0};
  assert_int_equal(cc_sigv4(&vector.request, "\n", &lines), CC_OK);
  char *got = line_value(&lines, "authorization");
  char *sent = line_value(&lines, "x-amz-security-token");
  assert_memory_equal(got, "AWS4-HMAC-SHA256 ", 17);
  if (strcmp(got + 17, expected) != 0)
    fail_msg("%s\n-- got\n%s\n-- expected\n%s", name, got + 17, expected);
  assert_string_equal(sent ? sent : "", token);
  free(got);
  free(sent);
  cc_buffer_free(&lines);
}

static void cases(void **state) {
  (void)state;
  char *text = read_text(TEST_DATA "/sigv4/cases.txt"), *at = text;
  int count = 0;
  assert_non_null(text);
  for (char *end; (end = strstr(at, "\n====\n")); at = end + 6) {
    char *copy = cc_copy_text(at, (size_t)(end - at) + 5);
    one_case(copy);
    free(copy);
    count++;
  }
  assert_int_equal(count, 9);
  free(text);
}

// ---- Canonical parts ---------------------------------------------------------------------------

static void paths(void **state) {
  (void)state;
  enum { N = CC_SIGV4_NORMALIZE, E = CC_SIGV4_ENCODE };
  static const struct {
    const char *wire;
    uint32_t options;
    const char *canonical;
  } known[] = {
      {"/model/a:b/invoke", N | E, "/model/a%3Ab/invoke"},
      {"/model/a%3Ab/invoke", N | E, "/model/a%253Ab/invoke"},
      {"/model/p%2Fq/invoke", N | E, "/model/p%252Fq/invoke"},
      {"/model/p%2Fq/a:b", N, "/model/p%2Fq/a:b"},
      {"/a:b//c", 0, "/a:b//c"},
      {"/a:b//c", E, "/a%3Ab//c"},
      {"", N | E, "/"},
      {"", 0, "/"},
      {"/", N, "/"},
      {"///", N, "/"},
      {"/..", N, "/"},
      {"/../../a", N, "/a"},
      {"/a/b/..", N, "/a"},
      {"/a/b/../", N, "/a/"},
      {"/a/.", N, "/a"},
      {"/a/...", N, "/a/..."},
      {"/a/%2E%2E/b", N, "/a/%2E%2E/b"},
      {"/\xff\x80", E, "/%FF%80"},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    struct cc_buffer out = {0};
    cc_canonical_path(cc_slice_text(known[i].wire), known[i].options, &out);
    cc_buffer_add(&out, "", 1);
    assert_string_equal(out.data, known[i].canonical);
    cc_buffer_free(&out);
  }
}

static void queries(void **state) {
  (void)state;
  static const char *const known[][2] = {
      {"", ""},
      {"&&", ""},
      {"b&a", "a=&b="},
      {"b=2&a=1&b=10&b=&b", "a=1&b=&b=&b=10&b=2"},
      {"a-b=1&a=2&a.b=3", "a=2&a-b=1&a.b=3"},
      {"a=b=c", "a=b%3Dc"},
      {"a=%7e%2f%2F", "a=~%2F%2F"},
      {"a=1+1%20 ", "a=1%2B1%20%20"},
      {"a=%&b=%4&c=%zz&d=100%", "a=%25&b=%254&c=%25zz&d=100%25"},
      {"=v", "=v"},
      {"a=\xe1\x88\xb4&A=", "A=&a=%E1%88%B4"},
      {"%61=2&a=1", "a=1&a=2"},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    struct cc_buffer out = {0};
    cc_canonical_query(cc_slice_text(known[i][0]), &out);
    cc_buffer_add(&out, "", 1);
    assert_string_equal(out.data, known[i][1]);
    cc_buffer_free(&out);
  }
}

// ---- Requests ----------------------------------------------------------------------------------

static void start(struct vector *vector, const char *text) {
  vector_read(vector, cc_copy_text(text, strlen(text)));
  vector->signer.secret_key = cc_slice_text(SECRET);
  vector->request.options = CC_SIGV4_RELAY;
}

static char *sign(struct vector *vector, const char *name) {
  struct cc_buffer lines = {0};
  assert_int_equal(cc_sigv4(&vector->request, "\n", &lines), CC_OK);
  char *value = line_value(&lines, name);
  cc_buffer_free(&lines);
  return value;
}

static void clock_is_the_services(void **state) {
  (void)state;
  struct vector vector;
  start(&vector, "GET / HTTP/1.1\nHost:h.example");
  vector.request.time_ms = 1582934400e3 - 1; // a millisecond before 29 February 2020
  char *before = sign(&vector, "x-amz-date");
  vector.signer.skew_ms = 1;
  char *after = sign(&vector, "x-amz-date");
  assert_string_equal(before, "20200228T235959Z");
  assert_string_equal(after, "20200229T000000Z");
  vector.signer.skew_ms = -3600e3;
  char *behind = sign(&vector, "x-amz-date");
  assert_string_equal(behind, "20200228T225959Z");
  free(before);
  free(after);
  free(behind);
  free(vector.text);
}

// What the signer makes is signed as the signer sends it, whatever the request brings.
static void own_headers_are_passed_over(void **state) {
  (void)state;
  struct vector plain, full;
  start(&plain, "GET / HTTP/1.1\nHost:h.example\nX-Amz-Z:1");
  start(&full, "GET / HTTP/1.1\nhost:h.example\nAuthorization:x\nX-AMZ-DATE:y\n"
               "x-amz-Security-Token:z\nX-Amz-Content-SHA256:0\nX-Amz-Z:1");
  plain.request.options = full.request.options = CC_SIGV4_ENCODE;
  char *one = sign(&plain, "authorization"), *other = sign(&full, "authorization");
  assert_string_equal(one, other);
  static const char *const made[] = {"Authorization", "x-amz-date", "X-Amz-Security-Token",
                                     "x-amz-content-sha256"};
  for (size_t i = 0; i < 4; i++)
    assert_true(cc_sigv4_makes(cc_slice_text(made[i])));
  assert_false(cc_sigv4_makes(cc_slice_text("x-amz-target")));
  free(one);
  free(other);
  free(plain.text);
  free(full.text);
}

static void nothing_else_is_sent(void **state) {
  (void)state;
  struct vector vector;
  struct cc_buffer lines = {0};
  start(&vector, "GET / HTTP/1.1\nHost:h.example");
  cc_buffer_add_text(&lines, "before");
  assert_int_equal(cc_sigv4(&vector.request, "\r\n", &lines), CC_OK);
  cc_buffer_add(&lines, "", 1);
  static const char begin[] = "beforex-amz-date: 20150830T123600Z\r\n"
                              "authorization: AWS4-HMAC-SHA256 ";
  assert_memory_equal(lines.data, begin, sizeof begin - 1);
  assert_string_equal(lines.data + lines.size - 3, "\r\n");
  assert_null(strstr(lines.data, "CANARY7f3a9d"));
  cc_buffer_free(&lines);
  free(vector.text);
}

enum { METHOD, HOST, TARGET, KEY, SECRET_KEY, TOKEN, REGION, SERVICE, NAME, VALUE, HASH, PLACES };

static int sign_odd(int place, const char *text) {
  struct vector vector;
  struct cc_buffer lines = {0};
  start(&vector, "GET / HTTP/1.1\nHost:h.example\nX-Amz-A:1");
  struct cc_slice *const places[PLACES] = {
      &vector.request.method,    &vector.request.host,      &vector.request.target,
      &vector.signer.access_key, &vector.signer.secret_key, &vector.signer.session_token,
      &vector.signer.region,     &vector.signer.service,    &vector.header[1].name,
      &vector.header[1].value,   &vector.request.body_hash};
  *places[place] = cc_slice_text(text);
  int error = cc_sigv4(&vector.request, "\n", &lines);
  assert_true(error ? lines.size == 0 : lines.size > 0);
  cc_buffer_free(&lines);
  free(vector.text);
  return error;
}

static void odd_texts(void **state) {
  (void)state;
  static const char *const odd[PLACES][4] = {
      [METHOD] = {"", "G T", "G\nT"},
      [HOST] = {"", "a b", "a\r\nb"},
      [TARGET] = {"", "a", "/a\nb"},
      [KEY] = {"", "A/B", "A\nB", "A B"},
      [SECRET_KEY] = {""},
      [TOKEN] = {"a\nb", "a\x7f"},
      [REGION] = {"", "a/b", "a,b"},
      [SERVICE] = {"", "a/b", "a b"},
      [NAME] = {"", "a b", "a:b"},
      [VALUE] = {"a\r\nb", "a\x01"},
      [HASH] = {"00", "UNSIGNED",
                "E3B0C44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
  };
  for (int place = 0; place < PLACES; place++)
    for (int i = 0; i < 4 && odd[place][i]; i++)
      if (sign_odd(place, odd[place][i]) != CC_EINVAL) fail_msg("place %d, %d", place, i);
  assert_int_equal(sign_odd(VALUE, "a\tb"), CC_OK);
  assert_int_equal(sign_odd(TOKEN, ""), CC_OK);
  assert_int_equal(sign_odd(HASH, ""), CC_OK);
}

static void odd_times(void **state) {
  (void)state;
  struct vector vector;
  struct cc_buffer lines = {0};
  static const double times[] = {-1, 253402300800e3, INFINITY, NAN};
  start(&vector, "GET / HTTP/1.1\nHost:h.example");
  for (size_t i = 0; i < 4; i++) {
    vector.request.time_ms = times[i];
    assert_int_equal(cc_sigv4(&vector.request, "\n", &lines), CC_EINVAL);
    assert_int_equal(lines.size, 0);
  }
  free(vector.text);
}

// ---- cc_sign -----------------------------------------------------------------------------------

static void signs_requests_of_our_own(void **state) {
  (void)state;
  struct vector vector;
  char *out;
  uint32_t size;
  start(&vector, "POST /a:b?z=1&a HTTP/1.1\nHost:h.example\nContent-Type:text/plain\n"
                 "X-Amz-Target: T\nAccept:*/*\n\nbody");
  vector.signer.session_token = cc_slice_text("CANARY7f3a9d");
  struct cc_buffer expected = {0};
  assert_int_equal(cc_sigv4(&vector.request, "\n", &expected), CC_OK);
  static const char headers[] = "Content-Type: text/plain\r\nX-Amz-Target:T\nAccept: */*\n";
  assert_int_equal(cc_sign(&vector.signer, vector.request.time_ms, "POST", "h.example",
                           "/a:b?z=1&a", headers, "body", 4, &out, &size),
                   CC_OK);
  assert_int_equal(size, expected.size);
  assert_memory_equal(out, expected.data, size);
  cc_free(out);
  const double now = vector.request.time_ms;
  assert_int_equal(cc_sign(&vector.signer, now, "GET", "h", "/", "", NULL, 0, &out, &size), CC_OK);
  cc_free(out);
  assert_int_equal(cc_sign(&vector.signer, now, "GET", "h", "/", "no colon\n", "", 0, &out, &size),
                   CC_EINVAL);
  assert_int_equal(cc_sign(&vector.signer, now, "GET", "h", "/", "a: b\rc\n", "", 0, &out, &size),
                   CC_EINVAL);
  cc_buffer_free(&expected);
  free(vector.text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cases),
      cmocka_unit_test(paths),
      cmocka_unit_test(queries),
      cmocka_unit_test(clock_is_the_services),
      cmocka_unit_test(own_headers_are_passed_over),
      cmocka_unit_test(nothing_else_is_sent),
      cmocka_unit_test(odd_texts),
      cmocka_unit_test(odd_times),
      cmocka_unit_test(signs_requests_of_our_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
