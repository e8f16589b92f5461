// SPDX-License-Identifier: Apache-2.0
// Signed attempts: the body is hashed in pieces before anything is sent, and an attempt that ends
// meanwhile ends cleanly.
#include "api/error.h"
#include "api/request.h"
#include "api/util.h"
#include "exchange/exchange_internal.h"
#include "support/stage.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT(literal) {literal, sizeof literal - 1}
#define OK_HEAD       "HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n"

static const struct cc_signer signer = {TEXT("AKIDCANARY7f3a9d"),  TEXT("secretCANARY7f3a9d"),
                                        TEXT("tokenCANARY7f3a9d"), TEXT("us-east-1"),
                                        TEXT("bedrock"),           0};
static const struct peer_reply good = {OK_HEAD "{\"content\":[]}", 0, PEER_KEEP};
static const struct peer_reply never = {"", 0, PEER_HANG};
static const char target[] = "/model/a%3Ab/invoke";

enum { PIECE = CC_SIGNING_PIECE, LARGE = 16 * CC_SIGNING_PIECE };
static char bytes[LARGE];

static int make_bytes(void **state) {
  (void)state;
  alarm(200);
  for (size_t i = 0; i < LARGE; i++)
    bytes[i] = (char)('a' + i % 23 + i / 524287 % 3);
  return 0;
}

// ---- The stage ---------------------------------------------------------------------------------

enum asked { HASHING, DECIDED, RANG, OVER };
typedef void then_fn(struct stage *stage, cc_id id, int number, enum asked what);

struct plan {
  size_t size;   // of a body of its own; 0: the exchange's, with splices
  bool empty;    // a body of its own that is ""
  then_fn *then; // called when it was sent, has an outcome, the timer is due, is over
};

static int draft(struct stage *stage, cc_id id, const struct plan *plan) {
  struct cc_relay *relay = stage->relay;
  int number = cc_attempt_begin(relay, id, stage->origin[0], &stage->spec);
  assert_true(number >= 0);
  cc_attempt_target(relay, id, number, target, sizeof target - 1);
  cc_attempt_header(relay, id, number, "Content-Type", 12, "application/json", 16);
  cc_attempt_header(relay, id, number, "X-Amz-Date", 10, "20000101T000000Z", 16);
  cc_attempt_header(relay, id, number, "authorization", 13, "Bearer other", 12);
  if (plan->size || plan->empty)
    cc_attempt_replace(relay, id, number, bytes, (uint32_t)plan->size);
  else
    cc_attempt_set(relay, id, number, "added", 5, "[1]", 3);
  assert_int_equal(cc_attempt_sign(relay, id, number, &signer), CC_OK);
  return number;
}

static void start(struct stage *stage, cc_id id, const struct plan *plan) {
  int number = draft(stage, id, plan);
  assert_int_equal(cc_attempt_send(stage->relay, id, number), CC_OK);
  if (plan->then) plan->then(stage, id, number, HASHING);
}

static void handle(struct stage *stage, const struct plan *plan, const struct cc_event *event) {
  cc_id id = event->id;
  if (event->type == CC_EVENT_READY) cc_request_accept(stage->relay, id);
  if (event->type == CC_EVENT_BODY || (event->type == CC_EVENT_READY && event->detail))
    start(stage, id, plan);
  if (event->type == CC_EVENT_OUTCOME) {
    assert_int_equal(cc_outcome(stage->relay, id, event->detail, &stage->outcome[0]), CC_OK);
    stage->outcomes++;
    if (plan->then)
      plan->then(stage, id, event->detail, DECIDED);
    else
      assert_int_equal(cc_answer_outcome(stage->relay, id, event->detail, false), CC_OK);
  }
  if (event->type == CC_EVENT_TIMER && id) plan->then(stage, id, 0, RANG);
  if (event->type != CC_EVENT_DONE) return;
  cc_report(stage->relay, id, &stage->report);
  stage->exchanges++;
  if (plan->then) plan->then(stage, id, 0, OVER);
}

static struct peer_client *client;

