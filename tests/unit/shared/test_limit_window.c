// SPDX-License-Identifier: Apache-2.0
// No window of 60 s is over a rate: at random, in a flood, with threads, processes and deaths, and
// with a process standing still at every point of its booking.
#include "api/error.h"
#include "limit_case.h"
#include "shared/cell.h"
#include "step.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

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
      struct cc_reservation own;
      double wait;
      random = random * 2862933555777941757u + 3037000493u;
      int tokens = (int)(random >> 60);
      if (cc_limit_reserve(limit, phase_now, tokens, 0, &own, &wait) != CC_OK) continue;
      int used = random >> 40 & 1 ? tokens : tokens / 2;
      if (i % 16 == 7) {
        cc_limit_refund(&own, phase_now);
        continue;
      }
      cc_limit_commit(&own, phase_now, used, 0);
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
    struct cc_reservation own;
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
    struct cc_reservation own;
    double wait;
    if (cc_limit_reserve(limit, 60000 + now, 10, 10, &own, &wait) != CC_OK) continue;
    cc_limit_commit(&own, now, 5, 5);
    cc_limit_refund(&own, now);
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
  struct cc_reservation own;
  double wait;
  cc_limit_reserve(limit, stepped_now, 10, 10, &own, &wait);
  cc_limit_commit(&own, stepped_now, 7, 0);
}

static void window_is_sound(void) {
  double before = usage(stepped_now).requests, own = 0;
  assert_true(before <= 1000);
  while (reserve(stepped_now, 10, 10) == CC_OK) {
    cc_limit_refund(&reservation, stepped_now);
    if (++own == 10) break;
  }
  assert_true(usage(stepped_now).requests == before);
}

static void death_while_booking_costs_one_request(void **state) {
  (void)state;
  rates(1000, 100000, 0, 0);
  long deaths = step_through(book_and_settle, NULL, window_is_sound);
  assert_true(usage(stepped_now).requests <= (double)deaths + 1);
  assert_true(usage(stepped_now).tokens <= 20 * (double)deaths + 20);
  int admitted = 0;
  while (reserve(stepped_now + 60001, 1, 1) == CC_OK)
    admitted++;
  assert_int_equal(admitted, 1000);
}

// ---- Two processes, one standing still at every point of its booking ---------------------------

static int child_booked, child_second, parent_booked;

static void book_late(double now) {
  struct cc_reservation own;
  double wait;
  if (cc_limit_reserve(limit, now, 0, 0, &own, &wait) != CC_OK) return;
  cc_cell_set(child_booked, 1);
  cc_cell_set(child_second, own.second);
}

static void fill_but_one(double rate, double now) {
  cc_shared_close();
  limit = cc_limit("limit", 5);
  child_booked = cc_cell("booked", 6);
  child_second = cc_cell("second", 6);
  parent_booked = 0;
  rates(rate, 0, 0, 0);
  for (int i = 1; i < rate; i++)
    assert_int_equal(reserve(now, 0, 0), CC_OK);
}

static void book_last_seat(void) {
  book_late(900);
}

static void take_last_seat(void) {
  parent_booked += reserve(900, 0, 0) == CC_OK;
}

static void one_got_the_last_seat(void) {
  assert_int_equal(parent_booked + (int)cc_cell_get(child_booked), 1);
  assert_true(usage(900).requests == 10);
  fill_but_one(10, 900);
}

static void the_last_seat_is_given_once(void **state) {
  (void)state;
  fill_but_one(10, 900);
  step_through(book_last_seat, take_last_seat, one_got_the_last_seat);
}

static void book_before_the_turn(void) {
  book_late(60500);
}

// Takes the last seat of the window that ends at 60500, then books in the second that takes the
// place of the first one.
static void turn_the_ring(void) {
  parent_booked += reserve(60500, 0, 0) == CC_OK;
  assert_int_equal(reserve(61000, 0, 0), CC_OK);
}

static void the_turned_window_is_not_over(void) {
  bool within = cc_cell_get(child_booked) == 1 && cc_cell_get(child_second) == 60;
  assert_true(9 + parent_booked + within <= 10);
  fill_but_one(10, 900);
}

static void who_comes_late_sees_the_ring_turn(void **state) {
  (void)state;
  fill_but_one(10, 900);
  step_through(book_before_the_turn, turn_the_ring, the_turned_window_is_not_over);
}

static void book_a_lap_later(void) {
  parent_booked += reserve(121500, 0, 0) == CC_OK;
}

static void the_later_lap_is_whole(void) {
  bool within = cc_cell_get(child_booked) == 1 && cc_cell_get(child_second) == 121;
  assert_true(usage(121500).requests == parent_booked + within);
  fill_but_one(10, 900);
}

static void who_comes_a_lap_late_overwrites_nothing(void **state) {
  (void)state;
  fill_but_one(10, 900);
  step_through(book_before_the_turn, book_a_lap_later, the_later_lap_is_whole);
}

static void learn_two(void) {
  fill_but_one(1, 0);
  rates(10, 0, 0, 0);
  cc_limit_learn(limit, 0, 0, 5, 60000, 0, NULL);
  cc_limit_learn(limit, 1, 0, 10, 60000, 0, NULL);
}

static void take_tokens_left(void) {
  struct cc_reservation own;
  double wait;
  cc_cell_set(child_booked, cc_limit_reserve(limit, 0, 10, 0, &own, &wait) == CC_OK);
}

static void take_tokens_too(void) {
  parent_booked += reserve(0, 10, 0) == CC_OK;
}

static void one_request_was_taken(void) {
  double all = parent_booked + cc_cell_get(child_booked);
  assert_true(all == (parent_booked || cc_cell_get(child_booked) ? 1 : 0));
  assert_true(cc_limit_headroom(limit, 0) == 0); // no tokens left
  cc_limit_learn(limit, 1, 0, 10, 63000, 0, NULL);
  assert_true(cc_limit_headroom(limit, 0) == 0.4);
  learn_two();
}

static void what_was_taken_for_nothing_is_given_back(void **state) {
  (void)state;
  learn_two();
  step_through(take_tokens_left, take_tokens_too, one_request_was_taken);
}

static void book_early_in_the_second(void) {
  book_late(60100);
}

static void book_late_in_the_second(void) {
  parent_booked += reserve(60900, 0, 0) == CC_OK;
}

static void the_second_counts_to_its_last_booking(void) {
  int booked = parent_booked + (int)cc_cell_get(child_booked);
  if (parent_booked) assert_true(usage(120900).requests == booked);
  fill_but_one(10, 0);
}

static void a_late_addition_keeps_the_latest_time(void **state) {
  (void)state;
  fill_but_one(10, 0);
  step_through(book_early_in_the_second, book_late_in_the_second,
               the_second_counts_to_its_last_booking);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(random_bookings_keep_every_window),
      TEST(a_flood_gets_the_whole_rate),
      TEST(threads_keep_every_window),
      TEST(a_running_clock_keeps_every_window),
      TEST(killed_processes_leave_it_usable),
      TEST(death_while_booking_costs_one_request),
      TEST(the_last_seat_is_given_once),
      TEST(who_comes_late_sees_the_ring_turn),
      TEST(who_comes_a_lap_late_overwrites_nothing),
      TEST(what_was_taken_for_nothing_is_given_back),
      TEST(a_late_addition_keeps_the_latest_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
