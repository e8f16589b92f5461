// SPDX-License-Identifier: Apache-2.0
// Which connections are kept, for how long, who gets them, and what happens when the peer has
// closed one in the meantime.
#include "loopback.h"
#include "net/outbound_internal.h"

static const char FIXED[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

// One exchange on a connection; returns the peer's side, with the user's still to be given back.
static int answered(struct user *user, struct listener listener, const char *answer) {
  int peer = open_message(user, listener);
  peer_send(peer, answer);
  run_until(told(user, 'e'));
  return peer;
}

static int pooled(struct listener listener) {
  struct user user = {0};
  int peer = answered(&user, listener, FIXED);
  give_back(&user);
  cc_buffer_free(&user.body);
  return peer;
}

static int origin_of(struct listener listener) {
  return plain_origin("127.0.0.1", listener.port);
}

// Sends a request on user's connection and tells which of the peers it reached.
static int reached(struct user *user, const int *peers, int count) {
  request(user);
  for (;;) {
    for (int i = 0; i < count; i++) {
      if (!peer_open(peers[i])) {
        peer_read_head(peers[i]);
        return i;
      }
    }
    uv_run(&loop, UV_RUN_NOWAIT);
  }
}

// ---- Reuse -------------------------------------------------------------------------------------

static void a_connection_is_used_again(void **state) {
  (void)state;
  struct listener listener = listen_any();
  int peer = pooled(listener), origin = origin_of(listener);
  assert_int_equal(cc_pool_idle(pool, origin), 1);
  struct user user = {0};
  take(&user, origin, false); // asserts that nothing is told from within
  assert_int_equal(cc_pool_idle(pool, origin), 0);
  run_until(told(&user, 'r'));
  assert_false(uv_is_active((uv_handle_t *)&pool->idle)); // the loop may sleep again
  assert_true(user.reused);
  assert_int_equal(reached(&user, &peer, 1), 0);
  peer_send(peer, FIXED);
  run_until(told(&user, 'e'));
  assert_string_equal(user.calls, "rhbe");
  give_back(&user);
  assert_int_equal(cc_pool_idle(pool, origin), 1);
  cc_buffer_free(&user.body);
  close(peer);
  close(listener.fd);
}

static void the_last_one_back_is_the_first_one_out(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user users[3] = {0}, next[3] = {0};
  int peers[3];
  for (int i = 0; i < 3; i++) {
    peers[i] = answered(&users[i], listener, FIXED);
    cc_buffer_free(&users[i].body);
  }
  static const int order[] = {1, 2, 0};
  for (int i = 0; i < 3; i++)
    give_back(&users[order[i]]);
  for (int i = 0; i < 3; i++) {
    take(&next[i], origin_of(listener), false);
    run_until(told(&next[i], 'r'));
    assert_int_equal(reached(&next[i], peers, 3), order[2 - i]);
  }
  for (int i = 0; i < 3; i++) {
    drop(&next[i]);
    close(peers[i]);
  }
  close(listener.fd);
}

static void fresh_leaves_idle_ones_alone(void **state) {
  (void)state;
  struct listener listener = listen_any();
  int peer = pooled(listener), origin = origin_of(listener);
  struct user user = {0};
  take(&user, origin, true);
  run_until(told(&user, 'r'));
  assert_false(user.reused);
  assert_int_equal(cc_pool_idle(pool, origin), 1);
  drop(&user);
  close(peer);
  close(listener.fd);
}

static struct user second;

static void give_back_and_take(struct user *user) {
  int origin = cc_pool_origin(pool, &user->out->origin->key);
  give_back(user);
  assert_int_equal(cc_pool_idle(pool, origin), 1);
  take(&second, origin, false);
}

static void it_may_be_given_back_and_taken_within_end(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'e', .act = give_back_and_take};
  second = (struct user){0};
  int peer = open_message(&user, listener);
  peer_send(peer, FIXED);
  run_until(told(&second, 'r'));
  assert_true(second.reused);
  request(&second);
  peer_send(peer, FIXED);
  run_until(told(&second, 'e'));
  drop(&second);
  cc_buffer_free(&user.body);
  cc_buffer_free(&second.body);
  close(peer);
  close(listener.fd);
}

static void pause_here(struct user *user) {
  cc_outbound_pause(user->out);
}

