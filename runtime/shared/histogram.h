// SPDX-License-Identifier: Apache-2.0
// Histograms in shared memory (api/histogram.h). Each count is one atomic word that only grows, so a process
// may die at any instruction; a reader may see a time in a bucket that is not in the sum yet.
#ifndef CC_HISTOGRAM_H
#define CC_HISTOGRAM_H
#include "api/histogram.h"
#endif
