// SPDX-License-Identifier: Apache-2.0
// The process: its name, its user, its clocks, its random bytes,.
//
// cc_process also forbids core dumps (no dumpable flag, core size 0), as memory holds secrets.
// With CCRELAY_DUMPABLE=1 in the environment they stay as they are.
#ifndef CC_BASE_PROCESS_H
#define CC_BASE_PROCESS_H
#include "api/util.h"

// Gives the memory of the arguments to cc_process, which writes its titles there. Whoever still
// needs the arguments copies them before the first cc_process.
void cc_process_init(int argc, char **argv);
#endif
