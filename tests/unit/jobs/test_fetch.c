// SPDX-License-Identifier: Apache-2.0
// Requests of the relay's own: what is sent, what is told, and how they end.
#include "api/attempt.h"
#include "api/error.h"
#include "api/job.h"
#include "api/loop.h"
#include "support/peer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct result {
  int error, status;
  char body[256], detail[128];
};

static struct cc_relay *relay;
static struct peer_upstream *upstream;
static int origin;

static struct cc_slice text(const char *bytes) {
  return (struct cc_slice){bytes, (uint32_t)strlen(bytes)};
}

static int begin(void **state) {
  (void)state;
  alarm(60);
  relay = cc_open();
  upstream = NULL;
  return 0;
}

static int end(void **state) {
  (void)state;
  cc_close(relay);
  if (upstream) peer_upstream_stop(upstream);
  return 0;
}

static void serve(const struct peer_reply *replies, int count) {
  upstream = peer_upstream_start(replies, count);
  struct cc_origin spec = {.host = text("127.0.0.1"), .port = peer_upstream_port(upstream)};
  origin = cc_origin(relay, &spec);
  assert_true(origin >= 0);
}

static struct cc_fetch get(void) {
  return (struct cc_fetch){.origin = origin,
                           .method = text("GET"),
                           .target = text("/token?a=1"),
                           .headers = text("Accept: application/json\nX-Key: CANARY7f3a9d\n"),
                           .timeout_ms = 20000,
                           .answer_bytes = 100};
}

static void copy(char *out, size_t capacity, struct cc_slice from) {
  assert_true(from.size < capacity);
  if (from.size) memcpy(out, from.data, from.size);
  out[from.size] = '\0';
}

// Leaves the event just returned, so that headers can be asked for.
static struct result fetch(const struct cc_fetch *spec, cc_id *id) {
  struct cc_event event;
  struct cc_fetched got;
  struct result result;
  *id = cc_fetch(relay, spec);
  assert_true(*id > 0);
  do
    assert_true(cc_next(relay, &event));
  while (event.type != CC_EVENT_FETCH);
  assert_true(event.id == *id);
  assert_int_equal(cc_fetched(relay, *id, &got), CC_OK);
  result.error = got.error;
  result.status = got.status;
  copy(result.body, sizeof result.body, got.body);
  copy(result.detail, sizeof result.detail, got.detail);
  return result;
}

static void expect(const struct peer_reply *reply, int error, int status, const char *body) {
  cc_id id;
  serve(reply, 1);
  struct cc_fetch spec = get();
  struct result got = fetch(&spec, &id);
  assert_int_equal(got.error, error);
  assert_int_equal(got.status, status);
  assert_string_equal(got.body, body);
}

static void an_answer_comes_with_its_headers(void **state) {
  (void)state;
  static const struct peer_reply reply = {"HTTP/1.1 200 OK\r\nX-Expires: 12\r\nx-empty:\r\n"
                                          "content-length: 13\r\n\r\n{\"token\":\"t\"}",
                                          0, PEER_KEEP};
  cc_id id;
  struct cc_slice value;
  struct cc_fetched got;
  struct cc_event event;
  serve(&reply, 1);
  struct cc_fetch spec = get();
  struct result result = fetch(&spec, &id);
  assert_int_equal(result.error, CC_OK);
  assert_int_equal(result.status, 200);
  assert_string_equal(result.body, "{\"token\":\"t\"}");
  assert_string_equal(result.detail, "");
  assert_int_equal(cc_fetched_header(relay, id, "x-expires", 9, &value), CC_OK);
  assert_int_equal(value.size, 2);
  assert_memory_equal(value.data, "12", 2);
  assert_int_equal(cc_fetched_header(relay, id, "x-empty", 7, &value), CC_OK);
  assert_int_equal(value.size, 0);
  assert_int_equal(cc_fetched_header(relay, id, "x-other", 7, &value), CC_ENOTFOUND);
  assert_int_equal(cc_timer(relay, 0, 0), CC_OK);
  assert_true(cc_next(relay, &event));
  assert_int_equal(cc_fetched(relay, id, &got), CC_ESTALE);
  assert_int_equal(cc_fetched_header(relay, id, "x-expires", 9, &value), CC_ESTALE);
}

