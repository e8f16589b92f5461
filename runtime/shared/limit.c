// SPDX-License-Identifier: Apache-2.0
#include "shared/limit.h"
#include "api/error.h"
#include "shared/remainder.h"
#include "shared/reservations.h"
#include "shared/shared.h"
#include "shared/window.h"
#include <string.h>

enum { REQUESTS, INPUT, OUTPUT };                             // what a window holds
enum { RATE_REQUESTS, RATE_TOKENS, RATE_INPUT, RATE_OUTPUT }; // what has a rate
enum { KINDS = CC_WINDOW_KINDS, RATES = CC_RATE_KINDS, SECONDS = CC_WINDOW_SECONDS };
enum { TRIES = 64 };

static const uint64_t AMOUNT = CC_WINDOW_AMOUNT;
static const uint64_t WINDOW_MS = CC_WINDOW_MS;
static const uint64_t SET_BACK_MS = 300000;
static const uint64_t LEARN_MS = 3600000;
static const uint64_t LAST_MS = UINT64_C(4200000000) * 1000; // seconds fit in 32 bits

struct amounts {
  uint64_t of[KINDS];
};

static const struct amounts NOTHING;

// A time of the caller on the time line of the limit; latest instead of an invalid one.
static uint64_t placed(double now_ms, int64_t skew, uint64_t latest) {
  if (!(now_ms >= 0) || now_ms > (double)LAST_MS) return latest;
  int64_t time = (int64_t)now_ms + skew;
  return time >= 0 && (uint64_t)time <= LAST_MS ? (uint64_t)time : latest;
}

static uint64_t look_at_clock(struct cc_shared_limit *limit, double now_ms) {
  uint64_t latest = atomic_load(&limit->latest);
  uint64_t now = placed(now_ms, atomic_load(&limit->skew), latest);
  return now > latest ? now : latest;
}

static uint64_t move_clock(struct cc_shared_limit *limit, double now_ms) {
  for (;;) {
    int64_t skew = atomic_load(&limit->skew);
    uint64_t latest = atomic_load(&limit->latest);
    uint64_t now = placed(now_ms, skew, latest);
    if (now + SET_BACK_MS < latest)
      atomic_compare_exchange_strong(&limit->skew, &skew, skew + (int64_t)(latest - now));
    else if (now <= latest)
      return latest;
    else if (atomic_compare_exchange_strong(&limit->latest, &latest, now))
      return now;
  }
}

static uint64_t amount_of(const struct amounts *amounts, unsigned rate) {
  if (rate == RATE_REQUESTS) return amounts->of[REQUESTS];
  uint64_t input = rate == RATE_OUTPUT ? 0 : amounts->of[INPUT];
  uint64_t output = rate == RATE_INPUT ? 0 : amounts->of[OUTPUT];
  return input + output;
}

// The rate in force, 0 when there is none.
static double rate_of(struct cc_shared_limit *limit, unsigned rate) {
  double configured = atomic_load(&limit->configured[rate]);
  double learned = atomic_load(&limit->learned[rate]);
  if (configured <= 0) return learned;
  return learned > 0 && learned < configured ? learned : configured;
}

static bool is_limited(struct cc_shared_limit *limit, unsigned kind) {
  if (kind == REQUESTS) return rate_of(limit, RATE_REQUESTS) > 0;
  return rate_of(limit, RATE_TOKENS) > 0 ||
         rate_of(limit, kind == INPUT ? RATE_INPUT : RATE_OUTPUT) > 0;
}

// What the windows hold of the kinds that have a rate; the others do not matter and stay 0.
static struct amounts measure(struct cc_shared_limit *limit, uint64_t now) {
  struct amounts sums = {{0}};
  for (unsigned kind = 0; kind < KINDS; kind++)
    if (is_limited(limit, kind)) sums.of[kind] = cc_window_sum(limit->window[kind], now);
  return sums;
}

static bool fits(double rate, uint64_t others, uint64_t amount) {
  return rate <= 0 || others == 0 || (double)(others + amount) <= rate;
}

// The part of one second that is the next to stop counting towards a rate after *end, which is moved to
// that time. 0 when there is none.
static uint64_t ending_next(struct cc_shared_limit *limit, unsigned rate, uint64_t second,
                            uint64_t *end) {
  uint64_t held = 0, next = UINT64_MAX;
  for (unsigned kind = 0; kind < KINDS; kind++) {
    uint64_t ends;
    struct amounts only = {{0}};
    only.of[kind] = cc_window_held(limit->window[kind], second, &ends);
    uint64_t amount = amount_of(&only, rate);
    if (!amount || ends <= *end || ends > next) continue;
    held = ends < next ? amount : held + amount;
    next = ends;
  }
  if (held) *end = next;
  return held;
}

