#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks packaging/ccrelay.service and ccrelay.socket with systemd-analyze: they are understood whole, the sandbox is
# tight, and systemctl can enable them. Starts the relay by systemd-socket-activate.
#   tests/systemd.sh [BINARY]   the program that stands for the installed one; default build/plain/ccrelay
# Exit status 2: systemd-analyze is not installed.
set -u
cd "$(dirname "$0")/.." || exit 1
command -v systemd-analyze >/dev/null || exit 2
binary=${1:-${CCRELAY_BIN:-$PWD/build/plain/ccrelay}}
most=20 # of 100, as systemd-analyze counts the exposure
folder=$(mktemp -d) || exit 1
manager=
trap 'if [ "$manager" ]; then kill "$manager" 2>/dev/null; wait "$manager" 2>/dev/null; fi; rm -rf "$folder"' EXIT
failed=0

report() { # STATUS WHAT
  if [ "$1" -eq 0 ]; then echo "ok - $2"; else failed=1; echo "not ok - $2"; sed 's/^/  /' "$folder/log"; fi
}

unit=$folder/ccrelay.service
sed "s|^ExecStart=ccrelay |ExecStart=$binary |" packaging/ccrelay.service >"$unit"

# It ends with 0 for keys that it does not know, and says so.
systemd-analyze verify --man=no "$unit" >"$folder/log" 2>&1 && ! [ -s "$folder/log" ]
report $? "systemd understands every line of the unit"

cp packaging/ccrelay.socket "$folder/"
systemd-analyze verify --man=no "$folder/ccrelay.socket" >"$folder/log" 2>&1 && ! [ -s "$folder/log" ]
report $? "systemd understands every line of the socket unit"

systemd-analyze security --offline=true --threshold=$most "$unit" >"$folder/log" 2>&1
report $? "the exposure of the unit is at most $most of 100"

system=$folder/system
mkdir -p "$system/usr/lib/systemd/system" && cp "$unit" "$folder/ccrelay.socket" "$system/usr/lib/systemd/system/"
for name in ccrelay ccrelay.socket; do
  systemctl --root="$system" enable $name >"$folder/log" 2>&1 &&
    [ -n "$(find "$system/etc/systemd/system" -path "*.wants/$name*")" ]
  report $? "systemctl enable $name starts it with the system"
done

grep -q '^ExecReload=.* -HUP ' "$unit"
report $? "systemctl reload ccrelay sends SIGHUP"

grep -q '^MemoryDenyWriteExecute' "$unit"
[ $? -eq 1 ]
report $? "LuaJIT may compile"

# A GET of a path from a port, with its status line and body.
ask() { # PORT PATH
  perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]", Timeout => 10) or exit 1;
    print $s "GET $ARGV[1] HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    print while <$s>;' "$1" "$2"
}

free_ports() {
  perl -MIO::Socket::INET -e 'my @s = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") } 1 .. 2;
    print join " ", map { $_->sockport } @s'
}

# Connects until the manager listens; the first connection starts the relay.
try() { # PORT PATH
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    ask "$1" "$2" >"$folder/answer" && [ -s "$folder/answer" ] && return
    sleep 0.5
  done
  return 1
}

if command -v systemd-socket-activate >/dev/null; then
  ports=$(free_ports) clients=${ports% *} admin=${ports#* }
  printf 'server: {workers: 2}\n' >"$folder/config.yaml" && chmod 600 "$folder/config.yaml"
  systemd-socket-activate -E HOME="$folder" -E CCRELAY_ROOT="${CCRELAY_ROOT:-$PWD}" -l "127.0.0.1:$clients" \
    -l "127.0.0.1:$admin" --fdname=clients:admin "$binary" run --config "$folder/config.yaml" >"$folder/log" 2>&1 &
  manager=$!
  try "$clients" /health && grep -q '^HTTP/1.1 200' "$folder/answer"
  report $? "a passed socket serves clients"
  try "$admin" /status && grep -q '"workers"' "$folder/answer"
  report $? "the socket named admin serves the admin listener"
  kill "$manager" && wait "$manager"
  report $? "the relay ends cleanly"
  manager=
fi
exit $failed
