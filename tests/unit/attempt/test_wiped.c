// SPDX-License-Identifier: Apache-2.0
// Memory that held a credential of an attempt is wiped before it is freed: the test looks at every block
// that is freed. Growing a block counts as freeing it.
#include "api/error.h"
#include "api/job.h"
#include "api/loop.h"
#include "api/request.h"
#include "codec/http1.h"
#include "support/stage.h"
#include <dlfcn.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static _Thread_local bool watched;
static int found; // blocks that still held a credential

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OTHER_ALLOCATOR 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_ALLOCATOR 1
#endif

#ifndef OTHER_ALLOCATOR
static void look_at(const void *memory) {
  static const char canary[] = "CANARY7f3a9d";
  if (watched && memory && memmem(memory, malloc_usable_size((void *)memory), canary, 12)) found++;
}

void free(void *memory) {
  static void (*next)(void *);
  if (!next) next = (void (*)(void *))(uintptr_t)dlsym(RTLD_NEXT, "free");
  look_at(memory);
  next(memory);
}

void *realloc(void *memory, size_t size) {
  size_t before = memory ? malloc_usable_size(memory) : 0;
  void *made = malloc(size);
  if (made && memory) memcpy(made, memory, before < size ? before : size);
  if (made) free(memory);
  return made;
}
#endif

static bool is_emulated(void) { // then even the unused end of a block is checked
  const char *loaded = getenv("LD_PRELOAD");
  return loaded && strstr(loaded, "vgpreload");
}

// ---- Attempts with large credentials -----------------------------------------------------------

static const char request[] = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-App: cli\r\n"
                              "Authorization: Bearer CANARY7f3a9d\r\n"
                              "User-Agent: a client with a name that goes up as it came\r\n"
                              "Connection: close\r\nContent-Length: 13\r\n\r\n{\"model\":\"m\"}";
static const struct peer_reply good = {"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"ok\":1}", 0,
                                       PEER_KEEP};
static char token[3000];
static uint32_t token_size;

typedef void credential_fn(struct cc_relay *relay, cc_id id, int number);

static void sign(struct cc_relay *relay, cc_id id, int number) {
  struct cc_signer signer = {{"AKIDEXAMPLE", 11}, {"secretCANARY7f3a9d", 18},
                             {token, token_size}, {"us-east-1", 9},
                             {"bedrock", 7},      0};
  assert_int_equal(cc_attempt_sign(relay, id, number, &signer), CC_OK);
}

static void bear(struct cc_relay *relay, cc_id id, int number) {
  assert_int_equal(cc_attempt_header(relay, id, number, "authorization", 13, token, token_size),
                   CC_OK);
}

static void start(struct stage *stage, cc_id id, credential_fn *credential) {
  struct cc_relay *relay = stage->relay;
  int number = cc_attempt_begin(relay, id, stage->origin[0], &stage->spec);
  cc_attempt_target(relay, id, number, "/v1/messages", 12);
  cc_attempt_header(relay, id, number, "x-first", 7, "1", 1);
  credential(relay, id, number);
  for (char name[] = "x-a"; name[2] <= 'z'; name[2]++)
    cc_attempt_header(relay, id, number, name, 3, "a value of some length, so that there is more",
                      45);
  cc_attempt_pass_headers(relay, id, number, "", 0);
  assert_int_equal(cc_attempt_send(relay, id, number), CC_OK);
}

static void ask(struct stage *stage, credential_fn *credential) {
  struct cc_event event = {0};
  struct peer_client *client = peer_client_start(stage->port, request, sizeof request - 1, NULL);
  watched = !is_emulated();
  while (event.type != CC_EVENT_DONE && cc_next(stage->relay, &event)) {
    if (event.type == CC_EVENT_READY) cc_request_accept(stage->relay, event.id);
    if (event.type == CC_EVENT_BODY || (event.type == CC_EVENT_READY && event.detail))
      start(stage, event.id, credential);
    if (event.type == CC_EVENT_OUTCOME)
      cc_answer_outcome(stage->relay, event.id, event.detail, false);
  }
  cc_close(stage->relay);
  watched = false;
  stage->relay = cc_open();
  assert_non_null(strstr(peer_client_wait(client, NULL, NULL), "{\"ok\":1}"));
  peer_client_free(client);
}

static void nothing_of_it_stays(credential_fn *credential, uint32_t size) {
  struct stage stage;
  memset(token, 't', sizeof token);
  memcpy(token + size / 2, "CANARY7f3a9d", 12);
  token_size = size;
  found = 0;
  stage_open(&stage, &good, 1, &good, 1);
  stage.spec.stream = false;
  ask(&stage, credential);
  stage_close(&stage);
  assert_int_equal(found, 0);
}

static void tokens_are_wiped(void **state) {
  (void)state;
  for (uint32_t size = 100; size <= 3000; size += 290)
    nothing_of_it_stays(bear, size);
}

static void signers_are_wiped(void **state) {
  (void)state;
  for (uint32_t size = 100; size <= 3000; size += 290)
    nothing_of_it_stays(sign, size);
}

// ---- Attempts that are not chosen --------------------------------------------------------------

enum unused { FAILED, CANCELLED, SUPERSEDED, LEFT };

