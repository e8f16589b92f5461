#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is needed, builds, and runs all tests; the last line is "N passed, N failed". The logs of all steps are
# in BUILD/logs.
set -u
exec </dev/null

usage() {
  cat <<'TEXT'
usage: tests/run.sh [options]
  --quick          units, specs, checks and client tests only: no sanitizers, fuzzers, package
  --no-claude      leaves Claude Code out (a 380 MB package)
  --no-setup       installs no distribution packages
  --fuzz SECONDS   time of each fuzzer (default 5)
  --valgrind       also runs the C tests under valgrind
  --soak SECONDS   also loads the relay for so long, watches memory and descriptors, shows what takes minutes
                   to show (tests/bench/promises.mjs, 30 more minutes; the dashboard, 10 more minutes), and kills
                   or stops a process at every instruction of its work in shared memory (CCRELAY_STEP=1, 10 more
                   minutes)
  --bare SUITES    also runs README's lines on bare systems, made with debootstrap: bookworm,trixie,noble; Claude
                   Code asks through the relay. Needs root, the network and five minutes each; what a newcomer
                   sees, with times, is in BUILD/logs/bare-SUITE.transcript
  --only NAMES     only these steps (comma between them), after set-up and build
Environment: CCRELAY_BUILD (build folder, default build/ in the source tree),
CCRELAY_CACHE (packages kept between runs, default ~/.cache/ccrelay).
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${CCRELAY_BUILD:-$root/build}
cache=${CCRELAY_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ccrelay}
quick=no claude=yes setup=yes fuzz=5 valgrind=no soak=0 bare= only=

while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=yes ;;
    --no-claude) claude=no ;;
    --no-setup) setup=no ;;
    --valgrind) valgrind=yes ;;
    --fuzz) fuzz=${2:?seconds}; shift ;;
    --soak) soak=${2:?seconds}; shift ;;
    --bare) bare=${2:?suites}; shift ;;
    --only) only=${2:?names}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 64 ;;
  esac
  shift
done

# Every secret of the tests contains this mark, which must never appear in an output.
export CCRELAY_CANARY=CANARY7f3a9d
export CCRELAY_OUTPUT=$build/output
export CCRELAY_BIN=$build/plain/ccrelay
export CCRELAY_LIB=$build/plain/libccrelay.so
export CCRELAY_ROOT=$root
export LC_ALL=C.UTF-8 CMOCKA_MESSAGE_OUTPUT=STDOUT
export npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false
unset CC_RELAY_CONFIG CLICOLOR_FORCE NODE_OPTIONS LUA_PATH LUA_CPATH LUA_INIT
unset "${!ANTHROPIC_@}" "${!AWS_@}" "${!CLAUDE_@}" http_proxy HTTP_PROXY https_proxy HTTPS_PROXY ALL_PROXY all_proxy 2>/dev/null
jobs=$(nproc 2>/dev/null || echo 2)
rm -rf "$build/logs" "$build/output"
mkdir -p "$build/logs" "$build/output" || exit 1

passed=0 failed=0 skipped=0 table=

# ---- Counters: each reads a log and prints "PASSED FAILED SKIPPED" ----------------------------

count_none() { echo 0 0 0; }
count_one() { echo 1 0 0; }

count_ctest() {
  awk '/test\(s\)/{next} /\[       OK \] /{p++} /\[  FAILED  \] /{if (!seen[$0]++) f++} /\[  SKIPPED \] /{if (!seen[$0]++) s++}
       /tests failed out of/{split($0, n, ", "); split(n[2], m, " "); programs = m[1]}
       END {if (f < programs) f = programs; print p + 0, f + 0, s + 0}' "$1"
}

count_busted() {
  awk '/success(es)? \/ .* failures? \/ .* errors? \/ /{p += $1; f += $4 + $7; s += $10}
       END {print p + 0, f + 0, s + 0}' "$1"
}

count_lines() {
  awk '/^ok /{p++} /^not ok /{f++} /^skip /{s++} END {print p + 0, f + 0, s + 0}' "$1"
}

count_node() {
  awk '/^# pass /{p += $3} /^# (fail|cancelled) /{f += $3} /^# (skipped|todo) /{s += $3}
       END {print p + 0, f + 0, s + 0}' "$1"
}

