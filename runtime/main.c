// SPDX-License-Identifier: Apache-2.0
// Starts Lua with the command line, which lua/ccrelay/cli reads.
#include "base/descriptors.h"
#include "base/log.h"
#include "base/process.h"
#include "script/lua_state.h"
#include <lauxlib.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LUA_MEMORY = 512 * 1024 * 1024, SCRIPT_MS = 50, SCRIPT_MB = 64, EXIT_SOFTWARE = 1 };

static bool holds_library(const char *root) {
  char path[4096];
  int size = snprintf(path, sizeof path, "%s/lua/ccrelay/c.lua", root);
  return size > 0 && (size_t)size < sizeof path && access(path, R_OK) == 0;
}

// The share folder beside the folder of this program: <prefix>/bin/ccrelay -> <prefix>/share.
static const char *installed_root(void) {
  static char path[4096];
  ssize_t size = readlink("/proc/self/exe", path, sizeof path - 32);
  if (size <= 0) return CC_INSTALL_ROOT;
  path[size] = '\0';
  char *slash = strrchr(path, '/');
  strcpy(slash ? slash : path, "/../share/ccrelay");
  return path;
}

// The folder with lua/, providers/ and policies/: $CCRELAY_ROOT, else where ccrelay is installed, else the source tree
// it was built from.
static const char *find_root(void) {
  const char *set = getenv("CCRELAY_ROOT");
  if (set && *set) return set;
  return holds_library(installed_root()) ? installed_root() : CC_SOURCE_ROOT;
}

static void set_paths(lua_State *L, const char *root) {
  setenv("CCRELAY_ROOT", root, 1);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "path");
  lua_pushfstring(L, "%s/lua/?.lua;%s/lua/?/init.lua;%s", root, root, lua_tostring(L, -1));
  lua_setfield(L, -3, "path");
  lua_pop(L, 2);
}

static void set_arguments(lua_State *L, int argc, char **argv) {
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_setglobal(L, "arg");
}

static int run(lua_State *L) {
  static const char text[] = "return require('ccrelay.cli').main(arg)";
  if (luaL_loadbuffer(L, text, sizeof text - 1, "=main") != 0 || cc_lua_state_call(L, 0, 1) != 0) {
    fprintf(stderr, "ccrelay: %s\n", lua_tostring(L, -1));
    return EXIT_SOFTWARE;
  }
  return lua_isnumber(L, -1) ? (int)lua_tointeger(L, -1) : 0;
}

static double setting(const char *name, double usual) {
  const char *set = getenv(name);
  double value = set ? strtod(set, NULL) : 0;
  return value > 0 && value <= UINT32_MAX ? value : usual;
}

// CCRELAY_SCRIPT_MS and CCRELAY_SCRIPT_MB (policies/README.md) are for slow machines and for tests.
static void bound_scripts(lua_State *L) {
  cc_lua_state_deadline(L, setting("CCRELAY_SCRIPT_MS", SCRIPT_MS));
  cc_lua_state_memory(L, (size_t)(setting("CCRELAY_SCRIPT_MB", SCRIPT_MB) * 1024 * 1024));
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  cc_descriptors_raise();
  const char *root = find_root();
  if (!holds_library(root)) {
    fprintf(
        stderr,
        "ccrelay: no Lua library in %s/lua; set CCRELAY_ROOT to the folder that contains lua/\n",
        root);
    return EXIT_SOFTWARE;
  }
  lua_State *L = cc_lua_state_open(LUA_MEMORY);
  if (!L) return EXIT_SOFTWARE;
  set_arguments(L, argc, argv);
  set_paths(L, root);
  cc_process_init(argc, argv);
  bound_scripts(L);
  int code = run(L);
  cc_lua_state_close(L);
  cc_log_flush(1000);
  cc_log_close();
  return code;
}
