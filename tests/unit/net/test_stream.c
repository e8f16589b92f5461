// SPDX-License-Identifier: Apache-2.0
#include "net/pair.h"
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIG = 8 << 20 };

static int descriptor(const struct end *end) {
  int fd = -1;
  uv_fileno(&end->stream.uv.handle, &fd);
  return fd;
}

static void has_nodelay(const struct end *end) {
  int value = 0;
  socklen_t size = sizeof value;
  assert_int_equal(getsockopt(descriptor(end), IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
  assert_int_equal(value, 1);
}

static void bytes_go_both_ways(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  has_nodelay(&pair->client);
  has_nodelay(&pair->peer);
  end_listen(&pair->client);
  end_listen(&pair->peer);
  assert_int_equal(end_say(&pair->client, "question"), CC_OK);
  RUN_UNTIL(pair, end_has(&pair->peer, "question"));
  assert_int_equal(end_say(&pair->peer, "answer"), CC_OK);
  RUN_UNTIL(pair, end_has(&pair->client, "answer"));
  assert_int_equal(pair->client.stream.queued, 0);
  assert_int_equal(pair->client.drains, 0);
  pair_free(pair);
}

static void a_closed_port_refuses(void **state) {
  (void)state;
  struct pair *pair = pair_new();
  pair_listen(pair);
  uv_close((uv_handle_t *)&pair->server, NULL);
  pair->listening = false;
  uv_run(&pair->loop, UV_RUN_NOWAIT);
  pair_connect(pair);
  RUN_UNTIL(pair, pair->client.readies);
  assert_int_equal(pair->client.ready_error, CC_EREFUSED);
  assert_string_equal(cc_stream_detail(&pair->client.stream), "connection refused");
  assert_int_not_equal(end_say(&pair->client, "x"), CC_OK);
  idle(pair);
  assert_int_equal(pair->client.readies, 1);
  assert_int_equal(pair->client.ends, 0);
  pair_free(pair);
}

static void a_lack_of_descriptors_is_told_apart(void **state) {
  (void)state;
  struct rlimit before, few;
  struct pair *pair = pair_new();
  pair_listen(pair);
  getrlimit(RLIMIT_NOFILE, &before);
  few = before;
  few.rlim_cur = 0;
  setrlimit(RLIMIT_NOFILE, &few);
  pair_connect(pair);
  setrlimit(RLIMIT_NOFILE, &before);
  RUN_UNTIL(pair, pair->client.readies);
  assert_int_equal(pair->client.ready_error, CC_EROOM);
  pair_free(pair);
}

// The system refuses at once: told later all the same.
static void an_impossible_address_is_told_later(void **state) {
  (void)state;
  struct pair *pair = pair_new();
  memset(&pair->address, 0, sizeof pair->address);
  pair->address.sin_family = AF_UNIX;
  pair->client.in_call = true;
  uv_ip4_addr("255.255.255.255", 9, &pair->address);
  assert_int_equal(cc_stream_connect(&pair->client.stream, &pair->loop,
                                     (struct sockaddr *)&pair->address, &end_events),
                   CC_OK);
  pair->client.in_call = false;
  assert_int_equal(pair->client.readies, 0);
  RUN_UNTIL(pair, pair->client.readies);
  assert_int_equal(pair->client.ready_error, CC_ECONNECT);
  pair_free(pair);
}

static void many_parts_arrive_in_order(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  struct cc_slice parts[50];
  char text[50], expected[51] = "";
  size_t size = 0;
  for (unsigned i = 0; i < 50; i++) {
    text[i] = (char)('!' + i);
    parts[i] = cc_slice(&text[i], i % 7 != 3);
    if (i % 7 != 3) expected[size++] = text[i];
  }
  end_listen(&pair->peer);
  assert_int_equal(cc_stream_write(&pair->client.stream, parts, 50), CC_OK);
  RUN_UNTIL(pair, pair->peer.got.size == size);
  assert_memory_equal(pair->peer.got.data, expected, size);
  pair_free(pair);
}

static void what_the_system_refuses_is_queued(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  char *bytes = pattern(BIG);
  struct cc_slice parts[3] = {{bytes, 5}, {bytes + 5, BIG / 2}, {bytes + 5 + BIG / 2, BIG / 2 - 5}};
  assert_int_equal(cc_stream_write(&pair->client.stream, parts, 3), CC_OK);
  size_t first = pair->client.stream.queued;
  assert_true(first > 0 && first < BIG);
  assert_int_equal(end_write(&pair->client, bytes, 1000), CC_OK);
  assert_int_equal(pair->client.stream.queued, first + 1000);
  idle(pair);
  assert_int_equal(pair->client.drains, 0);
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->peer.got.size == BIG + 1000);
  assert_memory_equal(pair->peer.got.data, bytes, BIG);
  assert_memory_equal(pair->peer.got.data + BIG, bytes, 1000);
  RUN_UNTIL(pair, pair->client.drains);
  idle(pair);
  assert_int_equal(pair->client.drains, 1);
  assert_int_equal(pair->client.stream.queued, 0);
  free(bytes);
  pair_free(pair);
}

static void queued_falls_as_the_peer_reads(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  small_steps(pair);
  char *bytes = pattern(BIG);
  end_write(&pair->client, bytes, BIG);
  size_t before = pair->client.stream.queued;
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->client.stream.queued < before);
  assert_true(pair->client.stream.queued > 0);
  assert_true(pair->client.stream.queued + pair->peer.got.size <= BIG);
  free(bytes);
  pair_free(pair);
}