static void pausing_ends_with_the_user(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'h', .act = pause_here};
  int peer = open_message(&user, listener);
  peer_send(peer, FIXED);
  run_until(told(&user, 'h'));
  cc_outbound_resume(user.out);
  run_until(told(&user, 'e'));
  cc_outbound_pause(user.out);
  give_back(&user);
  second = (struct user){0};
  take(&second, origin_of(listener), false);
  run_until(told(&second, 'r'));
  request(&second);
  peer_send(peer, FIXED);
  run_until(told(&second, 'e'));
  drop(&second);
  cc_buffer_free(&user.body);
  cc_buffer_free(&second.body);
  close(peer);
  close(listener.fd);
}

// ---- What is not kept --------------------------------------------------------------------------

static void responses_that_end_a_connection(void **state) {
  (void)state;
  static const char *const cases[] = {
      "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nx",
      "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
  };
  struct listener listener = listen_any();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct user user = {0};
    int peer = answered(&user, listener, cases[i]);
    run_some();
    assert_string_equal(user.calls, "rhe");
    give_back(&user);
    assert_int_equal(cc_pool_idle(pool, origin_of(listener)), 0);
    peer_await_end(peer);
    close(peer);
  }
  close(listener.fd);
}

static void bytes_or_an_end_after_the_response_spend_it(void **state) {
  (void)state;
  struct listener listener = listen_any();
  for (int ends = 0; ends < 2; ends++) {
    struct user user = {0};
    int peer = answered(&user, listener, FIXED);
    if (ends)
      shutdown(peer, SHUT_WR);
    else
      peer_send(peer, "x");
    run_some();
    assert_string_equal(user.calls, "rhbe");
    give_back(&user);
    assert_int_equal(cc_pool_idle(pool, origin_of(listener)), 0);
    peer_await_end(peer);
    cc_buffer_free(&user.body);
    close(peer);
  }
  close(listener.fd);
}

static void a_failed_write_spends_it(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  int peer = answered(&user, listener, FIXED);
  user.out->stream->failure = CC_ERESET; // as after a write, before the end is told
  give_back(&user);
  assert_int_equal(cc_pool_idle(pool, origin_of(listener)), 0);
  cc_buffer_free(&user.body);
  close(peer);
  close(listener.fd);
}

static void an_unsent_request_spends_it(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  int peer = open_message(&user, listener);
  struct cc_buffer big = {0};
  cc_buffer_reserve(&big, 16 << 20);
  memset(big.data, 'x', 16 << 20);
  struct cc_slice part = cc_slice(big.data, 16 << 20);
  assert_int_equal(cc_outbound_write(user.out, &part, 1), CC_OK);
  cc_buffer_free(&big);
  peer_send(peer, "HTTP/1.1 413 x\r\ncontent-length: 0\r\n\r\n");
  run_until(told(&user, 'e'));
  give_back(&user);
  assert_int_equal(cc_pool_idle(pool, origin_of(listener)), 0);
  close(peer);
  close(listener.fd);
}

// ---- Limits ------------------------------------------------------------------------------------

// Two origins; the first keeps two idle connections, the second one.
static void a_new_connection_takes_the_place_of_an_idle_one(void **state) {
  (void)state;
  struct listener rich = listen_any(), poor = listen_any(), third = listen_any();
  settings.most = 4;
  configure();
  struct user users[2] = {0}, user = {0}, more = {0};
  int peers[2];
  for (int i = 0; i < 2; i++) { // both open at once
    take(&users[i], origin_of(rich), true);
    run_until(told(&users[i], 'r'));
    peers[i] = accept_from(rich);
    request(&users[i]);
    peer_read_head(peers[i]);
  }
  for (int i = 0; i < 2; i++) {
    peer_send(peers[i], FIXED);
    run_until(told(&users[i], 'e'));
    give_back(&users[i]);
    cc_buffer_free(&users[i].body);
  }
  int other = pooled(poor);
  take(&user, origin_of(third), false);
  run_until(told(&user, 'r')); // the fourth: there is room
  assert_int_equal(cc_pool_idle(pool, origin_of(rich)), 2);
  take(&more, origin_of(third), false);
  run_until(told(&more, 'r'));
  assert_int_equal(peer_await_end(peers[0]), 0); // idle longest
  assert_int_equal(cc_pool_idle(pool, origin_of(rich)), 1);
  assert_int_equal(cc_pool_idle(pool, origin_of(poor)), 1);
  drop(&user);
  drop(&more);
  close(peers[0]);
  close(peers[1]);
  close(other);
  close(rich.fd);
  close(poor.fd);
  close(third.fd);
}

