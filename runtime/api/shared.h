// SPDX-License-Identifier: Apache-2.0
// Cells and limits, which all processes share and a reload leaves alone.
#ifndef CC_API_SHARED_H
#define CC_API_SHARED_H
#include "api/types.h"
#pragma GCC visibility push(default)

// ---- Cells -------------------------------------------------------------------------------------

// Cells are named numbers and short texts. shared/cell.h explains why they hold whenever a process dies.

// The number of the cell with this name (1 to 63 bytes). A new one holds 0 and "". CC_EINVAL for a bad
// name, CC_ELIMIT when the table is full.
int cc_cell(const char *name, uint32_t size);

// Values are whole numbers within 2^53; fractions are cut off. Numbers that name no cell read as 0 and
// are not written.
double cc_cell_get(int cell);
void cc_cell_set(int cell, double value);

// Adds and returns the new value.
double cc_cell_add(int cell, double value);

// Sets desired if the cell holds expected; whether it did.
bool cc_cell_swap(int cell, double expected, double desired);

// The text of a cell, up to 191 bytes: cc_cell_text copies it to out and returns its size, cc_cell_write
// replaces it and cuts off what is longer.
int cc_cell_text(int cell, char *out, uint32_t capacity);
void cc_cell_write(int cell, const char *text, uint32_t size);

// Lists the cells: their number, and the name of one of 0 to cc_cells() - 1. CC_ENOTFOUND and an empty
// slice for others.
int cc_cells(void);
int cc_cell_name(int cell, struct cc_slice *out);

// ---- Limits ------------------------------------------------------------------------------------

// Limits are named rates over sliding windows of 60 s. No window of 60 s ever holds more reservations
// than its rate; shared/limit.h explains why.

struct cc_rates { // a minute; 0: unlimited
  double requests;
  double tokens;
  double input_tokens;
  double output_tokens;
};

struct cc_reservation {
  int32_t limit;
  uint32_t second;    // in which it was made
  uint32_t entry;     // in this worker's list of open reservations; 0: in none
  uint32_t resets[4]; // of the learned remainders it took from, by kind; 0: from none
  double requests;
  double input_tokens;
  double output_tokens;
};

// The number of the limit with this name (1 to 63 bytes), unlimited when new. CC_EINVAL for a bad name,
// CC_ELIMIT when the table is full.
int cc_limit(const char *name, uint32_t size);

// Sets the configured rates.
void cc_limit_configure(int limit, const struct cc_rates *rates);

// Records what the headers of an answer say about one kind (0 requests, 1 tokens, 2 input tokens, 3
// output tokens): its rate, and what remains until reset_ms (cc_now). reservation: that of the request
// whose answer says so, which remaining has counted already; or NULL. Of configured and learned rates the
// stricter one counts.
void cc_limit_learn(int limit, uint32_t kind, double rate, double remaining, double reset_ms,
                    double now_ms, struct cc_reservation *reservation);

// Milliseconds until one request with these estimated tokens would fit, 0 when it does now. Reserves
// nothing. ahead: what others will take first (requests, input and output tokens; tokens is not read), or
// NULL. The time is never too short; it may be too long, as no request is split over two minutes.
double cc_limit_wait(int limit, double now_ms, double input_tokens, double output_tokens,
                     const struct cc_rates *ahead);

// Reserves one request with its estimated tokens: CC_OK and the reservation; or CC_ELIMIT and in
// *wait_ms when it would fit, with nothing reserved. A request that alone is over a rate is let in when
// the window is empty.
int cc_limit_reserve(int limit, double now_ms, double input_tokens, double output_tokens,
                     struct cc_reservation *reservation, double *wait_ms);

// Reserves so many requests at once, without tokens, for a batch. These are not refunded when this
// worker dies.
int cc_limit_reserve_requests(int limit, double now_ms, double requests,
                              struct cc_reservation *reservation, double *wait_ms);

// Replaces the estimate with real usage. Input counts when it was reserved, for the provider counted it
// then; output above the estimate counts at now_ms, for it was made until then.
void cc_limit_commit(const struct cc_reservation *reservation, double now_ms, double input_tokens,
                     double output_tokens);

// Gives all of it back: nothing was sent.
void cc_limit_refund(const struct cc_reservation *reservation, double now_ms);

// The smallest free share of all configured rates, 0 to 1; 1 when unlimited.
double cc_limit_headroom(int limit, double now_ms);

// Makes every limit as when it was new. For tests, while nobody else reserves.
void cc_limits_clear(void);

#pragma GCC visibility pop
#endif
