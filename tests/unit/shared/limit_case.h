// SPDX-License-Identifier: Apache-2.0
// One limit and short names for what is done to it, for the tests of limits.
#ifndef TESTS_LIMIT_CASE_H
#define TESTS_LIMIT_CASE_H
#include "shared/limit.h"
#include "shared/shared.h"

static int limit;
static double wait_ms;
static struct cc_reservation reservation;

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
  return cc_limit_reserve(limit, now, input, output, &reservation, &wait_ms);
}

static struct cc_rates usage(double now) {
  struct cc_rates used;
  cc_limit_usage(limit, now, &used);
  return used;
}
#endif
