// SPDX-License-Identifier: Apache-2.0
// Secrets: the contract, claims between processes, and texts that are whole whoever dies when.
#include "api/error.h"
#include "api/util.h"
#include "shared/secret.h"
#include "shared/shared.h"
#include "step.h"
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

static const double hour = 3600 * 1000;
static int secret;

static int fresh(void **state) {
  (void)state;
  cc_shared_close();
  secret = cc_secret("token", 5);
  return 0;
}

static struct cc_secret look(void) {
  struct cc_secret seen;
  assert_int_equal(cc_secret_look(secret, &seen), CC_OK);
  return seen;
}

static int write_text(const char *text) {
  return cc_secret_write(secret, text, (uint32_t)strlen(text), cc_time() + hour);
}

static void assert_text(const char *expected, uint32_t expected_version) {
  char text[CC_SECRET_BYTES];
  uint32_t version;
  assert_int_equal(cc_secret_read(secret, text, sizeof text, &version), strlen(expected));
  assert_memory_equal(text, expected, strlen(expected));
  assert_int_equal(version, expected_version);
}

static void assert_none(void) {
  char text[CC_SECRET_BYTES];
  uint32_t version;
  assert_int_equal(cc_secret_read(secret, text, sizeof text, &version), CC_ENOTFOUND);
  assert_true(look().expires == 0);
}

static bool claim(double lease_ms) {
  return cc_secret_claim(secret, cc_now(), lease_ms);
}

// Does any copy still have these bytes?
static bool is_kept(const char *text) {
  const struct cc_shared_secret *inside = cc_shared_secret(secret);
  const size_t size = sizeof inside->copies->words;
  for (int i = 0; i < CC_SECRET_COPIES; i++)
    if (memmem((const void *)inside->copies[i].words, size, text, strlen(text))) return true;
  return false;
}

// ---- One process -------------------------------------------------------------------------------

static void a_new_secret_is_none(void **state) {
  (void)state;
  struct cc_secret seen = look();
  assert_int_equal(secret, 0);
  assert_int_equal(cc_secret("other", 5), 1);
  assert_int_equal(cc_secret("token", 5), 0);
  assert_int_equal(cc_secret("", 0), CC_EINVAL);
  assert_true(seen.expires == 0 && seen.retry == 0);
  assert_int_equal(seen.version + seen.failures + seen.size, 0);
  assert_false(seen.claimed);
  assert_none();
}

static void a_full_table_says_so(void **state) {
  (void)state;
  char name[16];
  for (int i = 1; i < CC_SECRETS; i++) {
    snprintf(name, sizeof name, "%d", i);
    assert_int_equal(cc_secret(name, (uint32_t)strlen(name)), i);
  }
  assert_int_equal(cc_secret("more", 4), CC_ELIMIT);
  assert_int_equal(cc_secret("17", 2), 17);
}

static void what_is_written_is_read(void **state) {
  (void)state;
  char big[CC_SECRET_BYTES + 1], text[CC_SECRET_BYTES];
  uint32_t version;
  double expires = cc_time() + hour;
  assert_int_equal(cc_secret_write(secret, "CANARY7f3a9d", 12, expires), CC_OK);
  assert_text("CANARY7f3a9d", 1);
  assert_true(look().expires == expires);
  assert_int_equal(look().size, 12);
  assert_int_equal(look().version, 1);
  memset(big, 'x', sizeof big);
  assert_int_equal(cc_secret_write(secret, big, sizeof big, expires), CC_ELIMIT);
  assert_text("CANARY7f3a9d", 1);
  assert_int_equal(cc_secret_write(secret, big, CC_SECRET_BYTES, expires), CC_OK);
  assert_int_equal(cc_secret_read(secret, text, sizeof text, &version), CC_SECRET_BYTES);
  assert_memory_equal(text, big, sizeof text);
  assert_int_equal(version, 2);
  assert_int_equal(cc_secret_read(secret, text, sizeof text - 1, &version), CC_ELIMIT);
  assert_int_equal(cc_secret_write(secret, NULL, 0, expires), CC_OK);
  assert_text("", 3);
  assert_int_equal(cc_secret_write(secret, "x", 1, 0), CC_EINVAL);
  assert_int_equal(cc_secret_write(secret, "x", 1, NAN), CC_EINVAL);
  assert_text("", 3);
}

static void older_texts_are_wiped(void **state) {
  (void)state;
  assert_int_equal(write_text("CANARY7f3a9d, the first and longest"), CC_OK);
  assert_true(is_kept("CANARY7f3a9d"));
  assert_int_equal(write_text("second"), CC_OK);
  assert_false(is_kept("CANARY"));
  assert_false(is_kept("longest"));
  for (int i = 0; i < 3 * CC_SECRET_COPIES; i++)
    assert_int_equal(write_text(i % 2 ? "CANARY7f3a9d once more" : "short"), CC_OK);
  write_text("last");
  assert_false(is_kept("CANARY"));
  assert_false(is_kept("more"));
}