static void with_none_idle_there_is_one_more(void **state) {
  (void)state;
  struct listener listener = listen_any();
  settings.most = 1;
  configure();
  struct user users[2] = {0};
  for (int i = 0; i < 2; i++) {
    take(&users[i], origin_of(listener), false);
    run_until(told(&users[i], 'r'));
  }
  drop(&users[0]);
  drop(&users[1]);
  close(listener.fd);
}

// Three users at the same time, each answered. Then they give their connections back, in order.
static void wave_of_three(struct listener listener, int peers[3]) {
  struct user users[3] = {0};
  for (int i = 0; i < 3; i++) {
    peers[i] = answered(&users[i], listener, FIXED);
    cc_buffer_free(&users[i].body);
  }
  for (int i = 0; i < 3; i++)
    give_back(&users[i]);
}

static void beyond_the_size_the_oldest_goes(void **state) {
  (void)state;
  struct listener listener = listen_any();
  int peers[3];
  settings.size = 2;
  configure();
  wave_of_three(listener, peers);
  assert_int_equal(cc_pool_idle(pool, origin_of(listener)), 2);
  assert_int_equal(peer_await_end(peers[0]), 0);
  assert_true(peer_open(peers[1]) && peer_open(peers[2]));
  settings.size = 0;
  configure();
  int peer = pooled(listener);
  assert_int_equal(cc_pool_idle(pool, origin_of(listener)), 0);
  for (int i = 0; i < 3; i++)
    close(peers[i]);
  close(peer);
  close(listener.fd);
}

static void idle_ones_go_in_time(void **state) {
  (void)state;
  struct listener listener = listen_any();
  settings.idle_ms = 30;
  configure();
  int peer = pooled(listener), origin = origin_of(listener);
  assert_int_equal(cc_pool_idle(pool, origin), 1);
  run_until(cc_pool_idle(pool, origin) == 0);
  assert_int_equal(peer_await_end(peer), 0);
  settings.idle_ms = 60000;
  settings.age_ms = 2000;
  configure();
  int other = pooled(listener);
  struct cc_outbound *out = TAILQ_FIRST(&pool->origins[origin]->idle);
  assert_true(out->timer.due <= out->born + 2000); // its age may be over before its idle time
  close(other);
  close(peer);
  close(listener.fd);
}

static void grow_old(void) {
  uv_sleep(30);
  uv_update_time(&loop);
}

// After a wave of three, one user at a time: one connection stays in use, the time of the other two runs out.
static void only_those_that_are_needed_stay(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  int peers[3], origin = origin_of(listener);
  settings.idle_ms = 60000;
  settings.age_ms = 0;
  configure();
  wave_of_three(listener, peers);
  struct cc_outbound *first = TAILQ_FIRST(&pool->origins[origin]->idle), *other = first;
  uint64_t due = first->timer.due;
  grow_old();
  take(&user, origin, false);
  run_until(told(&user, 'r'));
  request(&user);
  peer_send(peers[2], FIXED);
  run_until(told(&user, 'e'));
  give_back(&user);
  assert_int_equal(cc_pool_idle(pool, origin), 3);
  assert_ptr_equal(TAILQ_FIRST(&pool->origins[origin]->idle), first);
  assert_true(first->timer.due > due);
  while ((other = TAILQ_NEXT(other, entry)))
    assert_true(other->timer.due <= due);
  cc_buffer_free(&user.body);
  for (int i = 0; i < 3; i++)
    close(peers[i]);
  close(listener.fd);
}

static void old_ones_are_not_kept(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  int peer = answered(&user, listener, FIXED);
  settings.age_ms = 20;
  configure();
  grow_old();
  give_back(&user);
  assert_int_equal(cc_pool_idle(pool, origin_of(listener)), 0);
  assert_int_equal(peer_await_end(peer), 0);
  cc_buffer_free(&user.body);
  close(peer);
  close(listener.fd);
}

static void old_ones_are_not_taken(void **state) {
  (void)state;
  struct listener listener = listen_any();
  int peer = pooled(listener);
  settings.age_ms = 20;
  configure();
  grow_old();
  struct user user = {0};
  take(&user, origin_of(listener), false);
  assert_int_equal(cc_pool_idle(pool, origin_of(listener)), 0);
  run_until(told(&user, 'r'));
  assert_false(user.reused);
  drop(&user);
  close(peer);
  close(listener.fd);
}

// ---- Peers that close --------------------------------------------------------------------------

