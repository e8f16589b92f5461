// SPDX-License-Identifier: Apache-2.0
// Opens the LuaJIT state of this process and bounds what scripts use of it. Only this and main.c include lua.h.
#ifndef CC_LUA_STATE_H
#define CC_LUA_STATE_H
#include <lua.h>
#include <stddef.h>

// Opens a state with the standard libraries. Its memory is capped at limit bytes: beyond it Lua code gets
// "not enough memory" as an ordinary error. Closed with cc_lua_state_close.
lua_State *cc_lua_state_open(size_t limit);

// Ends script code (cc_watchdog_enter) that uses more than ms of processor time while Lua handles one
// event: it gets an error. 0: no deadline.
void cc_lua_state_deadline(lua_State *L, double ms);

// Caps the memory that script code may add while Lua handles one event: beyond bytes it gets "not enough
// memory". So it does when the state holds more than half of its limit, or three quarters as long as its
// counter (cc_watchdog_allocated) is at most a quarter of bytes. Needs a deadline.
void cc_lua_state_memory(lua_State *L, size_t bytes);

// Calls the function below its arguments like lua_pcall: 0, or an error with message and traceback on the
// stack.
int cc_lua_state_call(lua_State *L, int arguments, int results);

void cc_lua_state_close(lua_State *L);
#endif
