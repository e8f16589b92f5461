#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks packaging/ccrelay.service with systemd-analyze: it is understood whole, and its sandbox is tight.
#   tests/systemd.sh [BINARY]   the program that stands for the installed one; default build/plain/ccrelay
# Exit status 2: systemd-analyze is not installed.
set -u
cd "$(dirname "$0")/.." || exit 1
command -v systemd-analyze >/dev/null || exit 2
binary=${1:-${CCRELAY_BIN:-$PWD/build/plain/ccrelay}}
most=20 # of 100, as systemd-analyze counts the exposure
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failed=0

report() { # STATUS WHAT
  if [ "$1" -eq 0 ]; then echo "ok - $2"; else failed=1; echo "not ok - $2"; sed 's/^/  /' "$folder/log"; fi
}

unit=$folder/ccrelay.service
sed "s|^ExecStart=ccrelay |ExecStart=$binary |" packaging/ccrelay.service >"$unit"

# It ends with 0 for keys that it does not know, and says so.
systemd-analyze verify --man=no "$unit" >"$folder/log" 2>&1 && ! [ -s "$folder/log" ]
report $? "systemd understands every line of the unit"

systemd-analyze security --offline=true --threshold=$most "$unit" >"$folder/log" 2>&1
report $? "the exposure of the unit is at most $most of 100"

grep -q '^MemoryDenyWriteExecute' "$unit"
[ $? -eq 1 ]
report $? "LuaJIT may compile"
exit $failed
