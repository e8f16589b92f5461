// SPDX-License-Identifier: Apache-2.0
// The border between C and Lua: all that Lua can see of the runtime. api/types.h has the conventions.
//
// C files include the headers of api/ that they use, so that a change rebuilds those only. The build joins
// all of them into one text, which the library carries and ffi.cdef parses (cmake/embed.cmake).
#ifndef CC_RELAY_H
#define CC_RELAY_H
#include "api/answer.h"
#include "api/attempt.h"
#include "api/crypto.h"
#include "api/database.h"
#include "api/error.h"
#include "api/file.h"
#include "api/histogram.h"
#include "api/job.h"
#include "api/json.h"
#include "api/listen.h"
#include "api/log.h"
#include "api/loop.h"
#include "api/outcome.h"
#include "api/process.h"
#include "api/record.h"
#include "api/request.h"
#include "api/secret.h"
#include "api/shared.h"
#include "api/types.h"
#include "api/util.h"
#endif