// Milliseconds until an amount fits under a rate that it does not fit under now.
static uint64_t wait_for(struct cc_shared_limit *limit, unsigned rate, uint64_t now,
                         uint64_t amount) {
  double most = rate_of(limit, rate);
  uint64_t second = now / 1000;
  uint64_t first = second >= SECONDS - 1 ? second - (SECONDS - 1) : 0;
  struct amounts sums = measure(limit, now);
  uint64_t left = amount_of(&sums, rate);
  for (uint64_t at = first; at <= second; at++) {
    uint64_t end = now, held;
    while ((held = ending_next(limit, rate, at, &end))) {
      left -= held < left ? held : left;
      if (fits(most, left, amount)) return end - now;
    }
  }
  return WINDOW_MS + 1;
}

// The whole minutes until a rate has room for the last part of ahead and *amount; that part is left in
// *amount. 0 when nothing is ahead, however large *amount is.
static uint64_t minutes_before(double rate, uint64_t ahead, uint64_t *amount) {
  if (!ahead || rate < 1) return 0;
  uint64_t most = (uint64_t)rate;
  uint64_t all = ahead + (*amount < most ? *amount : most);
  uint64_t minutes = (all - 1) / most;
  *amount = all - minutes * most;
  return minutes;
}

// 0 if the amounts fit on top of what is there and ahead, else the ms until they do.
static uint64_t shortage(struct cc_shared_limit *limit, uint64_t now, const struct amounts *amounts,
                         const struct amounts *ahead) {
  struct amounts sums = measure(limit, now);
  uint64_t longest = 0;
  for (unsigned rate = 0; rate < RATES; rate++) {
    double most = rate_of(limit, rate);
    uint64_t before = amount_of(ahead, rate), amount = amount_of(amounts, rate);
    uint64_t all = before + amount, left = atomic_load(&limit->left[rate]);
    uint64_t wait = minutes_before(most, before, &amount) * WINDOW_MS;
    if (!fits(most, amount_of(&sums, rate), amount)) wait += wait_for(limit, rate, now, amount);
    if (wait > longest) longest = wait;
    if (!cc_remainder_in_force(left, now) || all <= (uint32_t)left) continue;
    wait = (left >> 32) * 1000 - now;
    if (wait > longest) longest = wait;
  }
  return longest;
}

static bool is_now(struct cc_shared_limit *limit, uint64_t now) {
  return atomic_load(&limit->latest) / 1000 == now / 1000;
}

// Adds all the amounts or none. An amount without a rate that would overflow its word is not counted.
static bool add_all(struct cc_shared_limit *limit, uint64_t now, struct amounts *amounts) {
  for (unsigned kind = 0; kind < KINDS; kind++) {
    if (!amounts->of[kind] || cc_window_add(limit->window[kind], now, amounts->of[kind])) continue;
    if (!is_limited(limit, kind) && is_now(limit, now)) {
      amounts->of[kind] = 0;
      continue;
    }
    while (kind-- > 0)
      cc_window_change(limit->window[kind], now / 1000, -(double)amounts->of[kind]);
    return false;
  }
  return true;
}

static bool is_over(struct cc_shared_limit *limit, uint64_t now, const struct amounts *own) {
  struct amounts sums = measure(limit, now);
  for (unsigned rate = 0; rate < RATES; rate++) {
    uint64_t sum = amount_of(&sums, rate), amount = amount_of(own, rate);
    if (!fits(rate_of(limit, rate), sum > amount ? sum - amount : 0, amount)) return true;
  }
  return false;
}

static bool take_all_left(struct cc_shared_limit *limit, uint64_t now, const struct amounts *own,
                          uint32_t *resets) {
  for (unsigned rate = 0; rate < RATES; rate++) {
    if (cc_remainder_take(&limit->left[rate], now, amount_of(own, rate), &resets[rate])) continue;
    while (rate-- > 0)
      cc_remainder_change(&limit->left[rate], resets[rate], (double)amount_of(own, rate));
    return false;
  }
  return true;
}