static void pause_after_first(struct end *end) {
  cc_stream_pause(&end->stream);
}

static void pause_holds_everything(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  char *bytes = pattern(1 << 20);
  pair->peer.on_read = pause_after_first;
  end_listen(&pair->peer);
  end_write(&pair->client, bytes, 1 << 20);
  RUN_UNTIL(pair, pair->peer.reads);
  idle(pair);
  assert_int_equal(pair->peer.reads, 1);
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->peer.reads == 2);
  pair->peer.on_read = NULL;
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->peer.got.size == 1 << 20);
  assert_memory_equal(pair->peer.got.data, bytes, 1 << 20);
  free(bytes);
  pair_free(pair);
}

static void fin_is_a_clean_end_and_writing_goes_on(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  end_listen(&pair->client);
  end_listen(&pair->peer);
  shutdown(descriptor(&pair->client), SHUT_WR);
  RUN_UNTIL(pair, pair->peer.ends);
  assert_int_equal(pair->peer.end_error, CC_OK);
  assert_int_equal(end_say(&pair->peer, "late answer"), CC_OK);
  RUN_UNTIL(pair, end_has(&pair->client, "late answer"));
  assert_int_equal(pair->peer.ends, 1);
  pair_free(pair);
}

static void rst_is_a_reset(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  end_listen(&pair->client);
  cc_stream_reset(&pair->peer.stream);
  RUN_UNTIL(pair, pair->client.ends);
  assert_int_equal(pair->client.end_error, CC_ERESET);
  assert_int_equal(end_say(&pair->client, "x"), CC_ERESET);
  idle(pair);
  assert_int_equal(pair->client.ends, 1);
  pair_free(pair);
}

static void write_until_it_fails(struct pair *pair) {
  while (!pair->client.ends) {
    end_say(&pair->client, "x");
    step(pair);
  }
}

static void a_write_error_is_told_once_though_reading_is_off(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  cc_stream_reset(&pair->peer.stream);
  write_until_it_fails(pair);
  assert_int_equal(pair->client.end_error, CC_ERESET);
  assert_int_equal(end_say(&pair->client, "x"), CC_ERESET);
  idle(pair);
  assert_int_equal(pair->client.ends, 1);
  pair_free(pair);
}

static void sigpipe_is_ignored(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  struct sigaction now;
  sigaction(SIGPIPE, NULL, &now);
  assert_true(now.sa_handler == SIG_IGN);
  pair_free(pair);
}

static void an_answer_before_a_reset_is_read(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  end_say(&pair->peer, "answer");
  cc_stream_reset(&pair->peer.stream);
  RUN_UNTIL(pair, pair->peer.closes);
  uv_sleep(20);
  assert_int_equal(end_say(&pair->client, "more"), CC_OK);
  end_listen(&pair->client);
  RUN_UNTIL(pair, pair->client.ends);
  assert_int_equal(pair->client.end_error, CC_ERESET);
  assert_true(end_has(&pair->client, "answer"));
  assert_int_equal(pair->client.ends, 1);
  pair_free(pair);
}

