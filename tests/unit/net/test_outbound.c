// SPDX-License-Identifier: Apache-2.0
// A connection that stands: what of a response is told, when, and that a user may pause, release
// or drop it in any call.
#include "loopback.h"

static const char FIXED[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
static const char CHUNKED[] = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                              "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";

static void finish(struct user *user, int peer, struct listener listener) {
  if (user->out) drop(user);
  cc_buffer_free(&user->body);
  close(peer);
  close(listener.fd);
}

// ---- Whole responses ---------------------------------------------------------------------------

static void a_response_is_told_in_order(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  int peer = open_message(&user, listener);
  peer_send(peer, FIXED);
  run_until(told(&user, 'e'));
  assert_string_equal(user.calls, "rhbe");
  assert_int_equal(user.status, 200);
  assert_false(user.reused);
  assert_body(&user, "hello");
  finish(&user, peer, listener);
}

static void a_response_may_come_byte_by_byte(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  int peer = open_message(&user, listener);
  for (size_t i = 0; i < sizeof CHUNKED - 1; i++) {
    assert_false(told(&user, 'e'));
    peer_send_bytes(peer, CHUNKED + i, 1);
    run_some();
  }
  assert_string_equal(user.calls, "rhbe");
  assert_body(&user, "hello");
  finish(&user, peer, listener);
}

static void interim_responses_are_swallowed(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  int peer = open_message(&user, listener);
  peer_send(peer, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n");
  run_some();
  assert_string_equal(user.calls, "r");
  peer_send(peer, FIXED);
  run_until(told(&user, 'e'));
  assert_string_equal(user.calls, "rhbe");
  assert_int_equal(user.status, 200);
  finish(&user, peer, listener);
}

static void the_answer_to_head_has_no_body(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  struct cc_slice text = cc_slice_text("HEAD / HTTP/1.1\r\nhost: x\r\n\r\n");
  int origin = plain_origin("127.0.0.1", listener.port);
  take(&user, origin, true);
  run_until(told(&user, 'r'));
  int peer = accept_from(listener);
  cc_outbound_begin(user.out, true);
  cc_outbound_write(user.out, &text, 1);
  peer_send(peer, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
  run_until(told(&user, 'e'));
  assert_string_equal(user.calls, "rhe");
  give_back(&user);
  assert_int_equal(cc_pool_idle(pool, origin), 1);
  struct user next = {0};
  take(&next, origin, false); // the next answer on it has a body again
  run_until(told(&next, 'r'));
  request(&next);
  peer_send(peer, FIXED);
  run_until(told(&next, 'e'));
  assert_body(&next, "hello");
  finish(&next, peer, listener);
}

static void a_body_may_end_with_the_connection(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  int peer = open_message(&user, listener);
  peer_send(peer, "HTTP/1.1 200 OK\r\n\r\nhello");
  run_until(told(&user, 'b'));
  assert_false(told(&user, 'e'));
  shutdown(peer, SHUT_WR);
  run_until(told(&user, 'e'));
  assert_string_equal(user.calls, "rhbe");
  assert_body(&user, "hello");
  finish(&user, peer, listener);
}

// ---- Broken responses --------------------------------------------------------------------------

struct fault {
  const char *bytes;
  const char *calls;
  int error;
  bool ends; // the peer closes after the bytes
};

static void broken_responses_fail(void **state) {
  (void)state;
  static const struct fault faults[] = {
      {"", "rf", CC_EEOF, true},
      {"H", "rf", CC_EEOF, true},
      {"HTTP/1.1 200 OK\r\ncontent-le", "rf", CC_EEOF, true},
      {"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "rhf", CC_EEOF, true},
      {"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", "rhbf", CC_EEOF, true},
      {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "rhbf", CC_EEOF,
       true},
      {"HTTP/1.1 100 Continue\r\n\r\n", "rf", CC_EEOF, true},
      {"SSH-2.0-x\r\n\r\n", "rf", CC_EHTTP, false},
      {"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", "rf", CC_EHTTP,
       false},
      {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", "rhf", CC_EHTTP, false},
      {"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", "rf",
       CC_EUPGRADE, false},
  };
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    struct listener listener = listen_any();
    struct user user = {0};
    int peer = open_message(&user, listener);
    peer_send(peer, faults[i].bytes);
    if (faults[i].ends) shutdown(peer, SHUT_WR);
    run_until(told(&user, 'f') || told(&user, 'e'));
    assert_string_equal(user.calls, faults[i].calls);
    assert_int_equal(user.error, faults[i].error);
    peer_await_end(peer);
    finish(&user, peer, listener);
  }
}

static void an_endless_head_is_cut_at_the_limit(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  int peer = open_message(&user, listener);
  char fill[1000];
  memset(fill, 'a', sizeof fill);
  peer_send(peer, "HTTP/1.1 200 OK\r\nx: ");
  for (int i = 0; i < 5; i++)
    peer_send_bytes(peer, fill, sizeof fill);
  run_until(told(&user, 'f'));
  assert_int_equal(user.error, CC_EHEAD_SIZE);
  finish(&user, peer, listener);
}

static void a_reset_is_told_as_such(void **state) {
  (void)state;
  static const char *const before[] = {"", "HTTP/1.1 200 OK\r\n",
                                       "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello"};
  for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
    struct listener listener = listen_any();
    struct user user = {0};
    int peer = open_message(&user, listener);
    peer_send(peer, before[i]);
    run_some();
    peer_reset(peer);
    run_until(told(&user, 'f'));
    assert_int_equal(user.error, CC_ERESET);
    cc_buffer_free(&user.body);
    close(listener.fd);
  }
}

static void bytes_that_nobody_asked_for_fail_the_connection(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  take(&user, plain_origin("127.0.0.1", listener.port), true);
  run_until(told(&user, 'r'));
  int peer = accept_from(listener);
  struct cc_slice text = cc_slice_text("x");
  assert_int_equal(cc_outbound_write(user.out, &text, 1), CC_ESTATE); // not begun
  peer_send(peer, "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n");
  run_until(told(&user, 'f'));
  assert_string_equal(user.calls, "rf");
  assert_int_equal(user.error, CC_ERESET);
  finish(&user, peer, listener);
}

// ---- Pausing -----------------------------------------------------------------------------------

static void pause_here(struct user *user) {
  cc_outbound_pause(user->out);
}

static void pausing_stops_in_the_middle_of_a_read(void **state) {
  (void)state;
  static const char *const calls[] = {"rhbe", "rh", "rhb"};
  for (int i = 1; i < 3; i++) {
    struct listener listener = listen_any();
    struct user user = {.act_at = "xhb"[i], .act = pause_here};
    int peer = open_message(&user, listener);
    peer_send(peer, CHUNKED);
    run_until(!user.act_at);
    run_some();
    assert_string_equal(user.calls, calls[i]);
    assert_int_equal(user.body.size, i == 1 ? 0 : 3); // the first chunk alone
    cc_outbound_resume(user.out);
    assert_string_equal(user.calls, calls[i]); // nothing from within
    run_until(told(&user, 'e'));
    assert_string_equal(user.calls, calls[0]);
    assert_body(&user, "hello");
    finish(&user, peer, listener);
  }
}

static void pausing_at_the_last_byte_holds_the_end(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'b', .act = pause_here};
  int peer = open_message(&user, listener);
  peer_send(peer, FIXED);
  run_until(told(&user, 'b'));
  run_some();
  assert_string_equal(user.calls, "rhb");
  cc_outbound_resume(user.out);
  run_until(told(&user, 'e'));
  finish(&user, peer, listener);
}

static void pause_each_piece(struct user *user) {
  cc_outbound_pause(user->out);
  user->act_at = 'b';
}

static void pausing_at_every_piece_loses_nothing(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'b', .act = pause_each_piece};
  int peer = open_message(&user, listener);
  peer_send(peer, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  for (int i = 0; i < 100; i++)
    peer_send(peer, "1\r\na\r\n1\r\nb\r\n");
  peer_send(peer, "0\r\n\r\n");
  for (size_t pieces = 1; pieces <= 200; pieces++) {
    run_until(user.body.size == pieces);
    run_some();
    assert_int_equal(user.body.size, pieces);
    assert_false(told(&user, 'e'));
    cc_outbound_resume(user.out);
  }
  run_until(told(&user, 'e'));
  assert_memory_equal(user.body.data, "abababab", 8);
  finish(&user, peer, listener);
}

static void pause_and_resume(struct user *user) {
  cc_outbound_pause(user->out);
  cc_outbound_resume(user->out);
  user->act_at = 'b';
}

static void resuming_within_a_call_goes_on(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'b', .act = pause_and_resume};
  int peer = open_message(&user, listener);
  cc_outbound_pause(user.out);
  peer_send(peer, CHUNKED);
  run_some();
  assert_string_equal(user.calls, "r");
  cc_outbound_resume(user.out);
  run_until(told(&user, 'e'));
  assert_body(&user, "hello");
  finish(&user, peer, listener);
}

static void the_end_waits_for_what_was_kept(void **state) {
  (void)state;
  static const char *const heads[] = {"HTTP/1.1 200 OK\r\n\r\n",
                                      "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"};
  for (int i = 0; i < 2; i++) {
    struct listener listener = listen_any();
    struct user user = {.act_at = 'h', .act = pause_here};
    int peer = open_message(&user, listener);
    peer_send(peer, heads[i]);
    peer_send(peer, "hello");
    shutdown(peer, SHUT_WR);
    run_until(told(&user, 'h'));
    run_some();
    assert_string_equal(user.calls, "rh");
    cc_outbound_resume(user.out);
    run_until(told(&user, i ? 'f' : 'e'));
    assert_string_equal(user.calls, i ? "rhbf" : "rhbe");
    if (i) assert_int_equal(user.error, CC_EEOF);
    assert_body(&user, "hello");
    finish(&user, peer, listener);
  }
}

static size_t fill_until_refused(int peer) {
  static char bytes[65536];
  size_t total = 0;
  for (ssize_t sent; (sent = send(peer, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;) {
    total += (size_t)sent;
    run_some();
  }
  return total;
}

static void while_paused_the_peer_is_held_up(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'h', .act = pause_here};
  int peer = open_message(&user, listener);
  peer_send(peer, "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
  run_until(told(&user, 'h'));
  size_t total = fill_until_refused(peer);
  assert_true(total > 0);
  assert_true(user.out->kept.capacity <= 131072);
  assert_int_equal(user.body.size, 0);
  cc_outbound_resume(user.out);
  run_until(user.body.size == total);
  finish(&user, peer, listener);
}

// Writing to a peer that has reset tells of it even while reading is off.
static void a_failure_while_paused_waits_for_what_was_kept(void **state) {
  (void)state;
  static const char *const lengths[] = {"5", "9"};
  for (int i = 0; i < 2; i++) {
    struct listener listener = listen_any();
    struct user user = {.act_at = 'h', .act = pause_here};
    struct cc_slice text = cc_slice_text("more");
    int peer = open_message(&user, listener), origin = plain_origin("127.0.0.1", listener.port);
    peer_send(peer, "HTTP/1.1 200 OK\r\ncontent-length: ");
    peer_send(peer, lengths[i]);
    peer_send(peer, "\r\n\r\nhello");
    run_until(told(&user, 'h'));
    peer_reset(peer);
    cc_outbound_write(user.out, &text, 1);
    run_until(user.out->finished);
    assert_string_equal(user.calls, "rh");
    cc_outbound_resume(user.out);
    run_until(told(&user, i ? 'f' : 'e'));
    run_some();
    assert_string_equal(user.calls, i ? "rhbf" : "rhbe");
    if (i) assert_int_equal(user.error, CC_ERESET);
    if (!i) give_back(&user);
    assert_int_equal(cc_pool_idle(pool, origin), 0);
    cc_buffer_free(&user.body);
    close(listener.fd);
  }
}

static void an_end_while_paused_spends_the_connection(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'h', .act = pause_here};
  int peer = open_message(&user, listener), origin = plain_origin("127.0.0.1", listener.port);
  peer_send(peer, FIXED);
  run_until(told(&user, 'h'));
  user.out->stream->events->end(user.out->stream, CC_OK);
  cc_outbound_resume(user.out);
  run_until(told(&user, 'e'));
  assert_string_equal(user.calls, "rhbe");
  give_back(&user);
  assert_int_equal(cc_pool_idle(pool, origin), 0);
  finish(&user, peer, listener);
}

static struct user *other;

static void resume_and_drop_the_other(struct user *user) {
  (void)user;
  cc_outbound_resume(other->out);
  drop(other);
}

static void dropping_after_resuming_is_forgotten(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'h', .act = pause_here};
  struct user second = {.act_at = 'h', .act = resume_and_drop_the_other};
  int peer = open_message(&user, listener), second_peer = open_message(&second, listener);
  peer_send(peer, FIXED);
  run_until(told(&user, 'h'));
  other = &user;
  peer_send(second_peer, FIXED);
  run_until(told(&second, 'e'));
  run_some();
  assert_string_equal(user.calls, "rh");
  close(peer);
  finish(&second, second_peer, listener);
}

static void a_reset_while_paused_is_told_in_the_end(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'h', .act = pause_here};
  int peer = open_message(&user, listener);
  peer_send(peer, FIXED);
  run_until(told(&user, 'h'));
  peer_reset(peer);
  run_some();
  assert_string_equal(user.calls, "rh");
  cc_outbound_resume(user.out);
  run_until(told(&user, 'e')); // all of it had come before the reset
  assert_body(&user, "hello");
  drop(&user);
  cc_buffer_free(&user.body);
  close(listener.fd);
}

