// SPDX-License-Identifier: Apache-2.0
// The LuaJIT state of this process and its bounds. Together with main.c the only user of lua.h.
#ifndef CC_LUA_STATE_H
#define CC_LUA_STATE_H
#include <lua.h>
#include <stddef.h>

// A state with the standard libraries whose memory is capped at limit bytes: beyond it Lua code
// gets "not enough memory" as an ordinary error.
lua_State *cc_lua_state_open(size_t limit);

// Ends script code (cc_watchdog_enter) that uses more than ms of processor time of its own in one stay in
// Lua: it gets an error. 0: no deadline.
void cc_lua_state_deadline(lua_State *L, double ms);

// Caps what script code may add in one stay in Lua to what there was before it; beyond gets "not enough
// memory". So it does above half of the state's limit, or above three quarters as long as its counter
// (cc_watchdog_allocated) is at most a quarter of bytes. Only with a deadline are there stays.
void cc_lua_state_memory(lua_State *L, size_t bytes);

// Calls the function below its arguments with a traceback on errors: 0, or the message on the
// stack. Like lua_pcall.
int cc_lua_state_call(lua_State *L, int arguments, int results);

void cc_lua_state_close(lua_State *L);
#endif
