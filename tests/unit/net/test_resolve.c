// SPDX-License-Identifier: Apache-2.0
// Host names to addresses: what is answered without a look-up, what is remembered, and that a
// hanging look-up holds up nobody else and may come back after the resolver has gone.
#include "api/error.h"
#include "net/resolve.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ---- A resolver's world: names that begin with "hang" wait for the gate, "fail" fails ----------

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static bool gate_open, failing;
static int calls, inside;
static uint64_t clock_ms;
static char last_host[300];

static int look_up(const char *host, struct cc_addresses *found) {
  pthread_mutex_lock(&lock);
  calls++;
  inside++;
  snprintf(last_host, sizeof last_host, "%s", host);
  pthread_cond_broadcast(&moved);
  while (strncmp(host, "hang", 4) == 0 && !gate_open)
    pthread_cond_wait(&moved, &lock);
  bool fail = failing || strncmp(host, "fail", 4) == 0;
  found->count = fail ? 0 : 1;
  if (!fail) cc_address_parse("127.0.0.7", &found->list[0]);
  inside--;
  pthread_cond_broadcast(&moved);
  pthread_mutex_unlock(&lock);
  return fail ? CC_EDNS : CC_OK;
}

static uint64_t test_clock(const uv_loop_t *loop) {
  (void)loop;
  return clock_ms;
}

static void open_gate(void) {
  pthread_mutex_lock(&lock);
  gate_open = true;
  pthread_cond_broadcast(&moved);
  while (inside)
    pthread_cond_wait(&moved, &lock);
  pthread_mutex_unlock(&lock);
}

static void await_inside(int count) {
  pthread_mutex_lock(&lock);
  while (inside < count)
    pthread_cond_wait(&moved, &lock);
  pthread_mutex_unlock(&lock);
}

static int call_count(void) {
  pthread_mutex_lock(&lock);
  int count = calls;
  pthread_mutex_unlock(&lock);
  return count;
}

static void set_failing(bool on) {
  pthread_mutex_lock(&lock);
  failing = on;
  pthread_mutex_unlock(&lock);
}

// ---- The bench ----

struct answer {
  int times;
  int error;
  struct cc_addresses found;
  struct cc_lookup *cancel; // what to do when told
  struct cc_resolver *close;
};

static uv_loop_t loop;
static struct cc_resolver *resolver;

static void told(void *data, int error, const struct cc_addresses *found) {
  struct answer *answer = data;
  answer->times++;
  answer->error = error;
  if (found) answer->found = *found;
  if (answer->cancel) cc_resolve_cancel(answer->cancel);
  if (answer->close) cc_resolver_close(answer->close);
}

static int set_up(void **state) {
  (void)state;
  static const struct cc_resolver_system system = {look_up, test_clock};
  gate_open = failing = false;
  calls = inside = 0;
  clock_ms = 1000;
  uv_loop_init(&loop);
  resolver = cc_resolver_new(&loop);
  cc_resolver_replace(resolver, &system);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  if (resolver) cc_resolver_close(resolver);
  resolver = NULL;
  uv_run(&loop, UV_RUN_DEFAULT);
  open_gate();
  return uv_loop_close(&loop);
}