# ---- Steps ------------------------------------------------------------------------------------

wanted() {
  [ -z "$only" ] || [[ ",$only," == *",$1,"* ]]
}

# step NAME COUNTER COMMAND...: runs the command, counts its results and prints them.
step() {
  local name=$1 counter=$2 log=$build/logs/$1.log start=$SECONDS status p f s word
  shift 2
  printf '%-18s ' "$name"
  "$@" >"$log" 2>&1
  status=$?
  read -r p f s < <("$counter" "$log")
  if [ $status -ne 0 ] && [ "$f" -eq 0 ]; then
    f=1
    if [ "$counter" = count_one ]; then p=0; fi
  fi
  if [ $((p + f)) -eq 0 ] && [ "$counter" != count_none ]; then
    echo "nothing was tested" >>"$log"
    f=1
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  word=ok
  if [ "$f" -gt 0 ]; then word=FAILED; fi
  printf -v line '%-6s %5d passed, %d failed, %d skipped, %d s' $word "$p" "$f" "$s" $((SECONDS - start))
  echo "$line"
  table+=$(printf '%-18s %s' "$name" "$line")$'\n'
  if [ "$f" -gt 0 ]; then
    printf -- '---- %s, its last lines ----\n' "$log"
    grep -E '^not ok|\[  FAILED  \]|^(Failure|Error) ->|SUMMARY: ' "$log" | head -n 40
    echo ...
    tail -n 120 "$log"
    echo '----'
  fi
  [ "$f" -eq 0 ]
}

left_out() {
  skipped=$((skipped + 1))
  printf '%-18s left out: %s\n' "$1" "$2"
  table+=$(printf '%-18s left out: %s' "$1" "$2")$'\n'
}

configure() {
  local folder=$1 target=$2
  shift 2
  local generator=()
  if [ ! -e "$build/$folder/CMakeCache.txt" ] && command -v ninja >/dev/null; then generator=(-G Ninja); fi
  cmake -S "$root" -B "$build/$folder" "${generator[@]}" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCCRELAY_TESTS=ON "$@" &&
    timeout 600 cmake --build "$build/$folder" -j "$jobs" --target "$target"
}

in_root() { cd "$root" && "$@"; }

do_ctest() { timeout 300 ctest --test-dir "$build/$1" -V -j "$jobs" --timeout 120 "${@:2}"; }

do_busted() { cd "$root" && timeout 900 busted --lua=luajit -o utfTerminal; }

do_policies() { timeout 120 "$CCRELAY_BIN" test "$root"/policies/tests/*_test.lua; }

do_luacheck() {
  local folders=()
  for folder in lua providers policies examples spec; do
    if [ -n "$(find "$root/$folder" -name '*.lua' 2>/dev/null | head -n 1)" ]; then folders+=("$folder"); fi
  done
  cd "$root" && timeout 120 luacheck --no-color -q "${folders[@]}"
}

# Without the pinned version of clang-format there is no check.
format_tool_is_here() { "$root/tests/format.sh" --which >/dev/null 2>&1; }

do_fuzz() {
  local program name status=0 seeds
  for program in "$build"/fuzz/fuzz/fuzz_*; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    seeds=$root/tests/fuzz/corpus/${name#fuzz_}
    mkdir -p "$build/fuzz/found/$name"
    if (cd "$build/fuzz/found/$name" && timeout $((fuzz + 60)) "$program" -max_total_time="$fuzz" \
      -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 . $([ -d "$seeds" ] && echo "$seeds") 2>&1); then
      echo "ok $name"
    else
      echo "not ok $name"
      status=1
    fi
  done
  return $status
}

do_npm() {
  cd "$root/tests/e2e" || return 1
  if ! cmp -s package-lock.json node_modules/.of-this-lock; then
    timeout 300 npm ci --no-progress --ignore-scripts || return 1
    cp package-lock.json node_modules/.of-this-lock
  fi
}

# Two files run at a time, as they mostly wait.
do_client_files() { do_npm && timeout 1200 node --test --test-concurrency=2 --test-reporter=tap "$@"; }

do_clients() { do_client_files "$root"/tests/e2e/*.test.mjs; }

# The leak checker takes memory that a forked worker inherits for leaks; the C tests look for leaks. never_worse compares
# times, which sanitizers change; other tests cover the same code.
do_clients_sanitized() {
  local files=() file
  for file in "$root"/tests/e2e/*.test.mjs; do
    if [[ $file != */never_worse.test.mjs ]]; then files+=("$file"); fi
  done
  CCRELAY_BIN=$build/asan/ccrelay CCRELAY_PATIENCE=4 ASAN_OPTIONS=detect_leaks=0 do_client_files "${files[@]}"
}

