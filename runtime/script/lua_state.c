// SPDX-License-Identifier: Apache-2.0
#include "script/lua_state.h"
#include "api/loop.h"
#include "script/watchdog.h"
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
  C_STACK = 64 * 1024 * 1024,
  LARGE = 1024 * 1024,
  SLACK = 16 * 1024 * 1024,
  DEEPEST = 256 // frames of the library above those of a script
};

static bool greedy; // a script has taken all it may and must be stopped

struct budget {
  size_t used, limit;
  size_t script;      // what scripts may add in one turn; 0: no such bound
  size_t turn_most;   // the memory that scripts may reach in this turn
  unsigned turn;      // the one that turn_most is for
  lua_Alloc allocate; // LuaJIT's own: faster than malloc
  void *data;
};

// Scripts may hold half of the limit in all. Above it, those of an exchange that has taken little so far go
// on, up to three quarters, so that the one that holds the memory ends, not others. The rest is for the
// library alone.
static size_t most_for_script(struct budget *budget, size_t taken) {
  unsigned turn = cc_watchdog_turn();
  if (turn != budget->turn) budget->turn_most = budget->used + budget->script;
  budget->turn = turn;
  size_t most = taken <= budget->script / 4 ? budget->limit / 4 * 3 : budget->limit / 2;
  return budget->turn_most < most ? budget->turn_most : most;
}

// What the library allocates for a script that called it counts as the script's. An allocation that fails
// within compiled code may crash the process, so a script that grows in small steps, or by calls of the
// library, gets its error at its next instruction, like one that is overdue. So does one that caught the
// failure of a large step.
static bool is_too_much(struct budget *budget, size_t growth) {
  size_t after = budget->used + growth;
  if (after > budget->limit) return true;
  if (!budget->script || !cc_watchdog_for_script()) return false;
  size_t taken = *cc_watchdog_allocated() += growth, most = most_for_script(budget, taken);
  if (after <= most) return false;
  greedy = true;
  cc_watchdog_expire();
  return cc_watchdog_in_script() && (growth >= LARGE || after > most + SLACK);
}

static void *allocate(void *data, void *memory, size_t old_size, size_t size) {
  struct budget *budget = data;
  if (!memory) old_size = 0;
  if (size > old_size && is_too_much(budget, size - old_size)) return NULL;
  void *moved = budget->allocate(budget->data, memory, old_size, size);
  if (moved || !size) budget->used += size - old_size;
  return moved;
}

// Recursion through C functions (callbacks of gsub) ends in "stack overflow" only if the C stack is so
// deep that LuaJIT's own limit comes first.
static void deepen_stack(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= C_STACK) return;
  limit.rlim_cur = limit.rlim_max < C_STACK ? limit.rlim_max : C_STACK;
  setrlimit(RLIMIT_STACK, &limit);
}

lua_State *cc_lua_state_open(size_t limit) {
  deepen_stack();
  struct budget *budget = calloc(1, sizeof *budget);
  lua_State *L = budget ? luaL_newstate() : NULL;
  if (!L) {
    free(budget);
    return NULL;
  }
  budget->limit = limit;
  budget->allocate = lua_getallocf(L, &budget->data);
  budget->used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
  lua_setallocf(L, allocate, budget);
  luaL_openlibs(L);
  return L;
}

void cc_lua_state_memory(lua_State *L, size_t bytes) {
  void *data;
  lua_getallocf(L, &data);
  struct budget *budget = data;
  budget->script = bytes;
}

// ---- Deadline ----------------------------------------------------------------------------------

static lua_State *guarded;
static double limit_ms;

// What sandbox.lua compiles has an environment that hides its metatable; library code has none.
static bool is_of_script(lua_State *L) {
  int top = lua_gettop(L);
  lua_getfenv(L, -1);
  bool is = lua_getmetatable(L, -1);
  if (is) {
    lua_pushliteral(L, "__metatable");
    lua_rawget(L, -2);
    is = lua_isboolean(L, -1);
  }
  lua_settop(L, top);
  return is;
}

// The stack level of the running script, or -1: the loop resumes scripts from another coroutine, and an
// error there would end the process.
static int level_of_script(lua_State *L) {
  lua_Debug frame;
  for (int level = 0; level < DEEPEST && lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "f", &frame);
    bool found = !lua_iscfunction(L, -1) && is_of_script(L);
    lua_pop(L, 1);
    if (found) return level;
  }
  return -1;
}

// Raises the error in the script alone, as library code that catches it must not get it too. A script that
// catches it is back in a script after its pcall, and gets it again. One that has failed by itself has
// left its coroutine, though the library may not have called cc_watchdog_enter yet.
static void stop_script(lua_State *L, lua_Debug *debug) {
  (void)debug;
  int level = cc_watchdog_in_script() ? level_of_script(L) : -1;
  if (level < 0) return;
  cc_watchdog_enter(CC_LIBRARY);
  luaL_where(L, level);
  if (greedy)
    lua_pushliteral(L, "not enough memory: the script took all it may");
  else
    lua_pushfstring(L, "the script ran for more than %d ms", (int)limit_ms);
  lua_concat(L, 2);
  lua_error(L);
}

// Runs in a signal handler, for which lua_sethook is made. Once armed, the hook runs at every instruction.
static void arm(void) {
  lua_sethook(guarded, stop_script, LUA_MASKCOUNT, 1);
}

static void disarm(void) {
  greedy = false;
  lua_sethook(guarded, NULL, 0, 0);
}

void cc_lua_state_deadline(lua_State *L, double ms) {
  guarded = L;
  limit_ms = ms;
  cc_watchdog_init(ms, arm, disarm);
}

// ---- Calls -------------------------------------------------------------------------------------

static int trace(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  luaL_traceback(L, L, message ? message : "(error object is not a string)", 1);
  return 1;
}

int cc_lua_state_call(lua_State *L, int arguments, int results) {
  int base = lua_gettop(L) - arguments;
  lua_pushcfunction(L, trace);
  lua_insert(L, base);
  int result = lua_pcall(L, arguments, results, base);
  lua_remove(L, base);
  return result;
}

void cc_lua_state_close(lua_State *L) {
  void *data;
  lua_getallocf(L, &data);
  struct budget *budget = data;
  lua_setallocf(L, budget->allocate, budget->data);
  lua_close(L);
  free(budget);
}
