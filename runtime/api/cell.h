// SPDX-License-Identifier: Apache-2.0
// Cells: named numbers and short texts that all processes share and a reload leaves alone.
// shared/cell.h explains why they hold whenever a process dies.
#ifndef CC_API_CELL_H
#define CC_API_CELL_H
#include "api/types.h"
#pragma GCC visibility push(default)

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

#pragma GCC visibility pop
#endif