static void a_reset_right_behind_bytes_is_no_clean_end(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  end_say(&pair->peer, "answer");
  cc_stream_reset(&pair->peer.stream);
  RUN_UNTIL(pair, pair->peer.closes);
  uv_sleep(20);
  end_listen(&pair->client);
  RUN_UNTIL(pair, pair->client.ends);
  assert_true(end_has(&pair->client, "answer"));
  assert_int_equal(pair->client.end_error, CC_ERESET);
  pair_free(pair);
}

static void pausing_does_not_hide_a_write_error(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  end_say(&pair->peer, "answer");
  cc_stream_reset(&pair->peer.stream);
  RUN_UNTIL(pair, pair->peer.closes);
  uv_sleep(20);
  end_say(&pair->client, "more");
  pair->client.on_read = pause_after_first;
  end_listen(&pair->client);
  RUN_UNTIL(pair, pair->client.ends);
  assert_int_equal(pair->client.end_error, CC_ERESET);
  pair_free(pair);
}

static void close_delivers_what_is_queued(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  char *bytes = pattern(BIG);
  end_write(&pair->client, bytes, BIG);
  assert_true(pair->client.stream.queued > 0);
  cc_stream_close(&pair->client.stream);
  cc_stream_close(&pair->client.stream);
  idle(pair);
  assert_int_equal(pair->client.closes, 0);
  assert_int_not_equal(end_say(&pair->client, "x"), CC_OK);
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->peer.ends);
  assert_int_equal(pair->peer.end_error, CC_OK);
  assert_int_equal(pair->peer.got.size, BIG);
  assert_memory_equal(pair->peer.got.data, bytes, BIG);
  RUN_UNTIL(pair, pair->client.closes);
  assert_int_equal(pair->client.drains + pair->client.ends, 0);
  free(bytes);
  pair_free(pair);
}

static void unread_bytes_do_not_spoil_a_close(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  char *bytes = pattern(100000);
  end_write(&pair->client, bytes, 100000);
  idle(pair);
  end_say(&pair->peer, "answer");
  cc_stream_close(&pair->peer.stream);
  RUN_UNTIL(pair, pair->peer.closes);
  end_listen(&pair->client);
  RUN_UNTIL(pair, pair->client.ends);
  assert_int_equal(pair->client.end_error, CC_OK);
  assert_true(end_has(&pair->client, "answer"));
  free(bytes);
  pair_free(pair);
}

static void close_does_not_wait_for_ever(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  char *bytes = pattern(BIG);
  end_write(&pair->client, bytes, BIG);
  cc_stream_close(&pair->client.stream);
  RUN_UNTIL(pair, pair->client.closes);
  assert_int_equal(pair->client.drains + pair->client.ends, 0);
  free(bytes);
  pair_free(pair);
}

static void reset_throws_away_what_is_queued(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  char *bytes = pattern(BIG);
  end_write(&pair->client, bytes, BIG);
  cc_stream_close(&pair->client.stream);
  cc_stream_reset(&pair->client.stream);
  RUN_UNTIL(pair, pair->client.closes);
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->peer.ends);
  assert_int_equal(pair->peer.end_error, CC_ERESET);
  assert_true(pair->peer.got.size < BIG);
  free(bytes);
  pair_free(pair);
}

static void close_in_read(struct end *end) {
  cc_stream_close(&end->stream);
}

static void nothing_is_told_after_close(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  char *bytes = pattern(1 << 20);
  pair->peer.on_read = close_in_read;
  end_listen(&pair->peer);
  end_write(&pair->client, bytes, 1 << 20);
  RUN_UNTIL(pair, pair->peer.closes);
  assert_int_equal(pair->peer.reads, 1);
  assert_int_equal(pair->peer.ends, 0);
  free(bytes);
  pair_free(pair);
}

static void closing_while_connecting(void **state) {
  (void)state;
  struct pair *pair = pair_new();
  pair_listen(pair);
  pair_connect(pair);
  cc_stream_close(&pair->client.stream);
  RUN_UNTIL(pair, pair->client.closes);
  assert_int_equal(pair->client.readies, 0);
  pair_free(pair);
}

static void the_peer_has_a_name(void **state) {
  (void)state;
  struct pair *pair = pair_plain();
  char text[48];
  cc_stream_peer(&pair->peer.stream, text, sizeof text);
  assert_string_equal(text, "127.0.0.1");
  cc_stream_peer(&pair->client.stream, text, 5);
  assert_true(strlen(text) < 5);
  pair_free(pair);
}

