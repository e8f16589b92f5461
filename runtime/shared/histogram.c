// SPDX-License-Identifier: Apache-2.0
#include "shared/histogram.h"
#include "api/error.h"
#include "shared/shared.h"
#include <math.h>

// In ms: 0.1 ms to 1000 s, three a decade.
static const double bounds[CC_BUCKETS - 1] = {
    0.1, 0.25, 0.5,  1,    2.5, 5,     10,  25,  50,    100, 250,
    500, 1000, 2500, 5000, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6,
};

_Static_assert((int)CC_BUCKETS == (int)CC_SHARED_BUCKETS, "one size for api and memory");

static const double MICROSECONDS = 1000; // of a ms
static const double MOST_MS = 1e12;      // 31 years

int cc_histogram(const char *name, uint32_t size) {
  return cc_shared_named(CC_TABLE_HISTOGRAMS, name, size);
}

static uint32_t bucket_of(double ms) {
  uint32_t bucket = 0;
  while (bucket < CC_BUCKETS - 1 && ms > bounds[bucket])
    bucket++;
  return bucket;
}

void cc_histogram_add(int number, double ms) {
  struct cc_shared_histogram *histogram = cc_shared_histogram(number);
  if (!histogram) return;
  if (!(ms > 0)) ms = 0;
  if (ms > MOST_MS) ms = MOST_MS;
  atomic_fetch_add_explicit(&histogram->counts[bucket_of(ms)], 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&histogram->sum, (uint64_t)(ms * MICROSECONDS), memory_order_relaxed);
}

int cc_histogram_read(int number, struct cc_histogram *out) {
  struct cc_shared_histogram *histogram = cc_shared_histogram(number);
  *out = (struct cc_histogram){0};
  if (!histogram) return CC_ENOTFOUND;
  for (uint32_t i = 0; i < CC_BUCKETS; i++)
    out->counts[i] = (double)atomic_load(&histogram->counts[i]);
  out->sum_ms = (double)atomic_load(&histogram->sum) / MICROSECONDS;
  return CC_OK;
}

double cc_histogram_bound(uint32_t bucket) {
  return bucket < CC_BUCKETS - 1 ? bounds[bucket] : INFINITY;
}

int cc_histograms(void) {
  return cc_shared_names(CC_TABLE_HISTOGRAMS);
}

int cc_histogram_name(int number, struct cc_slice *out) {
  return cc_shared_name(CC_TABLE_HISTOGRAMS, number, out);
}
