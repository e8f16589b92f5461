// SPDX-License-Identifier: Apache-2.0
// Bounds on scripts: what they may add in one stay, and what is the library's whatever they keep.
#include "api/loop.h"
#include "script/lua_state.h"
#include "script/watchdog.h"
#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MIB = 1024 * 1024, LIMIT = 96 * MIB, SCRIPT = 8 * MIB, SLACK = 17 * MIB };

static lua_State *L;

static int open_state(void **state) {
  (void)state;
  L = cc_lua_state_open(LIMIT);
  cc_lua_state_deadline(L, 60000);
  cc_lua_state_memory(L, SCRIPT);
  return luaL_dostring(L, "jit.off()"); // as sandbox.lua has it for scripts
}

static int close_state(void **state) {
  (void)state;
  cc_watchdog_end();
  cc_lua_state_close(L);
  return 0;
}

static size_t held(void) {
  return (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
}

// Gives the function on the stack an environment like that of scripts: sandbox.lua.
static void as_script(void) {
  assert_int_equal(luaL_dostring(L, "return setmetatable({}, {__index = _G, __newindex = _G, "
                                    "__metatable = false})"),
                   0);
  lua_setfenv(L, -2);
}

// Runs text; the only error it may meet is that of the cap.
static bool run(const char *text, bool inside) {
  assert_int_equal(luaL_loadstring(L, text), 0);
  if (inside) as_script();
  cc_watchdog_enter(inside ? CC_SCRIPT : CC_LIBRARY);
  bool ok = lua_pcall(L, 0, 0, 0) == 0;
  cc_watchdog_enter(CC_LIBRARY);
  if (!ok) assert_non_null(strstr(lua_tostring(L, -1), "not enough memory"));
  lua_settop(L, 0);
  return ok;
}

static bool script(const char *text) {
  return run(text, true);
}

static bool library(const char *text) {
  return run(text, false);
}

static const char *const greedy[] = {
    "local t = {} while true do t[#t + 1] = {} end",
    "local t = {} for i = 1, 1e9 do t[i] = i end",
    "local s = 'x' while true do s = s .. s end",
    "local s = string.rep('x', 1e9)",
    "local s = string.gsub(string.rep('x', 1e6), '.', string.rep('y', 1000))",
    "local t = {} while true do local f = t t = function() return f end end",
    "local t = {} for i = 1, 1e9 do t[i] = tostring(i) end",
    "local s = table.concat({string.rep('x', 5e6), string.rep('y', 5e6)})",
    "pcall(string.rep, 'x', 5e7) for i = 1, 100 do end",
};

static void test_greedy(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof greedy / sizeof *greedy; i++) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    size_t before = held();
    assert_false(script(greedy[i]));
    assert_in_range(held(), 0, before + SCRIPT + SLACK);
    lua_pushnil(L);
    lua_setglobal(L, "kept");
    lua_gc(L, LUA_GCCOLLECT, 0);
    assert_in_range(held(), 0, before + SLACK);
    cc_watchdog_end();
  }
}

static void test_modest(void **state) {
  (void)state;
  assert_true(library(
      "function add(n) for i = 1, n do kept[#kept + 1] = string.rep('x', 2^17 + #kept) end end"));
  assert_true(library("kept = {}"));
  assert_true(script("add(40)"));  // of 128 KiB and more
  assert_false(script("add(40)")); // the same stay
  cc_watchdog_end();
  assert_true(script("add(40)"));
}

static void test_library_is_apart(void **state) {
  (void)state;
  assert_false(script("kept = string.rep('x', 20 * 2^20)"));
  assert_true(library("kept = string.rep('x', 20 * 2^20)")); // the same stay
  assert_false(library("kept = string.rep('x', 2^30)"));
}

