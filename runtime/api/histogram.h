// SPDX-License-Identifier: Apache-2.0
// Histograms: named distributions of times that all processes share and a reload leaves alone.
#ifndef CC_API_HISTOGRAM_H
#define CC_API_HISTOGRAM_H
#include "api/types.h"
#pragma GCC visibility push(default)

enum { CC_BUCKETS = 23 }; // the last one has no upper bound

struct cc_histogram {
  double counts[CC_BUCKETS]; // of times in each bucket alone
  double sum_ms;
};

// The number of the histogram with this name (1 to 63 bytes), empty when new. CC_EINVAL for a bad name,
// CC_ELIMIT when the table is full.
int cc_histogram(const char *name, uint32_t size);

// Counts a time. Two atomic additions. Does nothing for a number that names no histogram; a negative time
// counts as 0.
void cc_histogram_add(int histogram, double ms);

// Copies a histogram to out; CC_ENOTFOUND and all zeros for a number that names none.
int cc_histogram_read(int histogram, struct cc_histogram *out);

// The upper bound of a bucket in ms, which belongs to it: the same in every histogram. Infinite for the
// last one.
double cc_histogram_bound(uint32_t bucket);

// Lists the histograms: their number, and the name of one of 0 to cc_histograms() - 1. CC_ENOTFOUND and an
// empty slice for others.
int cc_histograms(void);
int cc_histogram_name(int histogram, struct cc_slice *out);

#pragma GCC visibility pop
#endif
