// SPDX-License-Identifier: Apache-2.0
// Signals of the process as events.
#ifndef CC_SIGNALS_H
#define CC_SIGNALS_H
#include "loop/engine.h"

// Closes the handles that cc_signal opened.
void cc_signals_close(struct cc_relay *relay);
#endif