// ---- Giving up in any call ---------------------------------------------------------------------

static void dropping_is_possible_in_every_call(void **state) {
  (void)state;
  static const char calls[] = "rhbe";
  for (size_t i = 0; i < sizeof calls - 1; i++) {
    struct listener listener = listen_any();
    struct user user = {.act_at = calls[i], .act = drop};
    take(&user, plain_origin("127.0.0.1", listener.port), true);
    run_until(told(&user, 'r'));
    int peer = accept_from(listener);
    if (i) {
      request(&user);
      peer_send(peer, CHUNKED);
    }
    run_until(!user.out);
    run_some();
    char wanted[5] = {0};
    memcpy(wanted, calls, i + 1);
    assert_string_equal(user.calls, wanted);
    assert_int_equal(peer_await_end(peer), ECONNRESET);
    finish(&user, peer, listener);
  }
}

static void dropping_within_fail_does_no_harm(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'f', .act = drop};
  int peer = open_message(&user, listener);
  close(peer);
  run_until(!user.out);
  assert_string_equal(user.calls, "rf");
  close(listener.fd);
}

static void dropping_before_ready_is_silent(void **state) {
  (void)state;
  struct listener listener = listen_any();
  int origin = plain_origin("127.0.0.1", listener.port);
  for (int turns = 0; turns < 6; turns++) {
    struct user user = {0};
    take(&user, origin, true);
    for (int i = 0; i < turns && !told(&user, 'r'); i++)
      uv_run(&loop, UV_RUN_NOWAIT);
    size_t calls = strlen(user.calls);
    drop(&user);
    run_some();
    assert_int_equal(strlen(user.calls), calls);
  }
  close(listener.fd);
}

