// SPDX-License-Identifier: Apache-2.0
// The conventions of the border between C and Lua, and the types that all of it uses.
//
// The headers of this folder are all that Lua can see of C. C compiles them; joined, and without the lines
// that begin with '#', they are the text that lua/ccrelay/c.lua gives to ffi.cdef. So they hold enums,
// structs and prototypes only, nothing that LuaJIT cannot parse.
//
// - A result of type int is CC_OK or a negative enum cc_error, unless the prototype says otherwise.
// - Times are milliseconds in a double: cc_now() never jumps, cc_time() is the wall clock.
// - Bytes that come out (struct cc_slice) are borrowed until the next cc_next. Bytes that go in are
//   copied before the call returns.
// - Text that goes in is a pointer and a size and need not end with NUL. A parameter named path, or a
//   const char * without a size, ends with NUL.
// - Memory that a function allocates for its caller is freed with cc_free.
#ifndef CC_API_TYPES_H
#define CC_API_TYPES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cc_relay;

// Names an exchange or a job: a whole number below 2^53, made of a slot and the slot's generation. An
// id that is kept too long gives CC_ESTALE, never the data of another.
typedef double cc_id;

struct cc_slice {
  const char *data;
  uint32_t size;
};
#endif