static void a_version_is_voided_once(void **state) {
  (void)state;
  cc_secret_void(secret, 0);
  write_text("one");
  cc_secret_void(secret, 0);
  cc_secret_void(secret, 2);
  assert_text("one", 1);
  cc_secret_void(secret, 1);
  assert_none();
  assert_int_equal(look().version, 1);
  assert_int_equal(look().size, 0);
  write_text("two");
  cc_secret_void(secret, 1);
  assert_text("two", 2);
  assert_true(look().expires > 0);
}

static void a_claim_ends(void **state) {
  (void)state;
  double now = cc_now();
  assert_false(cc_secret_claim(secret, now, 0));
  assert_false(cc_secret_claim(secret, now, NAN));
  assert_true(cc_secret_claim(secret, now, 60000));
  assert_true(look().claimed);
  assert_false(cc_secret_claim(secret, now + 59000, 60000));
  assert_true(cc_secret_claim(secret, now + 60001, 60000)); // the lease is over
  assert_false(cc_secret_claim(secret, now + 60001, 60000));
  write_text("one");
  assert_false(look().claimed);
  assert_true(cc_secret_claim(secret, now, 60000));
  cc_secret_fail(secret, 0);
  assert_false(look().claimed);
  assert_true(cc_secret_claim(secret, now, 60000));
  cc_secret_void(secret, 1);
  assert_true(look().claimed);
}

static void failures_are_counted_until_a_write(void **state) {
  (void)state;
  double retry = floor(cc_time()) + 5000;
  cc_secret_fail(secret, retry); // without a claim
  assert_int_equal(look().failures, 0);
  for (uint32_t i = 1; i < 4; i++) {
    assert_true(claim(hour));
    cc_secret_fail(secret, retry + i);
    assert_int_equal(look().failures, i);
    assert_true(look().retry == retry + i);
  }
  assert_true(claim(hour));
  write_text("one");
  assert_int_equal(look().failures, 0);
  assert_true(look().retry == 0);
  for (int i = 0; i < 1100; i++) {
    assert_true(claim(hour));
    cc_secret_fail(secret, i ? INFINITY : NAN);
  }
  assert_int_equal(look().failures, 1023);
  assert_true(look().retry > retry);
  assert_text("one", 1); // a failed refresh leaves what there is
}

static void secrets_that_do_not_exist_are_harmless(void **state) {
  (void)state;
  const int wrong[] = {-1, CC_SECRETS, CC_ELIMIT};
  struct cc_secret seen;
  char text[8];
  uint32_t version = 7;
  for (int i = 0; i < 3; i++) {
    assert_int_equal(cc_secret_look(wrong[i], &seen), CC_ENOTFOUND);
    assert_int_equal(cc_secret_read(wrong[i], text, sizeof text, &version), CC_ENOTFOUND);
    assert_int_equal(cc_secret_write(wrong[i], "x", 1, hour), CC_ENOTFOUND);
    assert_false(cc_secret_claim(wrong[i], cc_now(), hour));
    cc_secret_fail(wrong[i], hour);
    cc_secret_void(wrong[i], 1);
  }
  assert_int_equal(version, 0);
}

static void a_damaged_text_is_none(void **state) {
  (void)state;
  struct cc_shared_secret *inside = cc_shared_secret(secret);
  char text[16];
  uint32_t version;
  write_text("CANARY7f3a9d");
  for (int i = 0; i < CC_SECRET_COPIES; i++)
    atomic_fetch_xor(&inside->copies[i].words[3], 1u << 16);
  assert_int_equal(cc_secret_read(secret, text, sizeof text, &version), CC_ENOTFOUND);
  for (int i = 0; i < CC_SECRET_COPIES; i++)
    atomic_fetch_xor(&inside->copies[i].words[1], 1);
  assert_none();
  write_text("whole");
  assert_text("whole", 2);
}

// ---- Processes ---------------------------------------------------------------------------------

enum { PROCESSES = 8 };

static void *shared_page(void) {
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(page != MAP_FAILED);
  return page;
}

static pid_t in_child(void (*work)(void *), void *data) {
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    work(data);
    _exit(0);
  }
  return child;
}