static void releasing_before_the_end_is_dropping(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'b', .act = give_back};
  int origin = plain_origin("127.0.0.1", listener.port);
  int peer = open_message(&user, listener);
  peer_send(peer, CHUNKED);
  run_until(!user.out);
  run_some();
  assert_string_equal(user.calls, "rhb");
  assert_int_equal(cc_pool_idle(pool, origin), 0);
  assert_int_equal(peer_await_end(peer), ECONNRESET);
  finish(&user, peer, listener);
}

static void a_slow_peer_is_told_by_drain(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'd', .act = drop};
  int peer = open_message(&user, listener);
  struct cc_buffer big = {0};
  cc_buffer_reserve(&big, 16 << 20);
  memset(big.data, 'x', 16 << 20);
  struct cc_slice part = cc_slice(big.data, 16 << 20);
  assert_int_equal(cc_outbound_write(user.out, &part, 1), CC_OK);
  cc_buffer_free(&big);
  assert_true(user.out->stream->queued > 0);
  peer_await_end(peer); // reads everything
  assert_string_equal(user.calls, "rd");
  finish(&user, peer, listener);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_response_is_told_in_order),
      CASE(a_response_may_come_byte_by_byte),
      CASE(interim_responses_are_swallowed),
      CASE(the_answer_to_head_has_no_body),
      CASE(a_body_may_end_with_the_connection),
      CASE(broken_responses_fail),
      CASE(an_endless_head_is_cut_at_the_limit),
      CASE(a_reset_is_told_as_such),
      CASE(bytes_that_nobody_asked_for_fail_the_connection),
      CASE(pausing_stops_in_the_middle_of_a_read),
      CASE(pausing_at_the_last_byte_holds_the_end),
      CASE(pausing_at_every_piece_loses_nothing),
      CASE(resuming_within_a_call_goes_on),
      CASE(the_end_waits_for_what_was_kept),
      CASE(while_paused_the_peer_is_held_up),
      CASE(a_failure_while_paused_waits_for_what_was_kept),
      CASE(an_end_while_paused_spends_the_connection),
      CASE(dropping_after_resuming_is_forgotten),
      CASE(a_reset_while_paused_is_told_in_the_end),
      CASE(dropping_is_possible_in_every_call),
      CASE(dropping_within_fail_does_no_harm),
      CASE(dropping_before_ready_is_silent),
      CASE(releasing_before_the_end_is_dropping),
      CASE(a_slow_peer_is_told_by_drain),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
