// SPDX-License-Identifier: Apache-2.0
extern "C" {
#include "relay.h"
}