static void test_what_is_kept_leaves_room(void **state) {
  (void)state;
  bool ok = true;
  assert_true(library("kept = {}"));
  for (int i = 0; ok && i < 200; i++) {
    ok = script("kept[#kept + 1] = string.rep('x', 2^20 + #kept)");
    cc_watchdog_end();
  }
  assert_false(ok);
  assert_in_range(held(), LIMIT / 2 - 4 * MIB, LIMIT / 2 + 4 * MIB);
  assert_true(library("other = string.rep('x', 10 * 2^20)"));
}

static bool stay(size_t *taken, const char *text) {
  cc_watchdog_end();
  cc_watchdog_begin(taken);
  return script(text);
}

// Whoever has taken much ends above half of the limit, whoever has taken little goes on.
static void test_who_holds_much_pays(void **state) {
  (void)state;
  size_t much = 0, little = 0;
  assert_true(
      library("kept = {} function keep() kept[#kept + 1] = string.rep('x', 2^18 + #kept) end"));
  while (stay(&much, "keep()"))
    assert_in_range(held(), 0, LIMIT / 2 + MIB);
  assert_true(much > SCRIPT / 4);
  for (int i = 0; i < 4; i++)
    assert_true(stay(&little, "keep()"));
  assert_in_range(held(), LIMIT / 2, LIMIT / 4 * 3);
  assert_false(stay(&much, "keep()"));
  assert_true(stay(&(size_t){0}, "keep()"));
  while (stay(&little, "keep()"))
    continue;
  assert_in_range(little, SCRIPT / 4, SCRIPT / 4 + MIB);
  cc_watchdog_end();
}

// A call that leaves a text of 1 MiB which is the library's own, then goes back to the script.
static int call_library(lua_State *thread) {
  static int count;
  cc_watchdog_enter(CC_CALLED);
  luaL_Buffer buffer;
  luaL_buffinit(thread, &buffer);
  lua_pushfstring(thread, "%d", count++);
  luaL_addvalue(&buffer);
  for (int i = 0; i < MIB / 1024; i++)
    memset(luaL_prepbuffer(&buffer), 'x', 1024), luaL_addsize(&buffer, 1024);
  luaL_pushresult(&buffer);
  cc_watchdog_enter(CC_SCRIPT);
  return 1;
}

// What the library allocates for a script counts as the script's, and the script alone meets the end.
static void test_calls_count(void **state) {
  (void)state;
  lua_register(L, "call_library", call_library);
  assert_false(script("local t = {} for i = 1, 1e9 do t[i] = call_library() end"));
  assert_in_range(held(), 0, SCRIPT + SLACK + 8 * MIB);
  cc_watchdog_end();
  assert_true(script("call_library()"));
}

static int enter(lua_State *thread) {
  (void)thread;
  cc_watchdog_enter(CC_SCRIPT);
  return 0;
}

static int fail_overdue(lua_State *thread) {
  cc_watchdog_expire();
  return luaL_error(thread, "its own");
}

static void define_script(const char *name, const char *text) {
  assert_int_equal(luaL_loadstring(L, text), 0);
  as_script();
  lua_setglobal(L, name);
}

// The loop resumes scripts: one that fails by itself when it is overdue must not fail the loop.
static void test_stops_in_scripts_alone(void **state) {
  (void)state;
  lua_register(L, "enter", enter);
  lua_register(L, "fail_overdue", fail_overdue);
  define_script("failing", "fail_overdue()");
  define_script("looping", "while true do end");
  int failed =
      luaL_dostring(L, "enter() local ok, one = coroutine.resume(coroutine.create(failing)) "
                       "enter() local ok, two = coroutine.resume(coroutine.create(looping)) "
                       "assert(one:find 'its own') assert(two:find 'ran for more than')");
  cc_watchdog_enter(CC_LIBRARY);
  if (failed) fail_msg("%s", lua_tostring(L, -1));
}

static void test_no_bound(void **state) {
  (void)state;
  cc_lua_state_memory(L, 0);
  assert_true(script("kept = string.rep('x', 20 * 2^20)"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_greedy, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_modest, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_library_is_apart, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_what_is_kept_leaves_room, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_who_holds_much_pays, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_calls_count, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_stops_in_scripts_alone, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_no_bound, open_state, close_state),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