static void a_get_is_sent_as_asked(void **state) {
  (void)state;
  static const struct peer_reply reply = {"HTTP/1.1 204 No\r\n\r\n", 0, PEER_KEEP};
  size_t size;
  expect(&reply, CC_OK, 204, "");
  const char *sent = peer_upstream_last(upstream, &size);
  assert_memory_equal(sent, "GET /token?a=1 HTTP/1.1\r\nHost: 127.0.0.1", 40);
  assert_non_null(strstr(sent, "\r\nAccept: application/json\r\nX-Key: CANARY7f3a9d\r\n"));
  assert_non_null(strstr(sent, "\r\nAccept-Encoding: identity\r\n\r\n"));
  assert_null(strstr(sent, "Content-Length"));
}

static void a_post_has_its_body(void **state) {
  (void)state;
  static const struct peer_reply replies[] = {
      {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 0, PEER_KEEP},
      {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n", 0, PEER_KEEP}};
  cc_id id;
  size_t size;
  serve(replies, 2);
  struct cc_fetch spec = get();
  spec.method = text("POST");
  spec.headers = text("");
  spec.body.size = 200000;
  spec.body.data = memset(malloc(spec.body.size), 'b', spec.body.size);
  struct result got = fetch(&spec, &id);
  assert_string_equal(got.body, "{}");
  const char *sent = peer_upstream_last(upstream, &size);
  assert_non_null(strstr(sent, "\r\nContent-Length: 200000\r\n\r\nbbbb"));
  const char *body = strstr(sent, "\r\n\r\n") + 4;
  assert_int_equal(size - (size_t)(body - sent), spec.body.size);
  assert_memory_equal(body, spec.body.data, spec.body.size);
  free((void *)spec.body.data);
  spec.body = text("");
  got = fetch(&spec, &id); // over a connection of its own
  assert_string_equal(got.body, "[1]");
  assert_non_null(strstr(peer_upstream_last(upstream, &size), "\r\nContent-Length: 0\r\n"));
  assert_int_equal(peer_upstream_connections(upstream), 2);
}

static void a_head_has_no_body(void **state) {
  (void)state;
  static const struct peer_reply reply = {"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", 0,
                                          PEER_KEEP};
  cc_id id;
  serve(&reply, 1);
  struct cc_fetch spec = get();
  spec.method = text("HEAD");
  struct result got = fetch(&spec, &id);
  assert_int_equal(got.error, CC_OK);
  assert_int_equal(got.status, 200);
}

static void a_redirect_is_not_followed(void **state) {
  (void)state;
  static const struct peer_reply reply = {"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n"
                                          "content-length: 4\r\n\r\naway",
                                          0, PEER_KEEP};
  expect(&reply, CC_OK, 302, "away");
  assert_int_equal(peer_upstream_requests(upstream), 1);
}

static void an_error_status_is_an_answer(void **state) {
  (void)state;
  static const struct peer_reply reply = {"HTTP/1.1 401 No\r\ncontent-length: 4\r\n\r\nnope", 0,
                                          PEER_KEEP};
  expect(&reply, CC_OK, 401, "nope");
}

static void the_answer_has_a_bound(void **state) {
  (void)state;
  static const struct peer_reply replies[] = {
      {"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n12345", 0, PEER_KEEP},
      {"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n123456", 0, PEER_HANG},
      {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n1234\r\n4\r\n1234\r\n", 0,
       PEER_HANG}};
  const int errors[] = {CC_OK, CC_EBODY_SIZE, CC_EBODY_SIZE};
  cc_id id;
  serve(replies, 3);
  struct cc_fetch spec = get();
  spec.answer_bytes = 5;
  for (int i = 0; i < 3; i++) {
    struct result got = fetch(&spec, &id);
    assert_int_equal(got.error, errors[i]);
    assert_int_equal(got.status, 200);
  }
}

static void time_is_bounded_over_all(void **state) {
  (void)state;
  static const struct peer_reply replies[] = {
      {"", 0, PEER_HANG}, {"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", 0, PEER_HANG}};
  cc_id id;
  serve(replies, 2);
  struct cc_fetch spec = get();
  spec.timeout_ms = 80;
  for (int i = 0; i < 2; i++) {
    struct result got = fetch(&spec, &id);
    assert_int_equal(got.error, CC_ETOTAL_TIMEOUT);
    assert_int_equal(got.status, i ? 200 : 0);
  }
}

static void a_refused_connection_is_told(void **state) {
  (void)state;
  cc_id id;
  struct cc_origin closed = {.host = text("127.0.0.1"), .port = 1};
  origin = cc_origin(relay, &closed);
  struct cc_fetch spec = get();
  struct result got = fetch(&spec, &id);
  assert_int_equal(got.error, CC_EREFUSED);
  assert_int_equal(got.status, 0);
}

static void a_cut_answer_is_an_error(void **state) {
  (void)state;
  static const struct peer_reply reply = {"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", 0,
                                          PEER_CLOSE};
  expect(&reply, CC_EEOF, 200, "half");
}

static void no_http_is_an_error(void **state) {
  (void)state;
  static const struct peer_reply reply = {"SSH-2.0-none\r\n\r\n", 0, PEER_CLOSE};
  expect(&reply, CC_EHTTP, 0, "");
}

static void nonsense_is_refused(void **state) {
  (void)state;
  static const char *const headers[] = {
      "X-A: 1",    "X-A:1\n",      "no colon\n",          ": 1\n",
      "X A: 1\n",  "X-A: 1\r\n\n", "Connection: close\n", "Content-Length: 1\n",
      "X-A: 1\n\n"};
  struct cc_fetch spec = get();
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    spec.headers = text(headers[i]);
    assert_true(cc_fetch(relay, &spec) == CC_EINVAL);
  }
  spec = get();
  spec.method = text("GE T");
  assert_true(cc_fetch(relay, &spec) == CC_EINVAL);
  spec = get();
  spec.target = text("/a b");
  assert_true(cc_fetch(relay, &spec) == CC_EINVAL);
}

static void closing_ends_what_is_under_way(void **state) {
  (void)state;
  static const struct peer_reply reply = {"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", 0,
                                          PEER_HANG};
  struct cc_event event;
  serve(&reply, 1);
  struct cc_fetch spec = get();
  assert_true(cc_fetch(relay, &spec) > 0);
  while (!peer_upstream_requests(upstream)) {
    cc_timer(relay, 0, 5);
    assert_true(cc_next(relay, &event));
  }
  assert_true(cc_fetch(relay, &spec) > 0); // has hardly begun
  cc_close(relay);
  relay = cc_open(); // the upstream's threads end, or the test hangs
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(an_answer_comes_with_its_headers, begin, end),
      cmocka_unit_test_setup_teardown(a_get_is_sent_as_asked, begin, end),
      cmocka_unit_test_setup_teardown(a_post_has_its_body, begin, end),
      cmocka_unit_test_setup_teardown(a_head_has_no_body, begin, end),
      cmocka_unit_test_setup_teardown(a_redirect_is_not_followed, begin, end),
      cmocka_unit_test_setup_teardown(an_error_status_is_an_answer, begin, end),
      cmocka_unit_test_setup_teardown(the_answer_has_a_bound, begin, end),
      cmocka_unit_test_setup_teardown(time_is_bounded_over_all, begin, end),
      cmocka_unit_test_setup_teardown(a_refused_connection_is_told, begin, end),
      cmocka_unit_test_setup_teardown(a_cut_answer_is_an_error, begin, end),
      cmocka_unit_test_setup_teardown(no_http_is_an_error, begin, end),
      cmocka_unit_test_setup_teardown(nonsense_is_refused, begin, end),
      cmocka_unit_test_setup_teardown(closing_ends_what_is_under_way, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
