// SPDX-License-Identifier: Apache-2.0
// Limits on a clock of our own: what fits, what waits and how long, what is learned, and that no
// window of 60 s is over a rate, with threads, processes and deaths.
#include "limit.h"
#include "shared.h"
#include "step.h"
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int limit;
static double wait_ms;
static struct cc_ticket ticket;

static int fresh(void **state) {
  (void)state;
  cc_shared_close();
  limit = cc_limit("limit", 5);
  return 0;
}

static void rates(double requests, double tokens, double input, double output) {
  struct cc_rates given = {requests, tokens, input, output};
  cc_limit_configure(limit, &given);
}

static int reserve(double now, double input, double output) {
  return cc_limit_reserve(limit, now, input, output, &ticket, &wait_ms);
}

static struct cc_rates usage(double now) {
  struct cc_rates used;
  cc_limit_usage(limit, now, &used);
  return used;
}

// ---- One after the other -----------------------------------------------------------------------

static void requests_are_counted(void **state) {
  (void)state;
  rates(3, 0, 0, 0);
  for (int i = 0; i < 3; i++)
    assert_int_equal(reserve(500 + i * 100, 1e6, 1e6), CC_OK);
  assert_int_equal(reserve(800, 0, 0), CC_ELIMIT);
  assert_int_equal(ticket.limit, -1);
  assert_true(wait_ms == 59901); // the second's latest booking was at 700
  assert_true(usage(800).requests == 3);
  assert_int_equal(reserve(60700, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 1);
  assert_int_equal(reserve(60701, 0, 0), CC_OK);
  assert_true(wait_ms == 0);
  assert_int_equal(ticket.second, 60);
  assert_true(usage(60701).requests == 1);
}

static void each_kind_of_tokens_is_counted(void **state) {
  (void)state;
  rates(0, 100, 80, 40);
  assert_int_equal(reserve(0, 81, 0), CC_OK); // alone above its rate, window empty
  assert_int_equal(reserve(61000, 60, 0), CC_OK);
  assert_int_equal(reserve(61000, 21, 0), CC_ELIMIT); // input
  assert_int_equal(reserve(61000, 0, 41), CC_ELIMIT); // tokens
  assert_int_equal(reserve(61000, 10, 30), CC_OK);
  assert_int_equal(reserve(61000, 0, 1), CC_ELIMIT); // tokens
  assert_int_equal(reserve(61000, 0, 0), CC_OK);
  assert_true(usage(61000).tokens == 100);
  assert_true(usage(61000).input_tokens == 70);
  assert_true(usage(61000).output_tokens == 30);
  rates(0, 0, 0, 40);
  assert_int_equal(reserve(61000, 1000, 10), CC_OK);
  assert_int_equal(reserve(61000, 0, 1), CC_ELIMIT); // output
}

static void without_rates_all_is_let_in(void **state) {
  (void)state;
  for (int i = 0; i < 300; i++)
    assert_int_equal(reserve(1, 1e15, INFINITY), CC_OK);
  assert_true(usage(1).requests == 300);
  assert_true(cc_limit_headroom(limit, 1) == 1);
}

static void a_request_above_the_rate_waits_for_emptiness(void **state) {
  (void)state;
  rates(0, 100, 0, 0);
  assert_int_equal(reserve(0, 10, 0), CC_OK);
  assert_int_equal(reserve(30000, 10, 0), CC_OK);
  assert_int_equal(reserve(30001, 500, 0), CC_ELIMIT);
  assert_true(wait_ms == 60000);
  assert_int_equal(reserve(90001, 500, 0), CC_OK);
  assert_int_equal(reserve(90002, 1, 0), CC_ELIMIT);
  rates(0.5, 0, 0, 0);
  assert_int_equal(reserve(200000, 0, 0), CC_OK);
  assert_int_equal(reserve(200000, 0, 0), CC_ELIMIT);
}

static void more_than_a_second_can_hold_is_refused(void **state) {
  (void)state;
  rates(0, 1e12, 0, 0);
  assert_int_equal(reserve(0, 1e12, 0), CC_OK);
  assert_int_equal(reserve(0, 1e12, 0), CC_ELIMIT);
  assert_true(usage(0).requests == 1);
  assert_int_equal(reserve(1000, 1e12, 0), CC_OK);
}

static void odd_amounts_count_as_none(void **state) {
  (void)state;
  rates(0, 10, 0, 0);
  assert_int_equal(reserve(0, NAN, -5), CC_OK);
  assert_true(usage(0).tokens == 0);
  assert_int_equal(reserve(0, 0.2, 0), CC_OK);
  assert_true(usage(0).tokens == 1);
}

static void settling_replaces_the_estimate(void **state) {
  (void)state;
  rates(0, 100, 0, 0);
  assert_int_equal(reserve(0, 60, 40), CC_OK);
  struct cc_ticket first = ticket;
  assert_int_equal(reserve(10, 1, 0), CC_ELIMIT);
  cc_limit_settle(&first, 20, 50, 5);
  assert_true(usage(20).input_tokens == 50 && usage(20).output_tokens == 5);
  assert_int_equal(reserve(5000, 45, 0), CC_OK);
  cc_limit_settle(&ticket, 6000, 90, 0);
  assert_true(usage(6000).tokens == 145);
  assert_int_equal(reserve(6000, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 54001); // until the first is gone
  assert_int_equal(reserve(60001, 10, 0), CC_OK);
}

static void settling_late_changes_nothing(void **state) {
  (void)state;
  rates(10, 100, 0, 0);
  assert_int_equal(reserve(1000, 60, 0), CC_OK);
  struct cc_ticket first = ticket;
  assert_int_equal(reserve(62000, 60, 0), CC_OK); // the same word, a lap later
  cc_limit_settle(&first, 62000, 0, 0);
  cc_limit_release(&first, 62000);
  assert_true(usage(62000).tokens == 60 && usage(62000).requests == 1);
}

static void releasing_takes_all_back(void **state) {
  (void)state;
  rates(1, 100, 0, 0);
  assert_int_equal(reserve(0, 60, 40), CC_OK);
  cc_limit_release(&ticket, 0);
  assert_true(usage(0).requests == 0 && usage(0).tokens == 0);
  cc_limit_release(&ticket, 0); // once too often: never below nothing
  assert_true(usage(0).requests == 0 && usage(0).tokens == 0);
  assert_int_equal(reserve(0, 100, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  cc_limit_release(&ticket, 0); // of a refusal
  assert_true(usage(0).requests == 1);
}

static void headroom_is_the_least_share(void **state) {
  (void)state;
  assert_true(cc_limit_headroom(limit, 0) == 1);
  rates(10, 100, 0, 50);
  assert_true(cc_limit_headroom(limit, 0) == 1);
  assert_int_equal(reserve(0, 10, 10), CC_OK);
  assert_true(fabs(cc_limit_headroom(limit, 0) - 0.8) < 1e-9);
  cc_limit_settle(&ticket, 0, 10, 200);
  assert_true(cc_limit_headroom(limit, 0) == 0);
  assert_true(cc_limit_headroom(limit, 60001) == 1);
}

static void a_new_configuration_counts_at_once(void **state) {
  (void)state;
  rates(2, 0, 0, 0);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  rates(1, 0, 0, 0);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  rates(-1, NAN, 0, 0);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
}

static void limits_that_do_not_exist_are_harmless(void **state) {
  (void)state;
  struct cc_rates given = {1, 1, 1, 1};
  struct cc_ticket lost = {.limit = 99999};
  cc_limit_configure(-1, &given);
  cc_limit_learn(CC_LIMITS, 0, 1, 0, 10, 0);
  cc_limit_learn(limit, 4, 1, 0, 10, 0);
  cc_limit_settle(&lost, 0, 1, 1);
  cc_limit_release(&lost, 0);
  assert_int_equal(cc_limit_reserve(-1, 0, 1, 1, &ticket, &wait_ms), CC_EINVAL);
  assert_true(cc_limit_headroom(-1, 0) == 1);
  cc_limit_usage(-1, 0, &given);
  assert_true(given.requests == 0 && given.tokens == 0);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
}

// ---- What providers teach ----------------------------------------------------------------------

static void the_stricter_rate_counts(void **state) {
  (void)state;
  rates(3, 0, 0, 0);
  cc_limit_learn(limit, 0, 2, -1, 0, 0);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  cc_limit_learn(limit, 0, 50, -1, 0, 0);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  rates(0, 0, 0, 0);
  cc_limit_learn(limit, 0, 4, -1, 0, 0);
  cc_limit_learn(limit, 0, 0, -1, 0, 0); // tells nothing
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
}

static void what_remains_counts_until_the_reset(void **state) {
  (void)state;
  const double tokens[4][2] = {{0, 0}, {20, 20}, {40, 0}, {0, 40}};
  for (unsigned kind = 0; kind < 4; kind++) {
    double now = 1000 + 100000 * kind, more = kind ? 1 : 0;
    cc_limit_learn(limit, kind, 0, kind ? 50 : 1, now + 9000, now);
    assert_int_equal(reserve(now, tokens[kind][0], tokens[kind][1]), CC_OK);
    assert_int_equal(reserve(now + 1000, tokens[kind][0], tokens[kind][1]), CC_ELIMIT);
    assert_true(wait_ms == 8000);
    assert_true(cc_limit_headroom(limit, now) == (kind ? 1 : 0)); // no rate to share in
    assert_int_equal(reserve(now + 9000, 40 * more, 40 * more), CC_OK);
  }
}

static void a_refusal_takes_nothing_from_what_remains(void **state) {
  (void)state;
  cc_limit_learn(limit, 0, 0, 2, 60000, 0);
  cc_limit_learn(limit, 2, 0, 10, 60000, 0);
  for (int i = 0; i < 5; i++)
    assert_int_equal(reserve(0, 11, 0), CC_ELIMIT);
  assert_int_equal(reserve(0, 10, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 60000);
}

static void of_one_reset_the_smaller_remainder_counts(void **state) {
  (void)state;
  cc_limit_learn(limit, 0, 0, 2, 30000, 0);
  cc_limit_learn(limit, 0, 0, 9, 30400, 0);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  cc_limit_learn(limit, 0, 0, 9, 20000, 0); // old news
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  cc_limit_learn(limit, 0, 0, 1, 50000, 0); // a later window
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(40000, 0, 0), CC_ELIMIT);
  cc_limit_learn(limit, 0, 0, 3, 45000, 50001); // has passed
  assert_int_equal(reserve(50001, 0, 0), CC_OK);
}

static void odd_lessons_teach_nothing(void **state) {
  (void)state;
  cc_limit_learn(limit, 0, NAN, NAN, 1000, 0);
  cc_limit_learn(limit, 0, -1, 0, NAN, 0);
  cc_limit_learn(limit, 0, 0, 0, 0, 0);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  cc_limit_learn(limit, 0, 0, 0, INFINITY, 0);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 3600000);
  cc_limit_learn(limit, 1, 0, 1e300, 1e9, 0);
  assert_int_equal(reserve(3600000, 1e6, 0), CC_OK);
}

// ---- Time --------------------------------------------------------------------------------------

static void gaps_of_any_length_are_harmless(void **state) {
  (void)state;
  rates(1, 0, 0, 0);
  double now = 5;
  for (double gap = 60001; gap < 1e12; gap *= 3) {
    assert_int_equal(reserve(now, 0, 0), CC_OK);
    assert_int_equal(reserve(now, 0, 0), CC_ELIMIT);
    now += gap;
  }
}

static void a_little_back_books_at_the_latest(void **state) {
  (void)state;
  rates(2, 0, 0, 0);
  assert_int_equal(reserve(100000, 0, 0), CC_OK);
  assert_int_equal(reserve(70000, 0, 0), CC_OK);
  assert_int_equal(ticket.second, 100);
  assert_int_equal(reserve(70000, 0, 0), CC_ELIMIT);
  assert_int_equal(reserve(160000, 0, 0), CC_ELIMIT);
  assert_int_equal(reserve(160001, 0, 0), CC_OK);
}

static void far_back_neither_empties_nor_freezes(void **state) {
  (void)state;
  rates(1, 0, 0, 0);
  assert_int_equal(reserve(86400000, 0, 0), CC_OK);
  assert_int_equal(reserve(1000, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 60001);
  assert_int_equal(reserve(31000, 0, 0), CC_ELIMIT);
  assert_int_equal(reserve(61001, 0, 0), CC_OK);
  assert_int_equal(reserve(1e12, 0, 0), CC_OK);
  assert_int_equal(reserve(61001, 0, 0), CC_ELIMIT);
  assert_int_equal(reserve(121002, 0, 0), CC_OK);
}

static void times_without_sense_count_as_the_latest(void **state) {
  (void)state;
  const double odd[] = {NAN, -1, -INFINITY, INFINITY, 1e18};
  rates(1, 0, 0, 0);
  assert_int_equal(reserve(5000, 0, 0), CC_OK);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(reserve(odd[i], 0, 0), CC_ELIMIT);
    assert_true(usage(odd[i]).requests == 1);
  }
  assert_int_equal(reserve(65001, 0, 0), CC_OK);
}

// ---- No window is over -------------------------------------------------------------------------

struct booked {
  double at, input, output;
};

enum { BOOKED = 200000 };
static struct booked log_of[BOOKED];
static int logged;

static double part(const struct booked *one, int kind) {
  const double parts[] = {1, one->input + one->output, one->input, one->output};
  return parts[kind];
}

// Slides a closed window of 60 s over all that was booked; a window with one booking alone may be
// over. Returns the fullest.
static double fullest(int kind, double rate) {
  double sum = 0, most = 0;
  for (int first = 0, last = 0; last < logged; last++) {
    sum += part(&log_of[last], kind);
    while (log_of[last].at - log_of[first].at > 60000)
      sum -= part(&log_of[first++], kind);
    if (sum > part(&log_of[last], kind)) assert_true(sum <= rate);
    if (sum > most) most = sum;
  }
  return most;
}

static uint64_t seed;

static unsigned below(unsigned end) {
  seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(seed >> 33) % end;
}

static void note(double now, double input, double output) {
  log_of[logged++] = (struct booked){now, input, output};
}

static void random_bookings_keep_every_window(void **state) {
  (void)state;
  for (unsigned round = 0; round < 20; round++) {
    fresh(state);
    seed = round, logged = 0;
    double now = below(100000) + 0.5, refused = 0;
    const double most[] = {200, 5000, 4000, 2000};
    rates(most[0], most[1], most[2], most[3]);
    for (int i = 0; i < 5000; i++) {
      double input = below(60), output = below(30);
      now += below(10) ? below(400) : below(9000);
      int error = reserve(now, input, output);
      if (error == CC_OK) note(now, input, output);
      if (error == CC_OK) continue;
      refused++;
      now += wait_ms;
      if (wait_ms > 1) assert_int_equal(reserve(now - 1, input, output), CC_ELIMIT);
      assert_int_equal(reserve(now, input, output), CC_OK);
      note(now, input, output);
    }
    assert_true(refused > 10);
    for (int kind = 0; kind < 4; kind++)
      fullest(kind, most[kind]);
  }
}

static double flood(double step_ms, int tries) {
  double until = 600000;
  logged = 0;
  for (double now = 0; now < until; now += step_ms)
    for (int i = 0; i < tries && reserve(now, 0, 0) == CC_OK; i++)
      note(now, 0, 0);
  return logged;
}

static void a_flood_gets_the_whole_rate(void **state) {
  const struct {
    double step_ms;
    int tries;
  } floods[] = {{7, 1000}, {13, 1}, {40, 1}, {333, 20}, {1000, 30}};
  for (unsigned i = 0; i < sizeof floods / sizeof *floods; i++) {
    fresh(state);
    rates(1000, 0, 0, 0);
    assert_true(flood(floods[i].step_ms, floods[i].tries) >= 0.99 * 10 * 1000);
    assert_true(fullest(0, 1000) == 1000);
  }
}

// ---- Threads -----------------------------------------------------------------------------------

#ifdef STEP_SLOW
enum { THREADS = 4, PHASES = 60, TRIES = 60 };
#else
enum { THREADS = 4, PHASES = 300, TRIES = 200 };
#endif

static pthread_barrier_t barrier;
static double phase_now;
static atomic_int phase_booked, phase_tokens;

// All threads hammer at one time; then the clock moves on. So the times of all bookings are known.
static void *hammer(void *argument) {
  uint64_t random = (uint64_t)(intptr_t)argument + 1;
  for (int phase = 0; phase < PHASES; phase++) {
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TRIES; i++) {
      struct cc_ticket own;
      double wait;
      random = random * 2862933555777941757u + 3037000493u;
      int tokens = (int)(random >> 60);
      if (cc_limit_reserve(limit, phase_now, tokens, 0, &own, &wait) != CC_OK) continue;
      int used = random >> 40 & 1 ? tokens : tokens / 2;
      if (i % 16 == 7) {
        cc_limit_release(&own, phase_now);
        continue;
      }
      cc_limit_settle(&own, phase_now, used, 0);
      phase_booked++;
      phase_tokens += used;
    }
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}

static void threads_keep_every_window(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  const double requests = 700, tokens = 4000;
  rates(requests, tokens, 0, 0);
  logged = 0, seed = 5, phase_now = 12345;
  pthread_barrier_init(&barrier, NULL, THREADS + 1);
  for (intptr_t i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, hammer, (void *)i);
  double all = 0;
  for (int phase = 0; phase < PHASES; phase++) {
    phase_booked = phase_tokens = 0;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    all += phase_booked;
    for (int i = 0; i < phase_booked; i++)
      note(phase_now, i ? 0 : phase_tokens, 0);
    phase_now += below(7000);
  }
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&barrier);
  assert_true(all > PHASES);
  assert_true(fullest(0, requests) > 0);
  assert_true(fullest(1, tokens) > 0);
}

static _Atomic uint64_t running_ms;
enum { RUN_SECONDS = 300 };
static _Atomic uint32_t per_second[RUN_SECONDS + 2];

// Every thread moves the clock itself and is often late with its own reading of it.
static void *run_with_the_clock(void *argument) {
  int thread = (int)(intptr_t)argument;
  for (;;) {
    struct cc_ticket own;
    double wait;
    uint64_t now = atomic_fetch_add(&running_ms, 3);
    if (now >= RUN_SECONDS * 1000) return NULL;
    if ((now / 3 + (uint64_t)thread) % 64 == 0) sched_yield();
    for (int i = 0; i < 4; i++)
      if (cc_limit_reserve(limit, (double)now, 0, 0, &own, &wait) == CC_OK)
        atomic_fetch_add(&per_second[own.second], 1);
  }
}

static void a_running_clock_keeps_every_window(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  const uint32_t rate = 5000;
  rates(rate, 0, 0, 0);
  for (intptr_t i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, run_with_the_clock, (void *)i);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  uint32_t all = 0;
  for (int first = 0; first < RUN_SECONDS; first++) {
    uint32_t sum = 0;
    for (int second = first; second < first + 60 && second < RUN_SECONDS; second++)
      sum += per_second[second];
    assert_true(sum <= rate);
    all += per_second[first];
  }
  assert_true(all >= 0.99 * rate * (RUN_SECONDS / 60));
}

// ---- Processes and death -----------------------------------------------------------------------

static void hammer_until_killed(void) {
  for (double now = 0;; now = now < 500 ? now + 5 : 0) {
    struct cc_ticket own;
    double wait;
    if (cc_limit_reserve(limit, 60000 + now, 10, 10, &own, &wait) != CC_OK) continue;
    cc_limit_settle(&own, now, 5, 5);
    cc_limit_release(&own, now);
  }
}

static void killed_processes_leave_it_usable(void **state) {
  (void)state;
  const double requests = 100, tokens = 1000;
  rates(requests, tokens, 0, 0);
  for (int round = 0; round < 20; round++) {
    pid_t children[3];
    for (int i = 0; i < 3; i++)
      if ((children[i] = fork()) == 0) hammer_until_killed();
    usleep(500 + 397 * (useconds_t)round);
    for (int i = 0; i < 3; i++)
      kill(children[i], SIGKILL);
    for (int i = 0; i < 3; i++)
      assert_int_equal(waitpid(children[i], NULL, 0), children[i]);
    assert_true(usage(60500).requests <= requests);
  }
  int admitted = 0;
  while (reserve(120501, 10, 0) == CC_OK)
    admitted++;
  assert_int_equal(admitted, requests);
}

static const double stepped_now = 70000;

static void book_and_settle(void) {
  struct cc_ticket own;
  double wait;
  cc_limit_reserve(limit, stepped_now, 10, 10, &own, &wait);
  cc_limit_settle(&own, stepped_now, 7, 0);
}

static void window_is_sound(void) {
  double before = usage(stepped_now).requests, own = 0;
  assert_true(before <= 1000);
  while (reserve(stepped_now, 10, 10) == CC_OK) {
    cc_limit_release(&ticket, stepped_now);
    if (++own == 10) break;
  }
  assert_true(usage(stepped_now).requests == before);
}

static void death_while_booking_costs_one_request(void **state) {
  (void)state;
  rates(1000, 100000, 0, 0);
  long deaths = step_through(book_and_settle, window_is_sound);
  if (!deaths) return;
  assert_true(usage(stepped_now).requests <= (double)deaths + 1);
  assert_true(usage(stepped_now).tokens <= 20 * (double)deaths + 20);
  int admitted = 0;
  while (reserve(stepped_now + 60001, 1, 1) == CC_OK)
    admitted++;
  assert_int_equal(admitted, 1000);
  printf("%ld deaths while booking\n", deaths);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(requests_are_counted),
      TEST(each_kind_of_tokens_is_counted),
      TEST(without_rates_all_is_let_in),
      TEST(a_request_above_the_rate_waits_for_emptiness),
      TEST(more_than_a_second_can_hold_is_refused),
      TEST(odd_amounts_count_as_none),
      TEST(settling_replaces_the_estimate),
      TEST(settling_late_changes_nothing),
      TEST(releasing_takes_all_back),
      TEST(headroom_is_the_least_share),
      TEST(a_new_configuration_counts_at_once),
      TEST(limits_that_do_not_exist_are_harmless),
      TEST(the_stricter_rate_counts),
      TEST(what_remains_counts_until_the_reset),
      TEST(a_refusal_takes_nothing_from_what_remains),
      TEST(of_one_reset_the_smaller_remainder_counts),
      TEST(odd_lessons_teach_nothing),
      TEST(gaps_of_any_length_are_harmless),
      TEST(a_little_back_books_at_the_latest),
      TEST(far_back_neither_empties_nor_freezes),
      TEST(times_without_sense_count_as_the_latest),
      TEST(random_bookings_keep_every_window),
      TEST(a_flood_gets_the_whole_rate),
      TEST(threads_keep_every_window),
      TEST(a_running_clock_keeps_every_window),
      TEST(killed_processes_leave_it_usable),
      TEST(death_while_booking_costs_one_request),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
