#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks the layers of runtime/: which file may include which header. Prints one line for each rule.
set -u
cd "$(dirname "$0")/../runtime" || exit 1
failed=0

# rule WHAT PATTERN FILE...: no FILE may have an #include that matches PATTERN.
rule() {
  what=$1 pattern=$2
  shift 2
  found=$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]+[<\"]($pattern)" "$@" /dev/null 2>/dev/null)
  if [ -z "$found" ]; then
    echo "ok - $what"
    return
  fi
  failed=1
  echo "not ok - $what"
  echo "$found" | sed 's/^/  runtime\//'
}

# The C files below runtime/ for which no argument (a pattern of paths) matches.
all_but() {
  all=$(find . -name '*.[ch]' -o -name '*.cpp' | sed 's|^\./||' | sort)
  for pattern; do all=$(echo "$all" | grep -vE "^($pattern)\$"); done
  echo "$all"
}

# The rooms of runtime/, lowest first. A file includes its own room and lower ones; main.c is above all.
rooms='api base codec sign net shared script loop attempt exchange jobs process'
# shellcheck disable=SC2046 # lists of files without blanks in their names
for room in $rooms; do
  higher=$(echo " $rooms " | sed "s/.* $room //; s/ \$//; s/  */|/g")
  [ -z "$higher" ] || rule "$room includes no higher room" "($higher)/" "$room"/*
  rule "$room/X_internal.h stays in its room" "$room/[^\"]*_internal\.h" $(all_but "$room/.*")
done
for folder in */; do
  case " $rooms " in
  *" ${folder%/} "*) ;;
  *) rule "$folder has a place among the rooms" "" "$folder"* ;;
  esac
done

# shellcheck disable=SC2046 # lists of files without blanks in their names
{
  rule "files include the headers of api that they use, not relay.h" "relay\.h" $(all_but 'relay\.h') ../tests/unit/*/*.[ch] ../tests/fuzz/*.c ../tests/bench/*.c
  rule "nobody but main.c opens Lua" "script/lua_state\.h" $(all_but 'main\.c' 'script/lua_state\.[ch]')
  rule "uv.h only in net" "uv\.h" $(all_but 'net/.*')
  rule "mbedTLS only in base/mbed, net/tls and sign" "mbedtls/|psa/" $(all_but 'base/mbed\.[ch]' 'net/tls.*' 'sign/.*')
  rule "llhttp.h only in codec/http1.c" "llhttp\.h" $(all_but 'codec/http1\.c')
  rule "Lua's headers only in main.c and script/lua_state.c" "lua\.h|lauxlib\.h|lualib\.h|luajit\.h" $(all_but 'main\.c' 'script/lua_state\.[ch]')
  rule "zlib, brotli and zstd only in codec/content_encoding.c" "zlib\.h|brotli/|zstd\.h" $(all_but 'codec/content_encoding\.c')
  rule "sqlite3.h only in base/database.c" "sqlite3\.h" $(all_but 'base/database\.c')
  rule "toml++ only in codec/toml.cpp" "toml\+\+|toml\.hpp" $(all_but 'codec/toml\.cpp')
  rule "codec and sign do no I/O" "sys/socket\.h|netdb\.h|fcntl\.h|poll\.h|sys/epoll\.h" codec/*.[ch] codec/*.cpp sign/*.[ch]
}

what="each header of api compiles alone"
found=$(for header in api/*.h; do "${CC:-cc}" -I. -fsyntax-only -x c -include "$header" /dev/null 2>&1; done)
if [ -z "$found" ]; then
  echo "ok - $what"
else
  failed=1
  echo "not ok - $what"
  echo "$found" | sed 's/^/  /'
fi

# LuaJIT may end compiled loops over pairs or next early: see lua/ccrelay/util/each.lua.
what="lua/ccrelay walks tables with each, not with pairs or next"
found=$(grep -rnE "(^|[^[:alnum:]_.])pairs *[({\"']|[[:space:]]in next[, ]" ../lua/ccrelay --include='*.lua')
if [ -z "$found" ]; then
  echo "ok - $what"
else
  failed=1
  echo "not ok - $what"
  echo "$found" | sed 's/^\.\./ /'
fi

# Comments may cite public documents (RFC 9110, HTML 9.2) and documents of this repository, but no others.
cd .. || exit 1
what="comments cite no document from outside the repository"
found=$(git grep -nE '(//|--|#)[[:space:]]([^"]*[^A-Z_"])?[A-Z]{5,},?( section)? [0-9]' -- '*.lua' '*.[ch]' '*.cpp' '*.mjs' '*.sh' '*.cmake' '*.txt' '*.yaml' ':!tests/data')
for name in $(git grep -hoE '(^|[^/A-Za-z_.-])([A-Za-z_-]+/)*[A-Z_]{3,}\.md\>' -- '*.lua' '*.[ch]' '*.cpp' '*.mjs' '*.sh' '*.cmake' | grep -oE '[A-Za-z_/-]+\.md' | sort -u); do
  git ls-files -- "$name" "*/$name" | grep -q . || found="$found
$(git grep -nF "$name" -- '*.lua' '*.[ch]' '*.cpp' '*.mjs' '*.sh' '*.cmake')"
done
if [ -z "$found" ]; then
  echo "ok - $what"
else
  failed=1
  echo "not ok - $what"
  echo "$found" | sed 's/^/  /'
fi
exit $failed