static void a_mapped_address_is_shown_plain(void **state) {
  (void)state;
  struct pair *pair = pair_new();
  struct sockaddr_in6 any;
  struct sockaddr_in6 bound;
  int size = sizeof bound;
  char text[48];
  uv_ip6_addr("::", 0, &any);
  uv_tcp_init(&pair->loop, &pair->server);
  pair->server.data = pair;
  pair->listening = true;
  if (uv_tcp_bind(&pair->server, (struct sockaddr *)&any, 0) != 0) {
    print_message("skipped: no IPv6 here\n");
  } else {
    assert_int_equal(uv_listen((uv_stream_t *)&pair->server, 8, pair_accept), 0);
    uv_tcp_getsockname(&pair->server, (struct sockaddr *)&bound, &size);
    uv_ip4_addr("127.0.0.1", ntohs(bound.sin6_port), &pair->address);
    pair_connect(pair);
    RUN_UNTIL(pair, pair->client.readies && pair->peer.stream.standing);
    cc_stream_peer(&pair->peer.stream, text, sizeof text);
    assert_string_equal(text, "127.0.0.1");
  }
  pair_free(pair);
}

static void unix_sockets_work(void **state) {
  (void)state;
  struct pair *pair = pair_new();
  char path[] = "/tmp/stream-XXXXXX", text[48];
  close(mkstemp(path));
  unlink(path);
  uv_pipe_init(&pair->loop, &pair->pipe_server, 0);
  pair->pipe_server.data = pair;
  pair->piping = true;
  assert_int_equal(uv_pipe_bind(&pair->pipe_server, path), 0);
  assert_int_equal(uv_listen((uv_stream_t *)&pair->pipe_server, 8, pair_accept), 0);
  uv_pipe_t client;
  uv_connect_t request;
  uv_pipe_init(&pair->loop, &client, 0);
  uv_pipe_connect(&request, &client, path, NULL);
  RUN_UNTIL(pair, pair->peer.stream.standing);
  cc_stream_peer(&pair->peer.stream, text, sizeof text);
  assert_string_equal(text, "unix");
  end_listen(&pair->peer);
  uv_buf_t word = uv_buf_init((char *)"hello", 5);
  assert_int_equal(uv_try_write((uv_stream_t *)&client, &word, 1), 5);
  RUN_UNTIL(pair, end_has(&pair->peer, "hello"));
  cc_stream_reset(&pair->peer.stream);
  RUN_UNTIL(pair, pair->peer.closes);
  uv_close((uv_handle_t *)&client, NULL);
  pair_free(pair);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes_go_both_ways),
      cmocka_unit_test(a_closed_port_refuses),
      cmocka_unit_test(a_lack_of_descriptors_is_told_apart),
      cmocka_unit_test(an_impossible_address_is_told_later),
      cmocka_unit_test(many_parts_arrive_in_order),
      cmocka_unit_test(what_the_system_refuses_is_queued),
      cmocka_unit_test(queued_falls_as_the_peer_reads),
      cmocka_unit_test(pause_holds_everything),
      cmocka_unit_test(fin_is_a_clean_end_and_writing_goes_on),
      cmocka_unit_test(rst_is_a_reset),
      cmocka_unit_test(a_write_error_is_told_once_though_reading_is_off),
      cmocka_unit_test(sigpipe_is_ignored),
      cmocka_unit_test(an_answer_before_a_reset_is_read),
      cmocka_unit_test(a_reset_right_behind_bytes_is_no_clean_end),
      cmocka_unit_test(pausing_does_not_hide_a_write_error),
      cmocka_unit_test(close_delivers_what_is_queued),
      cmocka_unit_test(unread_bytes_do_not_spoil_a_close),
      cmocka_unit_test(close_does_not_wait_for_ever),
      cmocka_unit_test(reset_throws_away_what_is_queued),
      cmocka_unit_test(nothing_is_told_after_close),
      cmocka_unit_test(closing_while_connecting),
      cmocka_unit_test(the_peer_has_a_name),
      cmocka_unit_test(a_mapped_address_is_shown_plain),
      cmocka_unit_test(unix_sockets_work),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