static bool book(struct cc_shared_limit *limit, uint64_t now, struct amounts *own,
                 uint32_t *resets) {
  if (!add_all(limit, now, own)) return false;
  if (!is_over(limit, now, own) && is_now(limit, now) && take_all_left(limit, now, own, resets))
    return true;
  for (unsigned kind = 0; kind < KINDS; kind++)
    cc_window_change(limit->window[kind], now / 1000, -(double)own->of[kind]);
  return false;
}

int cc_limit(const char *name, uint32_t size) {
  return cc_shared_named(CC_TABLE_LIMITS, name, size);
}

void cc_limit_configure(int number, const struct cc_rates *rates) {
  struct cc_shared_limit *limit = cc_shared_limit(number);
  if (!limit) return;
  const double by_rate[RATES] = {rates->requests, rates->tokens, rates->input_tokens,
                                 rates->output_tokens};
  for (unsigned rate = 0; rate < RATES; rate++)
    atomic_store(&limit->configured[rate], by_rate[rate] > 0 ? by_rate[rate] : 0);
}

static uint64_t rounded_up(double value) {
  uint64_t below = (uint64_t)value;
  return below + ((double)below < value);
}

static double booked_of(const struct cc_reservation *reservation, unsigned rate) {
  if (rate == RATE_REQUESTS) return reservation->requests;
  return (rate == RATE_OUTPUT ? 0 : reservation->input_tokens) +
         (rate == RATE_INPUT ? 0 : reservation->output_tokens);
}

void cc_limit_learn(int number, uint32_t rate, double per_minute, double remaining, double reset_ms,
                    double now_ms, struct cc_reservation *reservation) {
  struct cc_shared_limit *limit = cc_shared_limit(number);
  if (!limit || rate >= RATES) return;
  if (per_minute > 0) atomic_store(&limit->learned[rate], per_minute);
  double away = reset_ms - now_ms;
  if (!(remaining >= 0) || !(away > 0)) return;
  if (away > (double)LEARN_MS) away = (double)LEARN_MS;
  uint64_t now = look_at_clock(limit, now_ms);
  bool own = reservation && reservation->limit == number;
  cc_remainder_learn(&limit->left[rate], now, now + rounded_up(away), remaining,
                     own ? reservation->resets[rate] : 0, own ? booked_of(reservation, rate) : 0);
  if (own) reservation->resets[rate] = 0;
}

static uint64_t counted(double tokens) {
  if (!(tokens > 0)) return 0;
  return tokens >= (double)AMOUNT ? AMOUNT : rounded_up(tokens);
}

double cc_limit_wait(int number, double now_ms, double input_tokens, double output_tokens,
                     const struct cc_rates *ahead) {
  struct cc_shared_limit *limit = cc_shared_limit(number);
  if (!limit) return 0;
  struct amounts own = {{1, counted(input_tokens), counted(output_tokens)}}, others = NOTHING;
  if (ahead)
    others = (struct amounts){
        {counted(ahead->requests), counted(ahead->input_tokens), counted(ahead->output_tokens)}};
  return (double)shortage(limit, look_at_clock(limit, now_ms), &own, &others);
}

static int reserve(int number, double now_ms, const struct amounts *wanted,
                   struct cc_reservation *reservation, double *wait_ms) {
  struct cc_shared_limit *limit = cc_shared_limit(number);
  *reservation = (struct cc_reservation){.limit = -1};
  *wait_ms = 0;
  if (!limit) return CC_EINVAL;
  for (int i = 0; i < TRIES; i++) {
    struct amounts own = *wanted;
    uint64_t now = move_clock(limit, now_ms);
    *wait_ms = (double)shortage(limit, now, &own, &NOTHING);
    if (*wait_ms > 0) return CC_ELIMIT;
    uint32_t resets[RATES];
    if (!book(limit, now, &own, resets)) continue;
    *reservation = (struct cc_reservation){.limit = number,
                                           .second = (uint32_t)(now / 1000),
                                           .requests = (double)own.of[REQUESTS],
                                           .input_tokens = (double)own.of[INPUT],
                                           .output_tokens = (double)own.of[OUTPUT]};
    memcpy(reservation->resets, resets, sizeof resets);
    return CC_OK;
  }
  *wait_ms = 1;
  return CC_ELIMIT;
}

