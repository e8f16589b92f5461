#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks that clang-format would change no C or C++ file; with --fix it formats them.
# Other versions of clang-format format differently, so only the pinned one is used: clang-format-19 of
# Debian 12 and 13, or the wheel clang-format==19.1.7 from PyPI. --which prints the one that is used.
# Exit status 2: neither is installed.
set -u
cd "$(dirname "$0")/.." || exit 1
pinned=19.1.7

find_tool() {
  for name in clang-format-19 clang-format; do
    if "$name" --version 2>/dev/null | grep -qF "version $pinned"; then
      echo "$name"
      return
    fi
  done
}

tool=$(find_tool)
if [ -z "$tool" ]; then
  echo "clang-format $pinned is not installed: apt-get install clang-format-19, or pip install clang-format==$pinned" >&2
  exit 2
fi

if [ "${1:-}" = --which ]; then
  echo "$tool"
  exit
fi

files() { find runtime tests -name node_modules -prune -o \( -name '*.[ch]' -o -name '*.cpp' \) -print | sort; }

if [ "${1:-}" = --fix ]; then
  # shellcheck disable=SC2046 # no blanks in names
  "$tool" -i $(files)
  exit
fi
# shellcheck disable=SC2046
if "$tool" --dry-run -Werror $(files); then
  echo "ok - all C and C++ files"
else
  echo "not ok - run tests/format.sh --fix"
  exit 1
fi