# Claude Code is large, so it is kept in the cache, one folder for each version of the lock file.
fetch_claude() {
  local from=$root/tests/e2e/claude sum
  sum=$(sha256sum "$from/package-lock.json" | cut -c1-12) || return 1
  export CCRELAY_CLAUDE=$cache/claude-$sum
  if [ ! -e "$CCRELAY_CLAUDE/complete" ]; then
    rm -rf "$CCRELAY_CLAUDE"
    mkdir -p "$CCRELAY_CLAUDE" && cp "$from"/package*.json "$CCRELAY_CLAUDE" || return 1
    (cd "$CCRELAY_CLAUDE" && timeout 400 npm ci --no-progress --ignore-scripts) || return 1
    touch "$CCRELAY_CLAUDE/complete"
  fi
}

do_claude() { fetch_claude && timeout 400 node --test --test-reporter=tap "$root"/tests/e2e/claude/*.test.mjs; }

systemd_analyze_is_here() { command -v systemd-analyze >/dev/null; }

do_package() {
  cd "$build/plain" && rm -f ./*.deb && timeout 120 cpack -G DEB || return 1
  dpkg-deb --info ./*.deb && dpkg-deb --contents ./*.deb || return 1
  rm -rf unpacked && dpkg-deb -x ./*.deb unpacked || return 1
  (cd / && env -u CCRELAY_ROOT CCRELAY_ROOT="$build/plain/unpacked/usr/share/ccrelay" \
    "$build/plain/unpacked/usr/bin/ccrelay" version) || return 1
  test -s unpacked/usr/share/man/man1/ccrelay.1 && test -s unpacked/usr/share/zsh/vendor-completions/_ccrelay &&
    test -s unpacked/usr/share/fish/vendor_completions.d/ccrelay.fish &&
    bash -n unpacked/usr/share/bash-completion/completions/ccrelay || return 1
  test -s unpacked/usr/share/ccrelay/dashboard/index.html && test -s unpacked/usr/share/ccrelay/dashboard/uPlot.LICENSE || return 1
  test -f unpacked/usr/lib/systemd/system/ccrelay.service &&
    test -f unpacked/usr/lib/systemd/system/ccrelay.socket && test -f unpacked/etc/ccrelay/config.yaml &&
    dpkg-deb --ctrl-tarfile ./*.deb | tar -xOf - ./conffiles | grep -qx /etc/ccrelay/config.yaml &&
    CCRELAY_ROOT="$build/plain/unpacked/usr/share/ccrelay" "$build/plain/unpacked/usr/bin/ccrelay" \
      config validate --config unpacked/etc/ccrelay/config.yaml
}

do_valgrind() {
  local program code status=0
  for program in "$build"/plain/tests/test_*; do
    echo "# $(basename "$program")"
    timeout 900 valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite \
      --errors-for-leak-kinds=definite --suppressions="$root/tests/valgrind.supp" "$program"
    code=$?
    if [ $code -ne 0 ]; then
      echo "[  FAILED  ] $(basename "$program") ended with $code"
      status=1
    fi
  done
  return $status
}

do_soak() { do_npm && timeout $((soak + 300)) node "$root/tests/bench/soak.mjs" "$soak"; }

do_promises() { do_npm && timeout 2400 node "$root/tests/bench/promises.mjs"; }

# The dashboard in a browser for ten minutes, at 100 requests a second.
do_dashboard() {
  do_npm && CCRELAY_DASHBOARD_SECONDS=600 timeout 1200 node --test --test-reporter=tap \
    --test-name-pattern='neither the page' "$root/tests/e2e/dashboard.test.mjs"
}

do_stepped() {
  CCRELAY_STEP=1 timeout 3600 ctest --test-dir "$build/plain" -V -j "$jobs" --timeout 3500 \
    -R '^test_(cell|reservations|limit_window|shared)$'
}

# On Ubuntu most of the packages are in universe, which installed systems have enabled.
do_bare() { # SUITE
  local folder=$build/bare/$1 components=main status
  if [ $claude = no ] || ! fetch_claude; then unset CCRELAY_CLAUDE; fi
  case $1 in bookworm | trixie) ;; *) components=main,universe ;; esac
  rm -rf "$folder" && mkdir -p "$folder" || return 1
  debootstrap --variant=minbase --components="$components" "$1" "$folder" &&
    { [ "$1" != trixie ] || timeout 1800 "$root/tests/image.sh" "$folder"; } &&
    timeout 1800 "$root/tests/bare.sh" "$folder" "$build/logs/bare-$1.transcript"
  status=$?
  rm -rf "$folder"
  return $status
}

do_canary() {
  if grep -rlF "$CCRELAY_CANARY" "$build/output" "$build/logs"; then
    echo "not ok - secrets in the files above"
    return 1
  fi
  echo "ok - no secret in $(find "$build/output" "$build/logs" -type f | wc -l) files"
}

summary() {
  printf '\n%s\nlogs: %s\n' "$table" "$build/logs"
  if [ $skipped -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
  else
    echo "$passed passed, $failed failed"
  fi
  [ $failed -eq 0 ]
}

# ---- The run ----------------------------------------------------------------------------------

if [ $setup = yes ]; then
  step setup count_none "$root/runtime/setup.sh" --tests || { summary; exit 1; }
fi
step build count_none configure plain all || { summary; exit 1; }
if wanted units; then step units count_ctest do_ctest plain; fi
if wanted specs; then step specs count_busted do_busted; fi
if wanted policies; then step policies count_busted do_policies; fi
if wanted luacheck; then step luacheck count_one do_luacheck; fi
if wanted format; then
  if format_tool_is_here; then
    step format count_lines in_root tests/format.sh
  else
    left_out format "the pinned clang-format is not installed"
  fi
fi
if wanted layers; then step layers count_lines in_root tests/layers.sh; fi
if wanted walls; then step walls count_lines in_root luajit tests/walls.lua; fi
if wanted systemd; then
  if systemd_analyze_is_here; then
    step systemd count_lines in_root tests/systemd.sh
  else
    left_out systemd "systemd-analyze is not installed (package systemd)"
  fi
fi
if wanted clients; then step clients count_node do_clients; fi
if wanted claude; then
  if [ $claude = yes ]; then
    step claude count_node do_claude
  else
    left_out claude "--no-claude"
  fi
fi
if [ $quick = no ]; then
  if wanted sanitized; then
    step build-sanitized count_none configure asan all -DCCRELAY_SANITIZE=address,undefined &&
      { step sanitized count_ctest do_ctest asan; step clients-sanitized count_node do_clients_sanitized; }
  fi
  if wanted threads; then
    step build-threads count_none configure tsan all -DCCRELAY_SANITIZE=thread &&
      step threads count_ctest do_ctest tsan -R '^test_(shared|cell|histogram|limit|limit_window|remainder|reservations|ring|secret|log|resolve)$'
  fi
  if wanted fuzz; then
    CC=clang CXX=clang++ step build-fuzz count_none configure fuzz fuzzers -DCCRELAY_FUZZ=ON \
      -DCCRELAY_SANITIZE=address,undefined &&
      step fuzz count_lines do_fuzz
  fi
  if wanted package; then step package count_one do_package; fi
fi
if [ $valgrind = yes ]; then step valgrind count_ctest do_valgrind; fi
if [ "$soak" -gt 0 ]; then
  step soak count_lines do_soak
  step promises count_lines do_promises
  step dashboard count_node do_dashboard
  step stepped count_ctest do_stepped
fi
for suite in ${bare//,/ }; do step "bare-$suite" count_lines do_bare "$suite"; done
step canary count_lines do_canary
summary