static void end_unused(struct stage *stage, cc_id id, enum unused how) {
  if (how == CANCELLED) assert_int_equal(cc_attempt_cancel(stage->relay, id, 0), CC_OK);
  for (int more = 0; how == SUPERSEDED && more < 3; more++)
    start(stage, id, bear);
  if (how != FAILED) cc_answer(stage->relay, id, 502, "{\"ok\":0}", 8);
}

static void ask_unused(struct stage *stage, enum unused how) {
  struct cc_event event = {0};
  struct peer_client *client = peer_client_start(stage->port, request, sizeof request - 1, NULL);
  watched = !is_emulated();
  while (event.type != CC_EVENT_DONE && cc_next(stage->relay, &event)) {
    if (event.type == CC_EVENT_READY) cc_request_accept(stage->relay, event.id);
    if (event.type == CC_EVENT_BODY || (event.type == CC_EVENT_READY && event.detail)) {
      start(stage, event.id, bear);
      cc_exchange_timer(stage->relay, event.id, 50); // by then it has been sent
    }
    if (event.type == CC_EVENT_TIMER && event.id) end_unused(stage, event.id, how);
    if (event.type == CC_EVENT_OUTCOME && how == FAILED)
      cc_answer(stage->relay, event.id, 502, "{\"ok\":0}", 8);
  }
  cc_close(stage->relay);
  watched = false;
  stage->relay = cc_open();
  assert_non_null(strstr(peer_client_wait(client, NULL, NULL), "{\"ok\":0}"));
  peer_client_free(client);
}

static void unused_attempts_are_wiped(void **state) {
  (void)state;
  static const struct peer_reply dies = {"HTTP/1.1 2", 0, PEER_RESET}, hangs = {"", 0, PEER_HANG};
  for (enum unused how = FAILED; how <= LEFT; how++) {
    struct stage stage;
    memset(token, 't', sizeof token);
    memcpy(token + 500, "CANARY7f3a9d", 12);
    token_size = 1000;
    found = 0;
    stage_open(&stage, how == FAILED ? &dies : &hangs, 1, &good, 1);
    stage.spec.stream = false;
    ask_unused(&stage, how);
    stage_close(&stage);
    assert_int_equal(found, 0);
  }
}

// ---- Requests and programs for credentials -----------------------------------------------------

static void finish_job(struct cc_relay *relay, cc_id id) {
  struct cc_event event = {0};
  struct cc_fetched got;
  assert_true(id > 0);
  while (event.type != CC_EVENT_FETCH && cc_next(relay, &event))
    continue;
  assert_int_equal(cc_fetched(relay, id, &got), CC_OK);
  assert_int_equal(got.error, CC_OK);
  assert_non_null(memmem(got.body.data, got.body.size, "CANARY7f3a9d", 12));
}

static void sources_of_credentials_are_wiped(void **state) {
  (void)state;
  static char reply[9000], line[3200];
  static const char echo[] = "printf\0%03000d CANARY7f3a9d\0001";
  struct peer_reply gives = {reply, 0, PEER_CLOSE};
  struct stage stage;
  memset(token, 't', sizeof token);
  memcpy(token + 2000, "CANARY7f3a9d", 12);
  snprintf(line, sizeof line, "authorization: Bearer %.2900s\nx-more: 1\n", token);
  snprintf(reply, sizeof reply,
           "HTTP/1.1 200 OK\r\nset-cookie: %.2900s\r\nx-more: 1\r\n\r\n%.2900s", token, token);
  found = 0;
  stage_open(&stage, &gives, 1, &good, 1);
  struct cc_fetch fetch = {stage.origin[0],       {"POST", 4}, {"/token", 6}, {line, strlen(line)},
                           {token, sizeof token}, 20000,       9000};
  struct cc_command command = {{echo, sizeof echo}, 20000, 9000};
  watched = !is_emulated();
  finish_job(stage.relay, cc_fetch(stage.relay, &fetch));
  finish_job(stage.relay, cc_run(stage.relay, &command));
  cc_close(stage.relay);
  watched = false;
  stage.relay = cc_open();
  stage_close(&stage);
  assert_int_equal(found, 0);
}

static void heads_that_come_in_pieces_are_wiped(void **state) {
  (void)state;
  static const struct cc_http1_limits limits = {65536, 100, 8192};
  struct cc_slice piece;
  found = 0;
  for (size_t cut = 1; cut < 90; cut += 11) {
    int step = CC_HTTP1_MORE;
    watched = !is_emulated();
    struct cc_http1 *parser = cc_http1_new(CC_HTTP1_REQUEST, &limits);
    for (size_t at = 0; step == CC_HTTP1_MORE; at += cut) {
      const char *data = request + at;
      size_t size = cut;
      step = cc_http1_next(parser, &data, &size, &piece);
    }
    cc_http1_free(parser);
    watched = false;
    assert_int_equal(step, CC_HTTP1_HEAD);
  }
  assert_int_equal(found, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tokens_are_wiped),
      cmocka_unit_test(unused_attempts_are_wiped),
      cmocka_unit_test(signers_are_wiped),
      cmocka_unit_test(sources_of_credentials_are_wiped),
      cmocka_unit_test(heads_that_come_in_pieces_are_wiped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