// Sends one request of a client. Runs until the exchange is over or the relay is closed.
static void ask(struct stage *stage, const char *body, size_t size, const struct plan *plan) {
  struct cc_event event;
  struct cc_buffer request = {0};
  int before = stage->exchanges;
  stage->spec.stream = false;
  stage->spec.framing = CC_FRAMING_EVENTSTREAM;
  cc_buffer_printf(&request,
                   "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   size);
  cc_buffer_add(&request, body, size);
  if (client) peer_client_free(client);
  client = peer_client_start(stage->port, request.data, request.size, NULL);
  cc_buffer_free(&request);
  while (stage->exchanges == before && stage->relay && cc_next(stage->relay, &event))
    handle(stage, plan, &event);
}

static void close_stage(struct stage *stage) {
  if (!stage->relay) stage->relay = cc_open();
  stage_close(stage);
  peer_client_free(client);
  client = NULL;
}

// ---- What was sent -----------------------------------------------------------------------------

static const char *field(const char *head, const char *name, char *out, size_t capacity) {
  const char *at = strstr(head, name);
  assert_non_null(at);
  at += strlen(name);
  snprintf(out, capacity, "%.*s", (int)strcspn(at, "\r"), at);
  assert_null(strstr(at, name)); // once
  return out;
}

static double time_of(const char *date) {
  struct tm parts = {0};
  assert_int_equal(sscanf(date, "%4d%2d%2dT%2d%2d%2dZ", &parts.tm_year, &parts.tm_mon,
                          &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec),
                   6);
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return (double)timegm(&parts) * 1000;
}

// Signs again what the upstream got, hashing the body at once. Returns the time of the signature.
static double expect_signed(struct stage *stage, size_t size) {
  char date[64], host[64], authorization[1024], line[1100], *lines;
  uint32_t lines_size;
  size_t all;
  const char *got = peer_upstream_last(stage->upstream[0], &all);
  const char *body = strstr(got, "\r\n\r\n") + 4;
  assert_int_equal(all - (size_t)(body - got), size);
  char *head = strndup(got, (size_t)(body - got));
  double when = time_of(field(head, "\r\nx-amz-date: ", date, sizeof date));
  field(head, "\r\nHost: ", host, sizeof host);
  field(head, "\r\nauthorization: ", authorization, sizeof authorization);
  assert_null(strstr(head, "X-Amz-Date"));
  free(head);
  assert_int_equal(cc_sign(&signer, when, "POST", host, target, "Content-Type: application/json\n",
                           body, (uint32_t)size, &lines, &lines_size),
                   CC_OK);
  char *ended = strndup(lines, lines_size);
  snprintf(line, sizeof line, "authorization: %s\n", authorization);
  assert_non_null(strstr(ended, line));
  free(ended);
  cc_free(lines);
  return when;
}

static void bodies_of_every_size_are_hashed(void **state) {
  (void)state;
  static const size_t sizes[] = {0,         1,         PIECE - 1,     PIECE,
                                 PIECE + 1, 2 * PIECE, 3 * PIECE + 7, LARGE};
  struct stage stage;
  stage_open(&stage, &good, 1, &good, 1);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct plan plan = {.size = sizes[i], .empty = !sizes[i]};
    ask(&stage, "{}", 2, &plan);
    assert_int_equal(stage.report.error, CC_OK);
    assert_int_equal(stage.outcome[0].error, CC_OK);
    double age = cc_time() - expect_signed(&stage, sizes[i]);
    assert_true(age > -1000 && age < 60000);
  }
  close_stage(&stage);
}

// The exchange's own body, with splices before, at and behind the end of a piece.
static void edited_bodies_are_hashed(void **state) {
  (void)state;
  struct stage stage;
  stage_open(&stage, &good, 1, &good, 1);
  for (int before = -12; before <= 2; before += 7) {
    size_t size = (size_t)(PIECE + before);
    char *body = malloc(size);
    memset(body, 'x', size);
    memcpy(body, "{\"a\":\"", 6);
    memcpy(body + size - 2, "\"}", 2);
    struct plan plan = {0};
    ask(&stage, body, size, &plan);
    assert_int_equal(stage.outcome[0].error, CC_OK);
    expect_signed(&stage, size + 12);
    free(body);
  }
  close_stage(&stage);
}

