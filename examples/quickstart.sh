#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh checkout to an answer: installs what is missing, builds, runs policies/failover.lua with an unreachable
# provider and a mock provider, sends a request, and stops both. Needs no account and no key.
#   examples/quickstart.sh          shows failover
#   examples/quickstart.sh --keep   keeps both running until Ctrl-C, so that you can try Claude Code
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${CCRELAY_BUILD:-$root/build}
work=$(mktemp -d)
pids=()
finish() {
  if [ ${#pids[@]} -gt 0 ]; then kill "${pids[@]}" 2>/dev/null || true; fi
  wait
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf 'quickstart: %s\n' "$*"; }

# Writes the output of a build to the log and shows its progress: in place on a terminal, else at every quarter.
progress() {
  local line percent step=25 shown=-1 format='quickstart: compiling, %d %%\n'
  if [ -t 1 ]; then step=1 format='\rquickstart: compiling, %d %%'; fi
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$work/build.log"
    [[ $line =~ ^\[\ *([0-9]+)(%|/([0-9]+)) ]] || continue # the progress of make or ninja
    percent=$((BASH_REMATCH[1] * 100 / ${BASH_REMATCH[3]:-100} / step * step))
    if [ $percent -le $shown ]; then continue; fi
    shown=$percent
    # shellcheck disable=SC2059 # the format is one of the two above
    printf "$format" $percent
  done
  if [ -t 1 ]; then echo; fi
}

compile() {
  cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo >"$work/build.log" 2>&1 || return
  cmake --build "$build" -j "$(nproc)" --target ccrelay 2>&1 | progress
}

"$root/runtime/setup.sh"
say "building in ${build#"$PWD"/}; the first time takes a minute or two"
compile || { cat "$work/build.log"; exit 1; }
say "starting a mock provider on 127.0.0.1:9001 and the relay on 127.0.0.1:8787"

# Nothing listens at the first provider's address, so the relay fails over to the second, the mock.
cat >"$work/relay.yaml" <<'TEXT'
server: {listen: "127.0.0.1:8787"}
admin: {listen: "off"}
providers:
  - {name: absent, type: anthropic, base_url: "http://127.0.0.1:9", transparent: false, keys: [{key: none, priority: 2}]}
  - {name: mock, type: anthropic, base_url: "http://127.0.0.1:9001", transparent: false, keys: [{key: none, priority: 1}]}
routing: {strategy: failover, debug: true}
TEXT
cat >"$work/mock.yaml" <<'TEXT'
server: {workers: 1}
admin: {listen: "off"}
TEXT
chmod 600 "$work"/*.yaml

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start() { # PORT ARGUMENTS...
  local port=$1 tries=0
  shift
  if answers "$port"; then echo "quickstart: port $port is in use" >&2; exit 69; fi
  (cd "$work" && exec "$build/ccrelay" "$@") >"$work/$port.log" 2>&1 &
  pids+=($!)
  until answers "$port"; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ]; then cat "$work/$port.log"; exit 1; fi
    sleep 0.1
  done
}

start 9001 run "$root/examples/mock.lua" --config "$work/mock.yaml" --listen 127.0.0.1:9001
start 8787 run "$root/policies/failover.lua" --config "$work/relay.yaml"

body='{"model":"claude-quickstart","max_tokens":100,"messages":[{"role":"user","content":"Is anybody there?"}]}'
echo
echo "POST http://127.0.0.1:8787/v1/messages"
echo "$body"
echo
exec 3<>/dev/tcp/127.0.0.1/8787
printf 'POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s' ${#body} "$body" >&3
answer=$(timeout 20 cat <&3)
printf '%s\n\n' "$answer"
grep -q 'You said: Is anybody there?' <<<"$answer" || { cat "$work"/*.log; exit 1; }
echo "The first provider could not be reached, the second answered."
if [ "${1:-}" = --keep ]; then
  echo "Both run until Ctrl-C. With Claude Code:"
  echo "  ANTHROPIC_BASE_URL=http://127.0.0.1:8787 ANTHROPIC_API_KEY=none claude"
  wait
fi
echo "Now for real. Keys come from ANTHROPIC_API_KEY and ZAI_API_KEY, or from the client:"
echo "  ${build#"$PWD"/}/ccrelay run policies/failover.lua"
echo "and in another terminal:"
echo "  ANTHROPIC_BASE_URL=http://127.0.0.1:8787 claude"