int cc_limit_reserve(int number, double now_ms, double input_tokens, double output_tokens,
                     struct cc_reservation *reservation, double *wait_ms) {
  const struct amounts wanted = {{1, counted(input_tokens), counted(output_tokens)}};
  int error = reserve(number, now_ms, &wanted, reservation, wait_ms);
  if (error == CC_OK) reservation->entry = cc_reservations_add(reservation);
  return error;
}

int cc_limit_reserve_requests(int number, double now_ms, double requests,
                              struct cc_reservation *reservation, double *wait_ms) {
  const struct amounts wanted = {{counted(requests), 0, 0}};
  return reserve(number, now_ms, &wanted, reservation, wait_ms);
}

// Reserves whatever the windows say.
static void add_now(struct cc_shared_limit *limit, unsigned kind, double now_ms, double amount) {
  for (int i = 0; i < TRIES; i++)
    if (cc_window_add(limit->window[kind], move_clock(limit, now_ms), counted(amount))) return;
}

void cc_limit_commit(const struct cc_reservation *reservation, double now_ms, double input_tokens,
                     double output_tokens) {
  struct cc_shared_limit *limit = cc_shared_limit(reservation->limit);
  if (!limit) return;
  cc_reservations_remove(reservation);
  double input = (double)counted(input_tokens) - reservation->input_tokens;
  double output = (double)counted(output_tokens) - reservation->output_tokens;
  cc_window_change(limit->window[INPUT], reservation->second, input);
  if (output > 0)
    add_now(limit, OUTPUT, now_ms, output);
  else
    cc_window_change(limit->window[OUTPUT], reservation->second, output);
  cc_remainder_change(&limit->left[RATE_TOKENS], reservation->resets[RATE_TOKENS], -input - output);
  cc_remainder_change(&limit->left[RATE_INPUT], reservation->resets[RATE_INPUT], -input);
  cc_remainder_change(&limit->left[RATE_OUTPUT], reservation->resets[RATE_OUTPUT], -output);
}

void cc_limit_refund(const struct cc_reservation *reservation, double now_ms) {
  struct cc_shared_limit *limit = cc_shared_limit(reservation->limit);
  if (!limit) return;
  cc_limit_commit(reservation, now_ms, 0, 0);
  cc_window_change(limit->window[REQUESTS], reservation->second, -reservation->requests);
  cc_remainder_change(&limit->left[RATE_REQUESTS], reservation->resets[RATE_REQUESTS],
                      reservation->requests);
}

void cc_limit_refund_worker(uint32_t slot) {
  struct cc_reservation reservation;
  for (uint32_t at = 0; cc_reservations_take(slot, &at, &reservation);)
    cc_limit_refund(&reservation, 0);
}

static double smaller(double a, double b) {
  return a < b ? a : b;
}

double cc_limit_headroom(int number, double now_ms) {
  struct cc_shared_limit *limit = cc_shared_limit(number);
  if (!limit) return 1;
  double least = 1;
  uint64_t now = look_at_clock(limit, now_ms);
  struct amounts sums = measure(limit, now);
  for (unsigned rate = 0; rate < RATES; rate++) {
    double most = rate_of(limit, rate), free = 1;
    uint64_t left = atomic_load(&limit->left[rate]);
    bool told = cc_remainder_in_force(left, now);
    if (most > 0) free = 1 - (double)amount_of(&sums, rate) / most;
    if (told && most > 0) free = smaller(free, (double)(uint32_t)left / most);
    if (told && !(uint32_t)left) free = 0;
    least = smaller(least, free);
  }
  return least > 0 ? least : 0;
}

void cc_limit_usage(int number, double now_ms, struct cc_rates *used) {
  struct cc_shared_limit *limit = cc_shared_limit(number);
  *used = (struct cc_rates){0};
  if (!limit) return;
  struct amounts sums;
  uint64_t now = look_at_clock(limit, now_ms);
  for (unsigned kind = 0; kind < KINDS; kind++)
    sums.of[kind] = cc_window_sum(limit->window[kind], now);
  used->requests = (double)amount_of(&sums, RATE_REQUESTS);
  used->tokens = (double)amount_of(&sums, RATE_TOKENS);
  used->input_tokens = (double)amount_of(&sums, RATE_INPUT);
  used->output_tokens = (double)amount_of(&sums, RATE_OUTPUT);
}

void cc_limits_clear(void) {
  for (int number = 0; number < cc_shared_names(CC_TABLE_LIMITS); number++)
    memset(cc_shared_limit(number), 0, sizeof(struct cc_shared_limit));
}