// The pooled connection takes the request and dies a second later: on the next connection the request
// is signed again, with the later time and the same body.
static void a_retry_is_signed_again(void **state) {
  (void)state;
  static const struct peer_reply replies[] = {{OK_HEAD "{\"content\":[]}", 0, PEER_KEEP},
                                              {"", 0, PEER_LATE},
                                              {OK_HEAD "{\"content\":[]}", 0, PEER_KEEP}};
  struct plan plan = {.size = PIECE + 1};
  struct stage stage;
  stage_open(&stage, replies, 3, &good, 1);
  ask(&stage, "{}", 2, &plan);
  double first = cc_time();
  ask(&stage, "{}", 2, &plan);
  assert_int_equal(stage.outcome[0].error, CC_OK);
  assert_int_equal(peer_upstream_requests(stage.upstream[0]), 3);
  assert_true(expect_signed(&stage, PIECE + 1) > first);
  close_stage(&stage);
}

static void cannot_be_signed(struct stage *stage, cc_id id, int number, enum asked what) {
  struct cc_signer odd = signer;
  odd.region = (struct cc_slice){"us east", 7};
  if (what == HASHING) {
    assert_int_equal(cc_attempt_cancel(stage->relay, id, number), CC_OK);
    number = cc_attempt_begin(stage->relay, id, stage->origin[0], &stage->spec);
    cc_attempt_target(stage->relay, id, number, "/", 1);
    odd.secret_key.size = 0;
    assert_int_equal(cc_attempt_sign(stage->relay, id, number, &odd), CC_EINVAL);
    odd.secret_key = signer.secret_key;
    assert_int_equal(cc_attempt_sign(stage->relay, id, number, &odd), CC_OK);
    assert_int_equal(cc_attempt_send(stage->relay, id, number), CC_OK);
  }
  if (what == DECIDED) cc_answer(stage->relay, id, 503, "{}", 2);
}

static void a_request_that_cannot_be_signed_is_not_sent(void **state) {
  (void)state;
  struct plan plan = {.size = LARGE, .then = cannot_be_signed};
  struct stage stage;
  stage_open(&stage, &good, 1, &good, 1);
  ask(&stage, "{}", 2, &plan);
  assert_int_equal(stage.outcomes, 1);
  assert_int_equal(stage.outcome[0].error, CC_EINVAL);
  assert_false(stage.outcome[0].sent);
  assert_int_equal(peer_upstream_requests(stage.upstream[0]), 0);
  close_stage(&stage);
}

// ---- Ends while the hash is being taken --------------------------------------------------------

static void answer(struct stage *stage, cc_id id) {
  assert_int_equal(cc_answer(stage->relay, id, 503, "{}", 2), CC_OK);
}

static void cancels(struct stage *stage, cc_id id, int number, enum asked what) {
  assert_int_not_equal(what, DECIDED);
  if (what == RANG) answer(stage, id);
  if (what != HASHING) return;
  assert_int_equal(cc_attempt_cancel(stage->relay, id, number), CC_OK);
  assert_int_equal(cc_exchange_timer(stage->relay, id, 500), CC_OK); // by then it would be sent
}

static void answers_itself(struct stage *stage, cc_id id, int number, enum asked what) {
  struct cc_outcome outcome;
  assert_int_not_equal(what, DECIDED);
  if (what != HASHING) return;
  assert_int_equal(cc_outcome(stage->relay, id, number, &outcome), CC_ESTATE);
  answer(stage, id);
}

static void breaks(struct stage *stage, cc_id id, int number, enum asked what) {
  (void)number;
  assert_int_not_equal(what, DECIDED);
  if (what == HASHING) cc_answer_break(stage->relay, id, true, NULL, 0);
}

static void client_goes(struct stage *stage, cc_id id, int number, enum asked what) {
  (void)stage;
  (void)id;
  (void)number;
  assert_int_not_equal(what, DECIDED);
  if (what == HASHING) peer_client_abort(client);
}

static void relay_goes(struct stage *stage, cc_id id, int number, enum asked what) {
  (void)id;
  (void)number;
  if (what != HASHING) return;
  cc_close(stage->relay);
  stage->relay = NULL;
}

static void places_are_taken(struct stage *stage, cc_id id, int number, enum asked what) {
  static const struct plan plan = {.size = LARGE};
  (void)number;
  assert_int_not_equal(what, DECIDED);
  if (what == RANG) answer(stage, id);
  if (what != HASHING) return;
  for (int i = 0; i < 5; i++)
    cc_attempt_send(stage->relay, id, draft(stage, id, &plan));
  for (int i = 0; i < 2; i++) // drafts, never sent
    draft(stage, id, &plan);
  cc_exchange_timer(stage->relay, id, 30);
}

