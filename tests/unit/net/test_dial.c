// SPDX-License-Identifier: Apache-2.0
// How a connection is made: addresses beside each other, deadlines, addresses that are forbidden,
// and what is told when it fails.
#include "loopback.h"
#include "net/outbound_internal.h"
#include <fcntl.h>
#include <sys/resource.h>

static const uint16_t no_port;

// A listener whose queue is full: the system leaves further connections without an answer.
struct silent {
  struct listener listener;
  int fill[4];
};

static struct silent silent_on(const char *host) {
  struct silent silent = {.listener = listen_on(host, 0, 0)};
  union cc_address address;
  cc_address_parse(host, &address);
  cc_address_set_port(&address, silent.listener.port);
  for (int i = 0; i < 4; i++) {
    silent.fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(silent.fill[i], &address.any, sizeof address.v4);
  }
  return silent;
}

static void close_silent(struct silent *silent) {
  for (int i = 0; i < 4; i++)
    close(silent->fill[i]);
  close(silent->listener.fd);
}

// ---- Names and addresses -----------------------------------------------------------------------

static void a_name_that_is_not_known_fails(void **state) {
  (void)state;
  assert_fails(&(struct cc_origin_key){.host = "name.example", .port = 80}, CC_EDNS);
}

static void the_next_address_follows_a_refusal(void **state) {
  (void)state;
  struct listener refusing = closed_port("127.0.0.1");
  struct listener listener = listen_on("127.0.0.2", refusing.port, 4);
  answers[0] = "127.0.0.1";
  answers[1] = "127.0.0.2";
  struct cc_origin_key key = {.host = "name.example", .port = listener.port};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "r");
  close(accept_from(listener));
  assert_string_equal(user.out->detail, "");
  drop(&user);
  close(listener.fd);
  close(refusing.fd);
}

// Without the loop ever waiting: no delay is due between addresses that refuse.
static void a_refusal_holds_nobody_up(void **state) {
  (void)state;
  struct listener refusing = closed_port("127.0.0.1");
  answers[0] = answers[1] = answers[2] = answers[3] = "127.0.0.1";
  struct cc_origin_key key = {.host = "name.example", .port = refusing.port};
  struct user user;
  dial(&user, &key);
  run_until(user.out->phase == CC_PHASE_CONNECTING);
  run_some();
  assert_string_equal(user.calls, "f");
  assert_int_equal(user.error, CC_EREFUSED);
  close(refusing.fd);
}

static void refused_everywhere_is_refused(void **state) {
  (void)state;
  struct listener refusing = closed_port("127.0.0.1");
  answers[0] = "127.0.0.1";
  answers[1] = "127.0.0.3";
  answers[2] = "255.255.255.255"; // "cannot connect" says less
  struct cc_origin_key key = {
      .host = "name.example", .port = refusing.port, .allow_public_http = true};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "f");
  assert_int_equal(user.error, CC_EREFUSED);
  assert_string_equal(user.detail, "connection refused");
  close(refusing.fd);
}

static void an_unreachable_address_fails(void **state) {
  (void)state;
  struct cc_origin_key key = {.host = "224.0.0.1", .port = 80, .allow_public_http = true};
  assert_fails(&key, CC_ECONNECT); // the system connects to no group address
}

static void localhost_reaches_the_older_protocol(void **state) {
  (void)state;
  struct listener listener = listen_any();
  struct cc_origin_key key = {.host = "localhost", .port = listener.port};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "r");
  drop(&user);
  close(listener.fd);
}

// ---- Addresses that do not answer --------------------------------------------------------------

struct half { // a host whose first address is silent
  struct silent silent;
  struct listener listener;
  struct cc_origin_key key;
};

static struct half half_silent(void) {
  struct half half = {.silent = silent_on("127.0.0.1")};
  half.listener = listen_on("127.0.0.2", half.silent.listener.port, 4);
  half.key = (struct cc_origin_key){.host = "name.example", .port = half.listener.port};
  answers[0] = "127.0.0.1";
  answers[1] = "127.0.0.2";
  settings.connect_ms = 0; // nothing but the other address can end it
  configure();
  return half;
}

static void close_half(struct half *half) {
  close(half->listener.fd);
  close_silent(&half->silent);
}

