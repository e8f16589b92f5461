// SPDX-License-Identifier: Apache-2.0
// Worker processes: forked, spoken to, killed and replaced.
#include "api/answer.h"
#include "api/error.h"
#include "api/listen.h"
#include "api/loop.h"
#include "api/process.h"
#include "base/log.h"
#include "shared/limit.h"
#include "shared/shared.h"
#include "support/peer.h"
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

static void book(void) {
  struct cc_reservation ticket;
  double wait_ms;
  cc_limit_reserve(cc_limit("limit", 5), 1000, 10, 20, &ticket, &wait_ms);
}

// What a worker does here: answers every request with its slot, echoes messages, ends on "end", reserves on "book".
static void work(struct cc_relay *relay, int slot) {
  struct cc_event event;
  struct cc_slice message;
  cc_accept(relay, 0, (uint32_t)slot);
  while (cc_next(relay, &event)) {
    if (event.type == CC_EVENT_READY)
      cc_answer(relay, event.id, 200, slot ? "one" : "zero", slot ? 3 : 4);
    if (event.type != CC_EVENT_MESSAGE) continue;
    cc_message(relay, &message);
    if (message.size == 3 && memcmp(message.data, "end", 3) == 0) _exit(7);
    if (message.size == 4 && memcmp(message.data, "book", 4) == 0) book();
    cc_send(relay, -1, message.data, message.size);
  }
  _exit(9);
}

static struct cc_relay *master(uint32_t workers) {
  cc_shared_close();
  assert_int_equal(cc_share(workers), CC_OK);
  struct cc_relay *relay = cc_open();
  struct cc_listen listen = {.host = {"127.0.0.1", 9}, .copies = workers};
  assert_int_equal(cc_listen(relay, &listen), 0);
  assert_int_equal(cc_signal(relay, SIGCHLD), CC_OK);
  return relay;
}

static void spawn(struct cc_relay **relay, uint32_t slot) {
  int result = cc_fork(relay, slot);
  assert_true(result >= 0);
  if (result == 1) work(*relay, (int)slot);
}

static void wait_for(struct cc_relay *relay, uint32_t type, struct cc_event *event) {
  do
    assert_true(cc_next(relay, event));
  while (event->type != type);
}

static void end(struct cc_relay *relay, int slots) {
  struct cc_event event;
  for (int slot = 0; slot < slots; slot++) {
    cc_kill((uint32_t)slot, SIGKILL);
    wait_for(relay, CC_EVENT_CHILD, &event);
  }
  cc_close(relay);
  cc_shared_close();
}

static void messages_go_both_ways(void **state) {
  (void)state;
  struct cc_relay *relay = master(2);
  struct cc_event event;
  struct cc_slice got;
  spawn(&relay, 0);
  spawn(&relay, 1);
  char *big = malloc(3000000);
  memset(big, 'm', 3000000);
  assert_int_equal(cc_send(relay, 1, "hello", 5), CC_OK);
  wait_for(relay, CC_EVENT_MESSAGE, &event);
  assert_int_equal(event.detail, 1);
  cc_message(relay, &got);
  assert_memory_equal(got.data, "hello", 5);
  assert_int_equal(cc_send(relay, 0, big, 3000000), CC_OK);
  assert_int_equal(cc_send(relay, 0, "", 0), CC_OK);
  wait_for(relay, CC_EVENT_MESSAGE, &event);
  cc_message(relay, &got);
  assert_int_equal(got.size, 3000000);
  assert_memory_equal(got.data, big, 3000000);
  wait_for(relay, CC_EVENT_MESSAGE, &event);
  cc_message(relay, &got);
  assert_int_equal(got.size, 0);
  assert_int_equal(cc_send(relay, 5, "x", 1), CC_ENOTFOUND);
  free(big);
  end(relay, 2);
}

static void an_end_is_told_with_its_status(void **state) {
  (void)state;
  struct cc_relay *relay = master(1);
  struct cc_event event;
  struct cc_worker worker;
  spawn(&relay, 0);
  assert_int_equal(cc_worker(0, &worker), CC_OK);
  assert_true(worker.pid > 0);
  cc_send(relay, 0, "end", 3);
  wait_for(relay, CC_EVENT_CHILD, &event);
  cc_worker(0, &worker);
  assert_int_equal(worker.status, 7);
  assert_int_equal(worker.pid, 0);
  spawn(&relay, 0);
  cc_kill(0, SIGKILL);
  wait_for(relay, CC_EVENT_CHILD, &event);
  cc_worker(0, &worker);
  assert_int_equal(worker.status, -SIGKILL);
  cc_close(relay);
  cc_shared_close();
}

// The processor time grows with what the worker does; there is none without a worker.
static void processor_time_is_that_of_the_worker(void **state) {
  (void)state;
  struct cc_relay *relay = master(1);
  struct cc_event event;
  assert_true(cc_worker_cpu(0) < 0);
  assert_true(cc_worker_cpu(1) < 0);
  spawn(&relay, 0);
  double before = cc_worker_cpu(0);
  assert_true(before >= 0);
  while (cc_worker_cpu(0) == before) {
    cc_send(relay, 0, "echo", 4);
    wait_for(relay, CC_EVENT_MESSAGE, &event);
  }
  cc_kill(0, SIGKILL);
  wait_for(relay, CC_EVENT_CHILD, &event);
  assert_true(cc_worker_cpu(0) < 0);
  end(relay, 0);
}