static void ends_while_hashing(void **state) {
  (void)state;
  then_fn *const ways[] = {cancels,     answers_itself, breaks,
                           client_goes, relay_goes,     places_are_taken};
  for (size_t own = 0; own < 2; own++)
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
      struct plan plan = {.size = own ? LARGE : 0, .then = ways[i]};
      struct stage stage;
      char *body = malloc(LARGE);
      memset(body, ' ', LARGE);
      body[0] = '{';
      body[LARGE - 1] = '}';
      stage_open(&stage, &never, 1, &never, 1);
      ask(&stage, own ? "{}" : body, own ? 2 : LARGE, &plan);
      assert_int_equal(peer_upstream_requests(stage.upstream[0]), 0);
      close_stage(&stage);
      free(body);
    }
}

// The other attempt is chosen, and the body of both is freed, while one is still hashing.
static void races(struct stage *stage, cc_id id, int number, enum asked what) {
  if (what == DECIDED) {
    assert_int_equal(number, 1);
    struct cc_exchange *exchange = cc_exchange_find(stage->relay, id);
    assert_int_equal(exchange->attempts[0]->phase, CC_HASHING);
    assert_int_equal(cc_answer_outcome(stage->relay, id, number, false), CC_OK);
    assert_null(exchange->request.body.data);
    assert_int_equal(cc_exchange_timer(stage->relay, id, 100), CC_OK);
  }
  if (what == RANG) peer_client_abort(client);
  if (what != HASHING) return;
  struct cc_attempt_spec spec = {.framing = CC_FRAMING_OPAQUE};
  int other = cc_attempt_begin(stage->relay, id, stage->origin[1], &spec);
  assert_int_equal(other, 1);
  cc_attempt_method(stage->relay, id, other, "GET", 3);
  cc_attempt_target(stage->relay, id, other, "/", 1);
  cc_attempt_replace(stage->relay, id, other, "", 0);
  assert_int_equal(cc_attempt_send(stage->relay, id, other), CC_OK);
}

static void another_may_be_chosen_while_hashing(void **state) {
  (void)state;
  enum { SIZE = 30 * 1024 * 1024 };
  static const struct peer_reply begun = {"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"ok\":1",
                                          0, PEER_HANG};
  struct plan plan = {.then = races};
  struct stage stage;
  char *body = malloc(SIZE);
  memset(body, ' ', SIZE);
  body[0] = '{';
  body[SIZE - 1] = '}';
  stage_open(&stage, &never, 1, &begun, 1);
  ask(&stage, body, SIZE, &plan);
  assert_int_equal(stage.outcomes, 1);
  assert_non_null(strstr(peer_client_wait(client, NULL, NULL), "{\"ok\":1"));
  close_stage(&stage);
  free(body);
}

// ---- What a long answer keeps ------------------------------------------------------------------

static void looks_for_the_signer(struct stage *stage, cc_id id, int number, enum asked what) {
  if (what != DECIDED) return;
  struct cc_attempt *attempt = cc_exchange_find(stage->relay, id)->attempts[number];
  assert_non_null(attempt->signing);
  assert_int_equal(cc_answer_outcome(stage->relay, id, number, false), CC_OK);
  assert_null(attempt->signing);
}

static void an_answer_under_way_keeps_no_secret(void **state) {
  (void)state;
  struct plan plan = {.size = 10, .then = looks_for_the_signer};
  struct stage stage;
  stage_open(&stage, &good, 1, &good, 1);
  ask(&stage, "{}", 2, &plan);
  assert_int_equal(stage.report.error, CC_OK);
  close_stage(&stage);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bodies_of_every_size_are_hashed),
      cmocka_unit_test(edited_bodies_are_hashed),
      cmocka_unit_test(a_retry_is_signed_again),
      cmocka_unit_test(a_request_that_cannot_be_signed_is_not_sent),
      cmocka_unit_test(ends_while_hashing),
      cmocka_unit_test(another_may_be_chosen_while_hashing),
      cmocka_unit_test(an_answer_under_way_keeps_no_secret),
  };
  return cmocka_run_group_tests(tests, make_bytes, NULL);
}