static void an_idle_one_whose_peer_speaks_or_ends_goes_at_once(void **state) {
  (void)state;
  struct listener listener = listen_any();
  for (int how = 0; how < 3; how++) {
    int peer = pooled(listener), origin = origin_of(listener);
    assert_int_equal(cc_pool_idle(pool, origin), 1);
    if (how == 0) shutdown(peer, SHUT_WR);
    if (how == 1) peer_send(peer, "HTTP/1.1 408 Request Timeout\r\n\r\n");
    if (how == 2) peer_reset(peer);
    run_until(cc_pool_idle(pool, origin) == 0);
    if (how == 2) continue;
    peer_await_end(peer);
    close(peer);
  }
  close(listener.fd);
}

static void a_stale_one_fails_marked_as_reused(void **state) {
  (void)state;
  struct listener listener = listen_any();
  for (int how = 0; how < 4; how++) {
    int peer = pooled(listener);
    struct user user = {0};
    take(&user, origin_of(listener), false);
    if (how == 0) close(peer); // the end is found before or after the request is written
    run_until(*user.calls);
    if (how == 1) close(peer);
    if (how == 2) peer_reset(peer);
    if (user.out) request(&user);
    if (how == 3) close(peer); // with the request unread: a reset
    run_until(told(&user, 'f'));
    assert_true(user.reused);
    assert_false(told(&user, 'h'));
    assert_true(user.error == CC_EEOF || user.error == CC_ERESET);
  }
  close(listener.fd);
}

static void one_given_back_paused_is_watched(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {.act_at = 'e', .act = pause_here};
  int peer = open_message(&user, listener), origin = origin_of(listener);
  peer_send(peer, FIXED);
  run_until(told(&user, 'e'));
  give_back(&user);
  assert_int_equal(cc_pool_idle(pool, origin), 1);
  close(peer);
  run_until(cc_pool_idle(pool, origin) == 0);
  cc_buffer_free(&user.body);
  close(listener.fd);
}

static void one_dropped_before_ready_is_forgotten(void **state) {
  (void)state;
  struct listener listener = listen_any();
  int peer = pooled(listener), origin = origin_of(listener);
  struct user user = {0};
  take(&user, origin, false);
  drop(&user);
  run_some();
  assert_string_equal(user.calls, "");
  assert_int_equal(peer_await_end(peer), ECONNRESET);
  close(peer);
  peer = pooled(listener);
  take(&user, origin, false);
  run_until(told(&user, 'r'));
  drop(&user);
  close(peer);
  close(listener.fd);
}

static void one_that_ends_before_ready_is_told_fails_only(void **state) {
  (void)state;
  struct listener listener = listen_any();
  int peer = pooled(listener);
  struct user user = {0};
  take(&user, origin_of(listener), false);
  user.out->stream->events->end(user.out->stream, CC_OK);
  assert_string_equal(user.calls, "f");
  assert_int_equal(user.error, CC_ERESET);
  assert_true(user.reused);
  run_some();
  assert_string_equal(user.calls, "f");
  close(peer);
  close(listener.fd);
}

// ---- Origins and the end of a pool -------------------------------------------------------------

static void equal_origins_have_one_number(void **state) {
  (void)state;
  struct cc_origin_key key = {.host = "::1", .port = 80, .proxy_host = "p", .proxy_port = 1};
  int number = cc_pool_origin(pool, &key);
  struct cc_origin_key other = key;
  other.host = "[::1]"; // the same
  assert_int_equal(cc_pool_origin(pool, &other), number);
  static const struct cc_origin_key different[] = {
      {.host = "::2", .port = 80, .proxy_host = "p", .proxy_port = 1},
      {.host = "::1", .port = 81, .proxy_host = "p", .proxy_port = 1},
      {.host = "::1", .port = 80, .proxy_host = "q", .proxy_port = 1},
      {.host = "::1", .port = 80, .proxy_host = "p", .proxy_port = 2},
      {.host = "::1", .port = 80},
      {.host = "::1", .port = 80, .proxy_host = "p", .proxy_port = 1, .ca_file = "c"},
      {.host = "::1", .port = 80, .proxy_host = "p", .proxy_port = 1, .proxy_auth = "a"},
      {.host = "::1", .port = 80, .proxy_host = "p", .proxy_port = 1, .allow_public_http = true},
  };
  for (size_t i = 0; i < sizeof different / sizeof *different; i++)
    assert_int_equal(cc_pool_origin(pool, &different[i]), number + 1 + (int)i);
  assert_int_equal(cc_pool_origin(pool, &key), number);
}