static struct answer ask(const char *host) {
  struct answer answer = {0};
  cc_resolve(resolver, host, told, &answer);
  assert_int_equal(answer.times, 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(answer.times, 1);
  return answer;
}

static void assert_address(const struct answer *answer, int index, const char *text) {
  char out[INET6_ADDRSTRLEN];
  assert_int_equal(answer->error, CC_OK);
  assert_true(index < answer->found.count);
  const union cc_address *address = &answer->found.list[index];
  const void *raw = address->any.sa_family == AF_INET ? (const void *)&address->v4.sin_addr
                                                      : (const void *)&address->v6.sin6_addr;
  inet_ntop(address->any.sa_family, raw, out, sizeof out);
  assert_string_equal(out, text);
}

// ---- Tests ----

static void literals_and_localhost_need_no_look_up(void **state) {
  (void)state;
  static const char *const cases[][2] = {{"192.168.1.9", "192.168.1.9"},
                                         {"2001:db8::5", "2001:db8::5"},
                                         {"[2001:db8::5]", "2001:db8::5"},
                                         {"::1", "::1"},
                                         {"::ffff:1.2.3.4", "::ffff:1.2.3.4"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct answer answer = ask(cases[i][0]);
    assert_int_equal(answer.found.count, 1);
    assert_address(&answer, 0, cases[i][1]);
  }
  struct answer local = ask("LocalHost");
  assert_int_equal(local.found.count, 2);
  assert_address(&local, 0, "::1");
  assert_address(&local, 1, "127.0.0.1");
  assert_int_equal(call_count(), 0);
}

static void malformed_names_fail_without_look_up(void **state) {
  (void)state;
  char longest[256];
  memset(longest, 'a', sizeof longest);
  longest[253] = 0;
  assert_int_equal(ask(longest).error, CC_OK);
  assert_int_equal(call_count(), 1);
  assert_int_equal(strlen(last_host), 253);
  longest[253] = 'a';
  longest[254] = 0;
  assert_int_equal(ask(longest).error, CC_EDNS);
  static const char *const bad[] = {"", "[", "[]", "[1.2.3.4]", "[name]", "[::1", "[::1]x"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(ask(bad[i]).error, CC_EDNS);
  assert_int_equal(call_count(), 1);
}

static void answers_are_kept_thirty_seconds(void **state) {
  (void)state;
  struct answer first = ask("Name.Example");
  assert_address(&first, 0, "127.0.0.7");
  assert_string_equal(last_host, "name.example");
  clock_ms += CC_RESOLVE_GOOD_MS - 1;
  ask("name.example");
  assert_int_equal(call_count(), 1);
  clock_ms += 1;
  ask("name.example");
  assert_int_equal(call_count(), 2);
}

static void failures_are_kept_two_seconds(void **state) {
  (void)state;
  assert_int_equal(ask("fail.example").error, CC_EDNS);
  clock_ms += CC_RESOLVE_FAILED_MS - 1;
  assert_int_equal(ask("fail.example").error, CC_EDNS);
  assert_int_equal(call_count(), 1);
  clock_ms += 1;
  assert_int_equal(ask("fail.example").error, CC_EDNS);
  assert_int_equal(call_count(), 2);
}

static void last_good_addresses_serve_when_the_name_fails(void **state) {
  (void)state;
  uint64_t start = clock_ms;
  ask("name.example");
  set_failing(true);
  clock_ms = start + CC_RESOLVE_GOOD_MS;
  struct answer stale = ask("name.example");
  assert_int_equal(call_count(), 2);
  assert_address(&stale, 0, "127.0.0.7");
  stale = ask("name.example"); // from the remembered failure
  assert_int_equal(call_count(), 2);
  assert_address(&stale, 0, "127.0.0.7");
  clock_ms = start + CC_RESOLVE_STALE_MS;
  assert_int_equal(ask("name.example").error, CC_EDNS);
  set_failing(false);
  clock_ms += CC_RESOLVE_FAILED_MS;
  assert_int_equal(ask("name.example").error, CC_OK);
}

static void one_look_up_serves_all_waiters_of_a_name(void **state) {
  (void)state;
  struct answer answers[5] = {0};
  for (int i = 0; i < 5; i++)
    cc_resolve(resolver, "hang.example", told, &answers[i]);
  await_inside(1);
  open_gate();
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(call_count(), 1);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(answers[i].times, 1);
    assert_address(&answers[i], 0, "127.0.0.7");
  }
}

static void a_hanging_look_up_holds_up_nobody_else(void **state) {
  (void)state;
  struct answer hanging[8] = {0}, other = {0};
  char host[32];
  for (int i = 0; i < 8; i++) {
    snprintf(host, sizeof host, "hang%d.example", i);
    cc_resolve(resolver, host, told, &hanging[i]);
  }
  await_inside(8);
  cc_resolve(resolver, "name.example", told, &other);
  while (!other.times)
    uv_run(&loop, UV_RUN_ONCE);
  assert_int_equal(other.error, CC_OK);
  for (int i = 0; i < 8; i++)
    assert_int_equal(hanging[i].times, 0);
}

static void beyond_the_threads_a_name_fails_at_once(void **state) {
  (void)state;
  struct answer hanging[CC_RESOLVE_THREADS] = {0}, more = {0}, same = {0};
  char host[32];
  for (int i = 0; i < CC_RESOLVE_THREADS; i++) {
    snprintf(host, sizeof host, "hang%d.example", i);
    cc_resolve(resolver, host, told, &hanging[i]);
  }
  await_inside(CC_RESOLVE_THREADS);
  cc_resolve(resolver, "name.example", told, &more);
  cc_resolve(resolver, "hang0.example", told, &same);
  while (!more.times)
    uv_run(&loop, UV_RUN_ONCE);
  assert_int_equal(more.error, CC_EDNS);
  assert_int_equal(call_count(), CC_RESOLVE_THREADS);
  open_gate();
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(same.error, CC_OK);
  assert_int_equal(hanging[CC_RESOLVE_THREADS - 1].error, CC_OK);
  assert_int_equal(ask("name.example").error, CC_OK); // the refusal was not remembered
}

static void a_cancelled_waiter_is_not_told(void **state) {
  (void)state;
  struct answer answers[3] = {0};
  cc_resolve(resolver, "hang.example", told, &answers[0]);
  struct cc_lookup *second = cc_resolve(resolver, "hang.example", told, &answers[1]);
  struct cc_lookup *third = cc_resolve(resolver, "hang.example", told, &answers[2]);
  cc_resolve_cancel(second);
  answers[0].cancel = third; // from within the first one's call
  await_inside(1);
  open_gate();
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(answers[0].times, 1);
  assert_int_equal(answers[1].times, 0);
  assert_int_equal(answers[2].times, 0);
}

static void without_waiters_the_loop_may_end(void **state) {
  (void)state;
  struct answer answer = {0};
  struct cc_lookup *lookup = cc_resolve(resolver, "hang.example", told, &answer);
  await_inside(1);
  assert_true(uv_loop_alive(&loop));
  cc_resolve_cancel(lookup);
  assert_false(uv_loop_alive(&loop));
}

static void late_threads_outlive_the_resolver(void **state) {
  (void)state;
  struct answer answers[2] = {0};
  cc_resolve(resolver, "hang.example", told, &answers[0]);
  await_inside(1);
  cc_resolve(resolver, "127.0.0.1", told, &answers[1]);
  cc_resolver_close(resolver);
  resolver = NULL;
  uv_run(&loop, UV_RUN_DEFAULT);
  open_gate();
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(answers[0].times + answers[1].times, 0);
}

static void closing_from_within_a_call_ends_the_telling(void **state) {
  (void)state;
  struct answer answers[2] = {{.close = resolver}, {0}};
  cc_resolve(resolver, "127.0.0.1", told, &answers[0]);
  cc_resolve(resolver, "127.0.0.1", told, &answers[1]);
  resolver = NULL;
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(answers[0].times, 1);
  assert_int_equal(answers[1].times, 0);
}

static void the_names_remembered_are_bounded(void **state) {
  (void)state;
  char host[32];
  ask("first.example");
  ask("second.example");
  for (int i = 0; i < CC_RESOLVE_NAMES - 2; i++) {
    snprintf(host, sizeof host, "n%d.example", i);
    ask(host);
    if (i == CC_RESOLVE_NAMES / 2) ask("first.example");
  }
  int before = call_count();
  ask("one-more.example"); // pushes out the name used least recently, the second
  ask("first.example");
  assert_int_equal(call_count(), before + 1);
  ask("second.example");
  assert_int_equal(call_count(), before + 2);
}

static void a_name_under_way_is_not_forgotten(void **state) {
  (void)state;
  struct answer hanging = {0}, other = {0};
  char host[32];
  cc_resolve(resolver, "hang.example", told, &hanging);
  await_inside(1);
  for (int i = 0; i < CC_RESOLVE_NAMES; i++) {
    snprintf(host, sizeof host, "n%d.example", i);
    other.times = 0;
    cc_resolve(resolver, host, told, &other);
    while (!other.times)
      uv_run(&loop, UV_RUN_ONCE);
  }
  open_gate();
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(hanging.times, 1);
  assert_int_equal(hanging.error, CC_OK);
}

static void the_system_knows_its_own_hosts_file(void **state) {
  (void)state;
  struct cc_resolver *own = cc_resolver_new(&loop);
  struct answer numeric = {0};
  cc_resolve(own, "127.1", told, &numeric); // not a literal of ours, one of the system's
  uv_run(&loop, UV_RUN_DEFAULT);
  cc_resolver_close(own);
  assert_int_equal(numeric.times, 1);
  assert_address(&numeric, 0, "127.0.0.1");
  assert_int_equal(numeric.found.list[0].v4.sin_port, 0);
}

static void assert_interleaved(const char *from, const char *expected) {
  union cc_address all[26];
  struct cc_addresses to;
  char got[CC_ADDRESSES + 1] = "";
  int count = (int)strlen(from);
  for (int i = 0; i < count; i++) { // a small letter is an IPv4 address, a capital an IPv6 one
    char text[16];
    bool four = from[i] >= 'a';
    snprintf(text, sizeof text, four ? "%d.0.0.1" : "%d::", from[i]);
    assert_true(cc_address_parse(text, &all[i]));
  }
  cc_addresses_interleave(&to, all, count);
  for (int i = 0; i < to.count; i++) {
    for (int k = 0; k < count; k++)
      if (cc_address_same(&to.list[i], &all[k])) got[i] = from[k];
  }
  assert_string_equal(got, expected);
}

static void families_take_turns(void **state) {
  (void)state;
  assert_interleaved("A", "A");
  assert_interleaved("ab", "ab");
  assert_interleaved("ABCab", "AaBbC");
  assert_interleaved("abAB", "aAbB");
  assert_interleaved("Aabc", "Aabc");
  assert_interleaved("ABCDEFGHIJa", "AaBCDEFG"); // one of the other family is not left out
}

static void addresses_are_compared_without_their_ports(void **state) {
  (void)state;
  union cc_address a, b;
  cc_address_parse("127.0.0.1", &a);
  b = a;
  cc_address_set_port(&b, 80);
  assert_true(cc_address_same(&a, &b));
  cc_address_parse("127.0.0.2", &b);
  assert_false(cc_address_same(&a, &b));
  cc_address_parse("::1", &b);
  assert_false(cc_address_same(&a, &b));
  assert_false(cc_address_same(&CC_NO_ADDRESS, &CC_NO_ADDRESS));
}

static void private_addresses_are_told_from_public_ones(void **state) {
  (void)state;
  static const char *const inside_list[] = {"127.0.0.1",   "127.255.255.255",
                                            "10.0.0.0",    "10.255.255.255",
                                            "172.16.0.0",  "172.31.1.1",
                                            "192.168.0.1", "169.254.169.254",
                                            "0.0.0.0",     "::",
                                            "::1",         "fe80::1",
                                            "febf::1",     "fc00::1",
                                            "fdff::1",     "::ffff:10.1.1.1"};
  static const char *const outside_list[] = {
      "8.8.8.8",     "9.255.255.255",    "11.0.0.0",      "172.15.255.255", "172.32.0.0",
      "192.167.0.1", "169.253.0.1",      "0.0.0.1",       "224.0.0.1",      "128.0.0.1",
      "100.64.0.1",  "2001:db8::1",      "::2",           "fec0::1",        "fe00::1",
      "ff02::1",     "64:ff9b::a01:101", "::ffff:8.8.8.8"};
  union cc_address address;
  for (size_t i = 0; i < sizeof inside_list / sizeof *inside_list; i++) {
    assert_true(cc_address_parse(inside_list[i], &address));
    if (!cc_address_is_private(&address)) fail_msg("%s is private", inside_list[i]);
  }
  for (size_t i = 0; i < sizeof outside_list / sizeof *outside_list; i++) {
    assert_true(cc_address_parse(outside_list[i], &address));
    if (cc_address_is_private(&address)) fail_msg("%s is not private", outside_list[i]);
  }
  address = (union cc_address){.any = {.sa_family = AF_UNIX}};
  assert_false(cc_address_is_private(&address));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(literals_and_localhost_need_no_look_up),
      CASE(malformed_names_fail_without_look_up),
      CASE(answers_are_kept_thirty_seconds),
      CASE(failures_are_kept_two_seconds),
      CASE(last_good_addresses_serve_when_the_name_fails),
      CASE(one_look_up_serves_all_waiters_of_a_name),
      CASE(a_hanging_look_up_holds_up_nobody_else),
      CASE(beyond_the_threads_a_name_fails_at_once),
      CASE(a_cancelled_waiter_is_not_told),
      CASE(without_waiters_the_loop_may_end),
      CASE(late_threads_outlive_the_resolver),
      CASE(closing_from_within_a_call_ends_the_telling),
      CASE(the_names_remembered_are_bounded),
      CASE(a_name_under_way_is_not_forgotten),
      CASE(the_system_knows_its_own_hosts_file),
      CASE(families_take_turns),
      CASE(addresses_are_compared_without_their_ports),
      CASE(private_addresses_are_told_from_public_ones),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