static void join(pid_t child) {
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

enum { RACES = 200 };
struct race {
  atomic_int ready[RACES], won[RACES], done;
};

static void race(void *data) {
  struct race *races = data;
  for (int i = 0; i < RACES; i++) {
    char name[16];
    snprintf(name, sizeof name, "race %d", i);
    int number = cc_secret(name, (uint32_t)strlen(name));
    races->ready[i]++;
    while (races->ready[i] < PROCESSES)
      sched_yield();
    if (cc_secret_claim(number, cc_now(), hour)) races->won[i]++;
  }
  races->done++; // a claim lasts as long as its process
  while (races->done < PROCESSES)
    sched_yield();
}

static void one_of_many_claims(void **state) {
  (void)state;
  struct race *races = shared_page();
  pid_t children[PROCESSES];
  for (int i = 0; i < PROCESSES; i++)
    children[i] = in_child(race, races);
  for (int i = 0; i < PROCESSES; i++)
    join(children[i]);
  for (int i = 0; i < RACES; i++)
    assert_int_equal(races->won[i], 1);
  munmap(races, 4096);
}

struct meeting {
  atomic_int here, go;
  int result;
};

static void claim_and_stay(void *data) {
  struct meeting *meeting = data;
  if (!claim(hour)) _exit(1);
  meeting->here = 1;
  for (;;)
    pause();
}

static void a_dead_claimant_is_replaced(void **state) {
  (void)state;
  struct meeting *meeting = shared_page();
  pid_t child = in_child(claim_and_stay, meeting);
  while (!meeting->here)
    sched_yield();
  assert_true(look().claimed);
  assert_false(claim(hour));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  assert_false(look().claimed);
  assert_true(claim(hour));
  assert_false(claim(hour));
  munmap(meeting, 4096);
}

static void claim_be_late_and_write(void *data) {
  struct meeting *meeting = data;
  if (!claim(0.5)) _exit(1);
  meeting->here = 1;
  while (!meeting->go)
    sched_yield();
  cc_secret_fail(secret, 1e12);
  if (look().failures || !look().claimed) _exit(2);
  if (write_text("late, but whole") != CC_OK) _exit(3);
}

static void a_late_claimant_harms_nobody(void **state) {
  (void)state;
  struct meeting *meeting = shared_page();
  pid_t child = in_child(claim_be_late_and_write, meeting);
  while (!meeting->here)
    sched_yield();
  while (!claim(hour))
    sched_yield();
  meeting->go = 1;
  join(child);
  assert_text("late, but whole", 1);
  assert_true(look().claimed); // by this one
  assert_int_equal(write_text("in time"), CC_OK);
  assert_text("in time", 2);
  assert_false(look().claimed);
  munmap(meeting, 4096);
}

// A text of one letter, whose length tells the letter.
static uint32_t make_text(char *text, uint32_t i) {
  char letter = (char)('a' + i % 26);
  uint32_t size = 26 * (i * 7919 % 460) + (uint32_t)(letter - 'a') + 1;
  memset(text, letter, size);
  return size;
}

static bool is_whole(const char *text, int size) {
  char letter = (char)('a' + (size - 1) % 26);
  for (int i = 0; i < size; i++)
    if (text[i] != letter) return false;
  return size > 0;
}

static void write_on(void *unused) {
  char text[CC_SECRET_BYTES];
  (void)unused;
  for (uint32_t i = (uint32_t)getpid();; i++) {
    uint32_t size = make_text(text, i);
    cc_secret_write(secret, text, size, cc_time() + hour);
    if (i % 7 == 0) usleep(200);
  }
}

static uint32_t read_whole(uint32_t least) {
  char text[CC_SECRET_BYTES];
  uint32_t version;
  int size = cc_secret_read(secret, text, sizeof text, &version);
  assert_true(is_whole(text, size));
  assert_true(version >= least);
  return version;
}

#ifdef STEP_SLOW
enum { KILLS = 30, READS_BETWEEN = 20 };
#else
enum { KILLS = 200, READS_BETWEEN = 40 };
#endif

static void killed_writers_leave_all_whole(void **state) {
  (void)state;
  char text[CC_SECRET_BYTES];
  uint32_t version = 0, size = make_text(text, 1);
  pid_t children[3];
  cc_secret_write(secret, text, size, cc_time() + hour);
  for (int i = 0; i < 3; i++)
    children[i] = in_child(write_on, NULL);
  for (int i = 0; i < KILLS; i++) {
    for (int k = 0; k < READS_BETWEEN; k++)
      version = read_whole(version);
    kill(children[i % 3], SIGKILL);
    waitpid(children[i % 3], NULL, 0);
    version = read_whole(version);
    children[i % 3] = in_child(write_on, NULL);
  }
  for (int i = 0; i < 3; i++) {
    kill(children[i], SIGKILL);
    waitpid(children[i], NULL, 0);
  }
  assert_true(version > KILLS);
  for (int i = 0; i < 2 * CC_SECRET_COPIES; i++)
    assert_int_equal(write_text("survivor"), CC_OK);
  assert_int_equal(look().size, 8);
}

// ---- Threads -----------------------------------------------------------------------------------

enum { THREADS = 3 };
#ifdef STEP_SLOW
enum { ROUNDS = 300 };
#else
enum { ROUNDS = 3000 };
#endif
static atomic_int wrong, claimed;

static void *write_and_read(void *argument) {
  char text[CC_SECRET_BYTES];
  uint32_t version, last = 0;
  for (uint32_t i = 0; i < ROUNDS; i++) {
    uint32_t given = make_text(text, i + (uint32_t)(intptr_t)argument);
    if (i % 3 == 0 && cc_secret_write(secret, text, given, hour) != CC_OK) wrong++;
    if (i % 100 == 99) cc_secret_void(secret, last);
    int size = cc_secret_read(secret, text, sizeof text, &version);
    if (size == CC_ENOTFOUND && i) continue; // voided
    if (!is_whole(text, size) || version < last) wrong++;
    last = version;
  }
  return NULL;
}

static void *claim_and_fail(void *unused) {
  for (int i = 0; i < ROUNDS; i++) {
    if (!claim(hour)) continue;
    if (claimed++) wrong++;
    claimed--;
    cc_secret_fail(secret, hour);
  }
  return unused;
}

static void in_threads(void *(*work)(void *)) {
  pthread_t threads[THREADS];
  for (intptr_t i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, work, (void *)i);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
}

static void threads_read_whole_texts(void **state) {
  (void)state;
  wrong = 0;
  in_threads(write_and_read);
  assert_int_equal(wrong, 0);
  assert_int_equal(look().version, THREADS * ROUNDS / 3);
  in_threads(claim_and_fail);
  assert_int_equal(wrong, 0);
}

// ---- Death at every point ----------------------------------------------------------------------

static const char secret_text[] = "CANARY7f3a9d of the one who dies";

static void write_and_end_the_claim(void) {
  if (claim(hour)) write_text(secret_text);
}

static void text_is_old_or_new(void) {
  char text[CC_SECRET_BYTES];
  uint32_t version;
  int size = cc_secret_read(secret, text, sizeof text, &version);
  if (size == 8)
    assert_memory_equal(text, "survivor", 8);
  else
    assert_int_equal(size, sizeof secret_text - 1);
  assert_true(claim(hour));
  for (int i = 0; i < CC_SECRET_COPIES; i++)
    assert_int_equal(write_text("survivor"), CC_OK);
  assert_text("survivor", look().version);
  assert_false(look().claimed);
}

static void write_in_between(void) {
  for (int i = 0; i < CC_SECRET_COPIES; i++) {
    assert_int_equal(write_text("survivor"), CC_OK);
    assert_text("survivor", look().version);
  }
}

static void death_while_writing_is_harmless(void **state) {
  (void)state;
  write_text("survivor");
  step_through(write_and_end_the_claim, NULL, text_is_old_or_new);
  long all = step_count(write_and_end_the_claim); // it is published near the end
  text_is_old_or_new();
  step_range(write_and_end_the_claim, NULL, text_is_old_or_new, all - 300, all, 10 * STEP_LATE);
}

static void a_writer_that_sleeps_harms_nobody(void **state) {
  (void)state;
  write_text("survivor");
  step_through(write_and_end_the_claim, write_in_between, text_is_old_or_new);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_new_secret_is_none, fresh),
      cmocka_unit_test_setup(a_full_table_says_so, fresh),
      cmocka_unit_test_setup(what_is_written_is_read, fresh),
      cmocka_unit_test_setup(older_texts_are_wiped, fresh),
      cmocka_unit_test_setup(a_version_is_voided_once, fresh),
      cmocka_unit_test_setup(a_claim_ends, fresh),
      cmocka_unit_test_setup(failures_are_counted_until_a_write, fresh),
      cmocka_unit_test_setup(secrets_that_do_not_exist_are_harmless, fresh),
      cmocka_unit_test_setup(a_damaged_text_is_none, fresh),
      cmocka_unit_test_setup(one_of_many_claims, fresh),
      cmocka_unit_test_setup(a_dead_claimant_is_replaced, fresh),
      cmocka_unit_test_setup(a_late_claimant_harms_nobody, fresh),
      cmocka_unit_test_setup(killed_writers_leave_all_whole, fresh),
      cmocka_unit_test_setup(threads_read_whole_texts, fresh),
      cmocka_unit_test_setup(death_while_writing_is_harmless, fresh),
      cmocka_unit_test_setup(a_writer_that_sleeps_harms_nobody, fresh),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