// The master keeps the sockets: who connects while no worker lives is served by the next one.
static void a_replacement_serves_who_waited(void **state) {
  (void)state;
  struct cc_relay *relay = master(1);
  struct cc_event event;
  uint16_t port = (uint16_t)cc_listener_port(relay, 0);
  spawn(&relay, 0);
  cc_kill(0, SIGKILL);
  wait_for(relay, CC_EVENT_CHILD, &event);
  struct peer_client *client = peer_client_start(port, request, strlen(request), NULL);
  spawn(&relay, 0);
  const char *got = peer_client_wait(client, NULL, NULL);
  assert_memory_equal(got, "HTTP/1.1 200", 12);
  peer_client_free(client);
  end(relay, 1);
}

static void both_workers_serve(void **state) {
  (void)state;
  struct cc_relay *relay = master(2);
  uint16_t port = (uint16_t)cc_listener_port(relay, 0);
  spawn(&relay, 0);
  spawn(&relay, 1);
  int seen[2] = {0, 0};
  for (int i = 0; i < 200 && !(seen[0] && seen[1]); i++) {
    struct peer_client *client = peer_client_start(port, request, strlen(request), NULL);
    const char *got = peer_client_wait(client, NULL, NULL);
    seen[strstr(got, "one") != NULL]++;
    peer_client_free(client);
  }
  assert_true(seen[0] && seen[1]);
  end(relay, 2);
}

// A process between this one and the worker is killed: the worker must not outlive it.
static void a_worker_dies_with_its_master(void **state) {
  (void)state;
  int pipes[2];
  assert_int_equal(pipe(pipes), 0);
  pid_t middle = fork();
  if (middle == 0) {
    struct cc_relay *relay = master(1);
    close(pipes[0]);
    if (cc_fork(&relay, 0) == 1) work(relay, 0); // keeps pipes[1] open as long as it lives
    if (write(pipes[1], "x", 1) != 1) _exit(1);
    for (;;)
      pause();
  }
  char byte;
  close(pipes[1]);
  assert_int_equal(read(pipes[0], &byte, 1), 1);
  kill(middle, SIGKILL);
  waitpid(middle, NULL, 0);
  assert_int_equal(read(pipes[0], &byte, 1), 0);
  close(pipes[0]);
}

static void what_it_had_reserved_comes_back(void **state) {
  (void)state;
  struct cc_relay *relay = master(1);
  struct cc_event event;
  struct cc_rates used;
  int limit = cc_limit("limit", 5);
  spawn(&relay, 0);
  assert_int_equal(cc_send(relay, 0, "book", 4), CC_OK);
  wait_for(relay, CC_EVENT_MESSAGE, &event);
  cc_limit_usage(limit, 1000, &used);
  assert_true(used.requests == 1);
  cc_kill(0, SIGKILL);
  wait_for(relay, CC_EVENT_CHILD, &event);
  cc_limit_usage(limit, 1000, &used);
  assert_true(used.requests == 0 && used.tokens == 0);
  end(relay, 0);
}

static bool can_connect(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool connected = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
  close(fd);
  return connected;
}

// A helper has a channel and a state like a worker, but no listening socket: when the master has closed its own, nobody
// can connect.
static void a_helper_has_a_channel_and_no_socket(void **state) {
  (void)state;
  struct cc_relay *relay = master(1);
  struct cc_event event;
  struct cc_worker facts;
  struct cc_slice got;
  uint16_t port = (uint16_t)cc_listener_port(relay, 0);
  assert_int_equal(cc_worker(CC_HELPER_SLOT, &facts), CC_OK);
  assert_int_equal(facts.pid, 0);
  assert_int_equal(cc_worker(CC_HELPER_SLOT + CC_HELPERS, &facts), CC_ENOTFOUND);
  spawn(&relay, CC_HELPER_SLOT);
  assert_int_equal(cc_worker(1, &facts), CC_ENOTFOUND);
  assert_int_equal(cc_send(relay, CC_HELPER_SLOT, "book", 4), CC_OK);
  wait_for(relay, CC_EVENT_MESSAGE, &event);
  assert_int_equal(event.detail, CC_HELPER_SLOT);
  cc_message(relay, &got);
  assert_memory_equal(got.data, "book", 4);
  assert_true(can_connect(port));
  cc_drain(relay);
  assert_false(can_connect(port));
  cc_kill(CC_HELPER_SLOT, SIGKILL);
  wait_for(relay, CC_EVENT_CHILD, &event);
  assert_int_equal(event.detail, CC_HELPER_SLOT);
  cc_worker(CC_HELPER_SLOT, &facts);
  assert_int_equal(facts.status, -SIGKILL);
  end(relay, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_go_both_ways),
      cmocka_unit_test(an_end_is_told_with_its_status),
      cmocka_unit_test(processor_time_is_that_of_the_worker),
      cmocka_unit_test(a_replacement_serves_who_waited),
      cmocka_unit_test(both_workers_serve),
      cmocka_unit_test(a_worker_dies_with_its_master),
      cmocka_unit_test(what_it_had_reserved_comes_back),
      cmocka_unit_test(a_helper_has_a_channel_and_no_socket),
  };
  int result = cmocka_run_group_tests(tests, NULL, NULL);
  cc_log_close();
  return result;
}