static void connect_once(struct half *half) {
  struct user user;
  dial(&user, &half->key);
  await(&user);
  assert_string_equal(user.calls, "r");
  close(accept_from(half->listener));
  drop(&user);
}

static void a_silent_address_holds_the_next_up_for_a_moment_only(void **state) {
  (void)state;
  struct half half = half_silent();
  uint64_t begun = uv_now(&loop);
  connect_once(&half);
  assert_true(uv_now(&loop) - begun >= CC_CONNECT_DELAY_MS); // the first had its time alone
  close_half(&half);
}

static union cc_address *worked(const struct half *half) {
  int number = cc_pool_origin(pool, &half->key); // before the list is looked at: it may move
  return &pool->origins[number]->worked;
}

static void the_address_that_worked_is_first_the_next_time(void **state) {
  (void)state;
  struct half half = half_silent();
  union cc_address live;
  cc_address_parse("127.0.0.2", &live);
  connect_once(&half);
  assert_true(cc_address_same(worked(&half), &live));
  struct user user;
  dial(&user, &half.key);
  run_until(user.out->phase == CC_PHASE_CONNECTING);
  run_some(); // without the loop ever waiting
  assert_string_equal(user.calls, "r");
  drop(&user);
  close_half(&half);
}

static void an_address_that_fails_is_forgotten(void **state) {
  (void)state;
  struct half half = half_silent();
  connect_once(&half);
  close(half.listener.fd);
  half.listener.fd = -1;
  settings.connect_ms = 50;
  configure();
  struct user user;
  dial(&user, &half.key);
  await(&user);
  assert_string_equal(user.calls, "f");
  assert_false(cc_address_same(worked(&half), worked(&half)));
  close_half(&half);
}

static void an_address_the_name_has_lost_is_not_asked(void **state) {
  (void)state;
  struct half half = half_silent();
  union cc_address other;
  cc_address_parse("127.0.0.3", &other);
  *worked(&half) = other;
  struct user user;
  dial(&user, &half.key);
  run_until(user.out->phase == CC_PHASE_CONNECTING);
  assert_false(cc_address_same(worked(&half), &other));
  await(&user);
  assert_string_equal(user.calls, "r");
  drop(&user);
  close_half(&half);
}

static int open_descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < 256; fd++)
    count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static void the_first_that_answers_wins_and_the_others_are_closed(void **state) {
  (void)state;
  struct half half = half_silent();
  struct user user;
  connect_once(&half); // the loop keeps a descriptor of its own from the first connection on
  *worked(&half) = CC_NO_ADDRESS;
  int before = open_descriptors();
  dial(&user, &half.key);
  await(&user);
  assert_string_equal(user.calls, "r");
  assert_int_equal(open_descriptors(), before + 1);
  drop(&user);
  close_half(&half);
}

static rlim_t limit_descriptors(rlim_t most) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = most;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  return before;
}

static void one_descriptor_serves_all_addresses(void **state) {
  (void)state;
  struct half half = half_silent();
  connect_once(&half);
  *worked(&half) = CC_NO_ADDRESS;
  struct user user;
  dial(&user, &half.key);
  run_until(user.out->phase == CC_PHASE_CONNECTING); // the silent address has its descriptor
  int lowest = open("/", O_PATH);
  close(lowest);
  rlim_t before = limit_descriptors((rlim_t)lowest);
  await(&user);
  limit_descriptors(before);
  assert_string_equal(user.calls, "r");
  drop(&user);
  close_half(&half);
}

// ---- Deadlines ---------------------------------------------------------------------------------

static void a_silent_address_is_a_timeout(void **state) {
  (void)state;
  struct silent silent = silent_on("127.0.0.1");
  settings.connect_ms = 50;
  configure();
  struct cc_origin_key key = {.host = "127.0.0.1", .port = silent.listener.port};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "f");
  assert_int_equal(user.error, CC_ECONNECT_TIMEOUT);
  assert_string_equal(user.detail, "no answer from the address");
  close_silent(&silent);
}

static void the_deadline_is_that_of_all_addresses(void **state) {
  (void)state;
  struct silent silent = silent_on("127.0.0.1");
  answers[0] = answers[1] = "127.0.0.1";
  settings.connect_ms = 400;
  configure();
  struct cc_origin_key key = {.host = "name.example", .port = silent.listener.port};
  struct user user;
  dial(&user, &key);
  uint64_t begun = uv_now(&loop);
  await(&user);
  assert_string_equal(user.calls, "f");
  assert_int_equal(user.error, CC_ECONNECT_TIMEOUT);
  assert_true(uv_now(&loop) - begun >= 400);
  dial(&user, &key);
  run_until(user.out->phase == CC_PHASE_CONNECTING);
  drop(&user); // with a connection under way
  close_silent(&silent);
}

