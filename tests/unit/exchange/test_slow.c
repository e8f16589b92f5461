// SPDX-License-Identifier: Apache-2.0
// Clients that read slowly or never; a policy's stream that never ends.
#include "api/error.h"
#include "api/loop.h"
#include "api/request.h"
#include "support/stage.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { BODY = 32 * 1024 * 1024, PAUSE_MS = 1600, IDLE_MS = 500 };

static const char request[] = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
                              "Connection: close\r\nContent-Length: 13\r\n\r\n{\"model\":\"m\"}";
static const struct peer_reply unused = {"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", 0,
                                         PEER_CLOSE};

// ---- A client that pauses ----------------------------------------------------------------------

struct client {
  pthread_t thread;
  int socket;
  bool reads;
  size_t got;
};

static void pause_ms(long ms) {
  nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void *read_late(void *data) {
  struct client *client = data;
  char bytes[65536];
  ssize_t got;
  pause_ms(PAUSE_MS);
  while (client->reads && (got = read(client->socket, bytes, sizeof bytes)) > 0)
    client->got += (size_t)got;
  return NULL;
}

static void connect_client(struct client *client, uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  int small = 4096;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  client->socket = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(client->socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  assert_int_equal(connect(client->socket, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(write(client->socket, request, sizeof request - 1), sizeof request - 1);
  pthread_create(&client->thread, NULL, read_late, client);
}

// ---- The relay ---------------------------------------------------------------------------------

static void begin(struct stage *stage, cc_id id) {
  int number = cc_attempt_begin(stage->relay, id, stage->origin[0], &stage->spec);
  cc_attempt_target(stage->relay, id, number, "/v1/messages", 12);
  assert_int_equal(cc_attempt_send(stage->relay, id, number), CC_OK);
}

static void run(struct stage *stage) {
  struct cc_event event = {0};
  alarm(60);
  while (event.type != CC_EVENT_DONE && cc_next(stage->relay, &event)) {
    if (event.type == CC_EVENT_READY) cc_request_accept(stage->relay, event.id);
    if (event.type == CC_EVENT_BODY || (event.type == CC_EVENT_READY && event.detail))
      begin(stage, event.id);
    if (event.type == CC_EVENT_OUTCOME)
      assert_int_equal(cc_answer_outcome(stage->relay, event.id, event.detail, false), CC_OK);
  }
  cc_report(stage->relay, event.id, &stage->report);
  alarm(0);
}

static void limit(struct stage *stage, uint32_t idle_ms, uint32_t write_ms) {
  struct cc_settings settings = stage->relay->settings;
  settings.idle_ms = idle_ms;
  stage->relay->bounds.write_ms = write_ms;
  cc_configure(stage->relay, &settings);
}

// Has a client ask for a large plain answer.
static void answer_late(struct stage *stage, struct client *client, uint32_t idle_ms,
                        uint32_t write_ms) {
  char *reply = malloc(BODY + 200);
  int head = snprintf(reply, 200, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n", BODY);
  memset(reply + head, ' ', BODY);
  memcpy(reply + head, "{}", 2);
  struct peer_reply large = {reply, (size_t)head + BODY, PEER_KEEP};
  stage_open(stage, &large, 1, &unused, 1);
  stage->spec.stream = false;
  limit(stage, idle_ms, write_ms);
  connect_client(client, stage->port);
  run(stage);
  cc_close(stage->relay);
  stage->relay = cc_open();
  pthread_join(client->thread, NULL);
  close(client->socket);
  stage_close(stage);
  free(reply);
}

static void a_client_may_pause_longer_than_an_upstream(void **state) {
  (void)state;
  struct stage stage;
  struct client client = {.reads = true};
  answer_late(&stage, &client, IDLE_MS, 20000);
  assert_int_equal(stage.report.error, CC_OK);
  assert_true(client.got > BODY);
}

static void a_client_that_never_reads_is_disconnected(void **state) {
  (void)state;
  struct stage stage;
  struct client client = {0};
  answer_late(&stage, &client, 20000, IDLE_MS);
  assert_int_equal(stage.report.error, CC_EWRITE_TIMEOUT);
}

// ---- A stream that a policy writes -------------------------------------------------------------

static void a_stream_of_the_policy_ends_with_its_total_time(void **state) {
  (void)state;
  struct stage stage;
  struct cc_event event = {0};
  struct cc_settings settings;
  stage_open(&stage, &unused, 1, &unused, 1);
  settings = stage.relay->settings;
  settings.total_ms = 150;
  cc_configure(stage.relay, &settings);
  struct peer_client *client = peer_client_start(stage.port, request, sizeof request - 1, NULL);
  alarm(20);
  while (event.type != CC_EVENT_DONE && cc_next(stage.relay, &event)) {
    if (event.type == CC_EVENT_READY) cc_request_accept(stage.relay, event.id);
    if (event.type == CC_EVENT_BODY || (event.type == CC_EVENT_READY && event.detail)) {
      assert_int_equal(cc_answer_begin(stage.relay, event.id, 200), CC_OK);
      cc_answer_write(stage.relay, event.id, "data: x\n\n", 9);
    }
  }
  cc_report(stage.relay, event.id, &stage.report);
  alarm(0);
  assert_int_equal(stage.report.error, CC_ETOTAL_TIMEOUT);
  bool complete;
  char *body = stage_body(peer_client_wait(client, NULL, NULL), &complete);
  assert_string_equal(body, "data: x\n\n");
  assert_false(complete);
  free(body);
  peer_client_free(client);
  stage_close(&stage);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_client_may_pause_longer_than_an_upstream),
      cmocka_unit_test(a_client_that_never_reads_is_disconnected),
      cmocka_unit_test(a_stream_of_the_policy_ends_with_its_total_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
