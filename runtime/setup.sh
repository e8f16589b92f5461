#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The one list of distribution packages: installs what is missing to build, package and run ccrelay,
# and with --tests or --bench what its tests or benchmarks need besides. Debian 12, Debian 13, Ubuntu.
# Without root or sudo it prints the packages, for somebody who has.
set -eu

usage() {
  cat <<'TEXT'
usage: runtime/setup.sh [--tests] [--bench] [--list]
  (nothing)  packages to build, package and run ccrelay
  --tests    and those that tests/run.sh needs
  --bench    and those that tests/bench needs
  --list     prints what is missing and installs nothing
Installs as root or with sudo; without either it prints what to install.
TEXT
}

say() { printf 'setup: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

available() {
  [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *\([^(].*\)/\1/p')" ]
}

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The first of its arguments that this distribution has; the last one if none is known.
first_of() {
  for name; do
    if installed "$name" || available "$name"; then break; fi
  done
  echo "$name"
}

# Node counts as there when a usable one is on PATH, wherever it comes from.
node_is_there() {
  command -v npm >/dev/null 2>&1 && node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)' 2>/dev/null
}

# libFuzzer and the sanitizers of clang: part of clang on some releases, a package on others.
clang_runtime() {
  major=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
  [ -n "$major" ] || return 0
  for file in /usr/lib/llvm-"$major"/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a; do
    if [ -e "$file" ]; then return 0; fi
  done
  if available "libclang-rt-$major-dev"; then echo "libclang-rt-$major-dev"; fi
}

packages() {
  echo gcc g++ make cmake pkg-config ca-certificates
  echo libuv1-dev "$(first_of libllhttp-dev node-llhttp)" libmbedtls-dev libtomlplusplus-dev
  echo zlib1g-dev libbrotli-dev libzstd-dev libsqlite3-dev
  echo libluajit-5.1-dev luajit lua-cjson lua-yaml
  echo dpkg-dev file # for cpack
  if [ "$tests" = yes ]; then
    echo libcmocka-dev lua-busted lua-check clang "$(clang_runtime)" valgrind
    echo openssl curl git procps prometheus # promtool
    if available clang-format-19; then echo clang-format-19; fi
    if available chromium; then echo chromium fonts-dejavu-core; fi # not on Ubuntu, where it is a snap
    node_is_there || echo nodejs npm
  fi
  if [ "$bench" = yes ]; then echo wrk nginx-light haproxy; fi
}

missing() {
  for name in $(packages); do
    installed "$name" || printf ' %s' "$name"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

may_install() {
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null 2>&1
}

# What somebody with root has to type.
print_commands() {
  cat >&2 <<TEXT
setup: packages are missing, and this user is neither root nor has sudo. As root:
  apt-get update
  apt-get install --no-install-recommends$1
TEXT
  available gcc || say "the package lists are empty: run this again after the update, as a name may be another one" >&2
}

tests=no bench=no list=no
for argument; do
  case $argument in
    --tests) tests=yes ;;
    --bench) bench=yes ;;
    --list) list=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 64 ;;
  esac
done

command -v apt-get >/dev/null 2>&1 || die "this needs apt-get (Debian 12, Debian 13, Ubuntu 24.04 or later)"
wanted=$(missing)
if [ -z "$wanted" ]; then
  say "all packages are installed"
  exit 0
fi
if [ "$list" = yes ]; then
  say "missing:$wanted"
  exit 0
fi
if ! may_install; then
  print_commands "$wanted"
  exit 1
fi

say "fetching the package lists"
as_root apt-get -q update
wanted=$(missing)
say "installing:$wanted"
# shellcheck disable=SC2086 # a list of words
as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $wanted
wanted=$(missing)
[ -z "$wanted" ] || die "still missing:$wanted"
say "done"