static void a_hanging_name_is_a_timeout(void **state) {
  (void)state;
  settings.connect_ms = 30;
  configure();
  struct cc_origin_key key = {.host = "hang", .port = 80};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_int_equal(user.error, CC_ECONNECT_TIMEOUT);
  assert_string_equal(user.detail, "the DNS look-up took too long");
  uv_sem_post(&hanging);
  struct user next;
  dial(&next, &key);
  cc_outbound_drop(next.out); // given up while the name is looked up
  uv_sem_post(&hanging);
}

// ---- Plain http to the public ------------------------------------------------------------------

static void plain_http_goes_to_private_addresses_only(void **state) {
  (void)state;
  answers[0] = "224.0.0.1";
  struct cc_origin_key name = {.host = "name.example", .port = 80};
  struct cc_origin_key literal = {.host = "[ff02::1]", .port = 80};
  assert_fails(&name, CC_EADDRESS_FORBIDDEN);
  assert_fails(&literal, CC_EADDRESS_FORBIDDEN);
}

static void a_private_address_behind_a_public_one_serves(void **state) {
  (void)state;
  struct listener listener = listen_any();
  answers[0] = "224.0.0.1";
  answers[1] = "127.0.0.1";
  struct cc_origin_key key = {.host = "name.example", .port = listener.port};
  struct user user;
  dial(&user, &key);
  await(&user);
  assert_string_equal(user.calls, "r");
  drop(&user);
  close(listener.fd);
}

// ---- Keys --------------------------------------------------------------------------------------

static void malformed_origins_are_refused(void **state) {
  (void)state;
  char longest[256];
  memset(longest, 'a', sizeof longest);
  longest[254] = 0;
  static const char *const hosts[] = {"",    "a b",  "a\r\nb",       "a/b",
                                      "a@b", "a:80", "[name]",       "[::1",
                                      "a?b", "::g",  "fe80::1%eth0", "\xc3\xa4"};
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
    assert_int_equal(plain_origin(hosts[i], 80), CC_EINVAL);
  assert_int_equal(plain_origin(longest, 80), CC_EINVAL);
  longest[253] = 0;
  assert_int_equal(plain_origin(longest, 80), 0);
  assert_int_equal(plain_origin(NULL, 80), CC_EINVAL);
  assert_int_equal(plain_origin("a", no_port), CC_EINVAL);
  struct cc_origin_key key = {.host = "a", .port = 80, .proxy_host = "b", .proxy_port = no_port};
  assert_int_equal(cc_pool_origin(pool, &key), CC_EINVAL);
  key.proxy_port = 3128;
  assert_int_equal(cc_pool_origin(pool, &key), 1);
  key.proxy_auth = "Basic x\r\nx: y";
  assert_int_equal(cc_pool_origin(pool, &key), CC_EINVAL);
  key.proxy_host = "b c";
  key.proxy_auth = NULL;
  assert_int_equal(cc_pool_origin(pool, &key), CC_EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_name_that_is_not_known_fails),
      CASE(the_next_address_follows_a_refusal),
      CASE(a_refusal_holds_nobody_up),
      CASE(refused_everywhere_is_refused),
      CASE(an_unreachable_address_fails),
      CASE(localhost_reaches_the_older_protocol),
      CASE(a_silent_address_holds_the_next_up_for_a_moment_only),
      CASE(the_address_that_worked_is_first_the_next_time),
      CASE(an_address_that_fails_is_forgotten),
      CASE(an_address_the_name_has_lost_is_not_asked),
      CASE(the_first_that_answers_wins_and_the_others_are_closed),
      CASE(one_descriptor_serves_all_addresses),
      CASE(a_silent_address_is_a_timeout),
      CASE(the_deadline_is_that_of_all_addresses),
      CASE(a_hanging_name_is_a_timeout),
      CASE(plain_http_goes_to_private_addresses_only),
      CASE(a_private_address_behind_a_public_one_serves),
      CASE(malformed_origins_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