static void the_host_value_names_an_unusual_port_only(void **state) {
  (void)state;
  static const struct {
    const char *host;
    uint16_t port;
    const char *value;
  } cases[] = {{"a.example", 80, "a.example"},
               {"a.example", 443, "a.example:443"},
               {"::1", 80, "[::1]"},
               {"[::1]", 8080, "[::1]:8080"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct user user = {0};
    take(&user, plain_origin(cases[i].host, cases[i].port), false);
    assert_string_equal(cc_outbound_host(user.out), cases[i].value);
    drop(&user);
  }
}

static void closing_ends_everything_without_a_word(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user dialling = {0}, named = {0}, message = {0}, waking = {0}, ended = {0};
  int peers[5];
  peers[0] = pooled(listener);
  peers[1] = pooled(listener);
  peers[2] = open_message(&message, listener);
  peers[3] = answered(&ended, listener, FIXED);
  take(&waking, origin_of(listener), false);
  take(&dialling, origin_of(listener), true);
  take(&named, plain_origin("hang", 80), true);
  run_until(dialling.out->phase == CC_PHASE_CONNECTING);
  cc_pool_close(pool);
  pool = NULL;
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_string_equal(message.calls, "r");
  assert_string_equal(ended.calls, "rhbe");
  assert_string_equal(dialling.calls, "");
  assert_string_equal(named.calls, "");
  for (int i = 0; i < 4; i++) {
    peer_await_end(peers[i]);
    close(peers[i]);
  }
  uv_sem_post(&hanging);
  cc_buffer_free(&ended.body);
  close(listener.fd);
}

static void closing_waits_for_nobody_who_is_leaving(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct user user = {0};
  int peer = open_message(&user, listener);
  struct cc_buffer big = {0};
  cc_buffer_reserve(&big, 16 << 20);
  memset(big.data, 'x', 16 << 20);
  struct cc_slice part = cc_slice(big.data, 16 << 20);
  assert_int_equal(cc_outbound_write(user.out, &part, 1), CC_OK);
  cc_buffer_free(&big);
  cc_outbound_close(user.out, false); // in order: what is queued still goes out
  cc_pool_close(pool);
  pool = NULL;
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(peer_await_end(peer), ECONNRESET);
  close(peer);
  close(listener.fd);
}

static void close_pool(struct user *user) {
  (void)user;
  cc_pool_close(pool);
  pool = NULL;
}

static void closing_is_possible_in_every_call(void **state) {
  (void)state;
  static const char calls[] = "rhbe";
  for (size_t i = 0; i < sizeof calls - 1; i++) {
    if (i) set_up(state);
    struct listener listener = listen_any();
    struct user user = {.act_at = calls[i], .act = close_pool};
    take(&user, origin_of(listener), true);
    run_until(told(&user, 'r'));
    int peer = accept_from(listener);
    if (i) {
      request(&user);
      peer_send(peer, FIXED);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(strlen(user.calls), i + 1);
    cc_buffer_free(&user.body);
    close(peer);
    close(listener.fd);
    if (i < sizeof calls - 2) assert_int_equal(tear_down(state), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_connection_is_used_again),
      CASE(the_last_one_back_is_the_first_one_out),
      CASE(fresh_leaves_idle_ones_alone),
      CASE(it_may_be_given_back_and_taken_within_end),
      CASE(pausing_ends_with_the_user),
      CASE(responses_that_end_a_connection),
      CASE(bytes_or_an_end_after_the_response_spend_it),
      CASE(a_failed_write_spends_it),
      CASE(an_unsent_request_spends_it),
      CASE(a_new_connection_takes_the_place_of_an_idle_one),
      CASE(with_none_idle_there_is_one_more),
      CASE(beyond_the_size_the_oldest_goes),
      CASE(idle_ones_go_in_time),
      CASE(only_those_that_are_needed_stay),
      CASE(old_ones_are_not_kept),
      CASE(old_ones_are_not_taken),
      CASE(an_idle_one_whose_peer_speaks_or_ends_goes_at_once),
      CASE(a_stale_one_fails_marked_as_reused),
      CASE(one_given_back_paused_is_watched),
      CASE(one_dropped_before_ready_is_forgotten),
      CASE(one_that_ends_before_ready_is_told_fails_only),
      CASE(equal_origins_have_one_number),
      CASE(the_host_value_names_an_unusual_port_only),
      CASE(closing_ends_everything_without_a_word),
      CASE(closing_waits_for_nobody_who_is_leaving),
      CASE(closing_is_possible_in_every_call),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
