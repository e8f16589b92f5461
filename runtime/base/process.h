// SPDX-License-Identifier: Apache-2.0
// Sets the title of this process, reads its user and clocks, gets random bytes (api/util.h, api/crypto.h).
//
// cc_process forbids core dumps (no dumpable flag, core size 0), as memory holds secrets. With
// CCRELAY_DUMPABLE=1 in the environment it does not.
#ifndef CC_BASE_PROCESS_H
#define CC_BASE_PROCESS_H
#include "api/util.h"

// Gives the memory of the arguments to cc_process, which writes titles there. Arguments that are still
// needed must be copied before the first cc_process.
void cc_process_init(int argc, char **argv);
#endif
