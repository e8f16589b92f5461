#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the commands of README.md as they are written, one after the other, on a bare system.
#   tests/bare.sh ROOT
# ROOT is the folder of a new Debian or Ubuntu without further packages, and is changed. One way to make it:
#   debootstrap --variant=minbase bookworm ROOT
# Needs root, the network and port 8787. Prints "ok" or "not ok" for each command.
#
# A block of sh is run line by line in one shell. A command that serves (run, demo) stays in the background until the
# next one that serves. A block after "Save this as `NAME`" is saved. Claude Code is not installed: a stand-in asks the
# relay for its models with the credentials that Claude Code would send.
set -u

outside() {
  local source root=$1
  source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  [ -x "$root/bin/bash" ] || { echo "tests/bare.sh: $root is no system" >&2; exit 64; }
  mkdir -p "$root/srv/ccrelay" || exit 1
  (cd "$source" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf -) |
    tar --no-same-owner -xf - -C "$root/srv/ccrelay" || exit 1
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # shellcheck disable=SC2016 # $1 is the inner shell's
  exec unshare --mount --pid --fork --kill-child bash -c 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
      chroot "$1" /bin/bash /srv/ccrelay/tests/bare.sh --inside' - "$root"
}

# ---- Inside the root ----------------------------------------------------------------------------

failed=0 server='' log=/tmp/bare.log

report() { # STATUS WHAT
  if [ "$1" -eq 0 ]; then echo "ok - $2"; return; fi
  failed=1
  echo "not ok - $2"
  tail -n 40 "$log" | sed 's/^/  /'
}

answers() { (exec 3<>/dev/tcp/127.0.0.1/8787) 2>/dev/null; }

# The running relay must exit with 0 at SIGTERM, and so must demo with its mocks.
stop_server() {
  [ -n "$server" ] || return 0
  local code
  kill "$server"
  wait "$server"
  code=$?
  server=
  return $code
}

serve() { # LINE
  local tries=0
  if answers; then echo "port 8787 is in use" >"$log"; return 1; fi
  eval "exec $1" >"$log" 2>&1 &
  server=$!
  until answers; do
    tries=$((tries + 1))
    if ! kill -0 $server 2>/dev/null; then server=; return 1; fi
    if [ $tries -gt 200 ]; then return 1; fi
    sleep 0.1
  done
}

run_line() { # PLACE LINE
  local word='^build/ccrelay (run|serve|demo)( |$)'
  if [[ $2 =~ $word ]]; then
    stop_server || report 1 "what served before $1 ends with 0"
    serve "$2"
  else
    eval "$2" >"$log" 2>&1 </dev/null
  fi
  report $? "$1: $2"
}

run_document() { # FILE
  local line number=0 language='' file='' saved='Save this as `([^`]+)`'
  while IFS= read -r line <&9; do
    number=$((number + 1))
    if [ -n "$language" ] && [[ $line == '```' ]]; then
      language= file=
    elif [ "$language" = sh ]; then
      run_line "$1:$number" "$line"
    elif [ -n "$language" ]; then
      if [ -n "$file" ]; then printf '%s\n' "$line" >>"$file"; fi
    elif [[ $line =~ ^\`\`\`(.+)$ ]]; then
      language=${BASH_REMATCH[1]}
      if [ -n "$file" ]; then : >"$file"; fi
    elif [[ $line =~ $saved ]]; then
      file=${BASH_REMATCH[1]}
    fi
  done 9<"$1"
}

stand_in() {
  cat >/usr/local/bin/claude <<'TEXT'
#!/bin/bash
address=${ANTHROPIC_BASE_URL#http://}
exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
printf 'GET /v1/models HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n' "$address" >&3
if [ -n "${ANTHROPIC_AUTH_TOKEN:-}" ]; then printf 'authorization: Bearer %s\r\n' "$ANTHROPIC_AUTH_TOKEN" >&3; fi
printf '\r\n' >&3
answer=$(timeout 20 cat <&3)
echo "$answer"
[[ $answer == 'HTTP/1.1 200 '* ]]
TEXT
  chmod +x /usr/local/bin/claude
}

# A user without root is told what to install.
told_packages() {
  ! runuser -u nobody -- runtime/setup.sh >"$log" 2>&1 &&
    grep -q 'apt-get install --no-install-recommends .* cmake .*libuv1-dev' "$log"
}

inside() {
  cd /srv/ccrelay || exit 1
  # shellcheck disable=SC1091 # of the root
  . /etc/os-release
  echo "# $PRETTY_NAME"
  if answers; then echo "tests/bare.sh: port 8787 of this machine is in use" >&2; exit 69; fi
  told_packages
  report $? "without root or sudo the set-up prints the packages"
  stand_in
  run_document README.md
  stop_server
  report $? "what served last ends with 0"
  ls build/*.deb >"$log" 2>&1
  report $? "there is a package"
  (cd / && ccrelay version) >"$log" 2>&1
  report $? "what was installed runs"
  exit $failed
}

case ${1:-} in
  --inside) inside ;;
  '' | -*) sed -n '3,7s/^# //p' "$0"; exit 64 ;;
  *) outside "$1" ;;
esac
