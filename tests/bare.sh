#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A newcomer's first hour: clones the repository on a bare system and runs the commands of README.md as they are
# written, one after the other.
#   tests/bare.sh ROOT [TRANSCRIPT]
# ROOT is the folder of a new Debian or Ubuntu without further packages, and is changed. One way to make it:
#   debootstrap --variant=minbase bookworm ROOT
# Needs root, git, the network and the ports 443, 8787 and 8788. Prints "ok" or "not ok" with the time of each command,
# and at the end the times to the first answers. TRANSCRIPT gets every line a newcomer sees, with the time it came.
#
# A block of sh is run line by line in one shell. A command that serves (run, demo) stays in the background until the
# next one that serves. A block after "Save this as `NAME`" is saved. In ROOT, api.anthropic.com is examples/mock.lua
# with a certificate that ROOT trusts; it takes no key but the newcomer's. CCRELAY_CLAUDE names a folder with Claude Code
# (see tests/run.sh), which must get the mock's answer; without it a stand-in asks the relay for its models with the
# credentials that Claude Code would send.
set -u

since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN {printf "%.1f", to - from}'; }

# A clone, and on top of it what is not committed.
clone() { # SOURCE FOLDER
  rm -rf "$2"
  git clone --quiet --no-local "$1" "$2" || return 1
  (cd "$1" && git ls-files -z --modified --others --exclude-standard --deduplicate | tar --null -T - -cf -) |
    tar --no-same-owner -xf - -C "$2"
}

outside() { # ROOT TRANSCRIPT
  local source root=$1 status began=$EPOCHREALTIME
  source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  [ -x "$root/bin/bash" ] || { echo "tests/bare.sh: $root is no system" >&2; exit 64; }
  clone "$source" "$root/srv/ccrelay" || exit 1
  echo "# git clone: $(since "$began") s"
  mkdir -p "$root/opt/claude" && cp /etc/resolv.conf "$root/etc/resolv.conf" || exit 1
  # shellcheck disable=SC2016 # $1 and $2 are the inner shell's
  unshare --mount --pid --fork --kill-child bash -c 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
    { [ -z "$2" ] || mount --bind "$2" "$1/opt/claude"; } &&
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
      chroot "$1" /bin/bash /srv/ccrelay/tests/bare.sh --inside' - "$root" "${CCRELAY_CLAUDE:-}"
  status=$?
  if [ -n "$2" ]; then cp "$root/tmp/transcript" "$2"; fi
  exit $status
}

# ---- Inside the root ----------------------------------------------------------------------------

failed=0 server='' mock='' log=/tmp/bare.log transcript=/tmp/transcript
key=sk-ant-api03-${CCRELAY_CANARY:-CANARY7f3a9d}-newcomer
claude=/opt/claude/node_modules/@anthropic-ai/claude-code-linux-x64/claude

report() { # STATUS WHAT
  if [ "$1" -eq 0 ]; then echo "ok - $2"; return; fi
  failed=1
  echo "not ok - $2"
  tail -n 40 "$log" | sed 's/^/  /'
}

# Keeps the output of a command in the log and, with the seconds since its start, in the transcript.
record() { # BEGAN
  local line
  while IFS= read -r line || [ -n "$line" ]; do
    printf '%s\n' "$line" >>"$log"
    printf '%7s  %s\n' "$(since "$1")" "$line" >>"$transcript"
  done
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/${1:-8787}") 2>/dev/null; }

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
  eval "exec $1" > >(record "$EPOCHREALTIME") 2>&1 &
  server=$!
  until answers; do
    tries=$((tries + 1))
    if ! kill -0 $server 2>/dev/null; then server=; return 1; fi
    if [ $tries -gt 200 ]; then return 1; fi
    sleep 0.1
  done
}

# Output must be whole before the next line is run, so it goes through a file descriptor that is waited for.
run_here() { # LINE
  local status recorder
  exec 8> >(record "$EPOCHREALTIME")
  recorder=$!
  eval "$1" >&8 2>&1 </dev/null 8>&-
  status=$?
  exec 8>&-
  wait $recorder
  return $status
}

# What Claude Code must print is what the mock says.
was_answered() { [ ! -x $claude ] || grep -q '^You said: Is anybody there?$' "$log"; }

run_line() { # PLACE LINE
  local word='^build/ccrelay (run|serve|demo)( |$)' status began=$EPOCHREALTIME
  printf '\n$ %s\n' "$2" >>"$transcript"
  : >"$log"
  if [[ $2 =~ $word ]]; then
    stop_server || report 1 "what served before $1 ends with 0"
    start_mock && serve "$2"
    status=$?
  else
    run_here "$2"
    status=$?
    if [[ $2 == *claude && $status -eq 0 ]]; then was_answered; status=$?; fi
  fi
  report $status "$1: $2 ($(since "$began") s)"
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

# Anthropic in this root: the mock, with a certificate of an authority that the root trusts.
make_certificate() {
  (
    cd /tmp || exit 1
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=bare -days 30 &&
      openssl req -newkey rsa:2048 -nodes -keyout mock.key -out mock.csr -subj /CN=api.anthropic.com &&
      openssl x509 -req -in mock.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out mock.crt \
        -extfile <(echo subjectAltName=DNS:api.anthropic.com) &&
      cp ca.crt /usr/local/share/ca-certificates/bare.crt && update-ca-certificates &&
      echo '127.0.0.1 localhost api.anthropic.com' >/etc/hosts
  )
}

start_mock() {
  [ -z "$mock" ] || return 0
  local tries=0
  make_certificate >"$log" 2>&1 || return 1
  cat >/tmp/mock.yaml <<TEXT
server: {listen: "127.0.0.1:443", workers: 1, auth: {api_key: $key}, tls: {cert: /tmp/mock.crt, key: /tmp/mock.key}}
admin: {listen: "off"}
TEXT
  chmod 600 /tmp/mock.yaml /tmp/mock.key
  build/ccrelay run examples/mock.lua --config /tmp/mock.yaml >/tmp/mock.log 2>&1 &
  mock=$!
  until answers 443; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ]; then cp /tmp/mock.log "$log"; return 1; fi
    sleep 0.1
  done
}

# In the other terminal, where the newcomer's key is set; it asks one question in place of a session.
real_claude() {
  cat >/usr/local/bin/claude <<TEXT
#!/bin/sh
export ANTHROPIC_API_KEY=$key CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1
exec timeout 120 $claude -p 'Is anybody there?' </dev/null
TEXT
  chmod +x /usr/local/bin/claude
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

# Of quickstart.sh, whose lines have the seconds since its start.
print_times() {
  awk '/setup: (done|all packages are installed)$/ && !p {p = $1} /quickstart: starting/ {b = $1}
    /The first provider could not/ {a = $1}
    END {printf "# packages after %d s, built after %d s, first answer after %d s\n", p, b, a}' "$transcript"
}

inside() {
  cd /srv/ccrelay || exit 1
  # shellcheck disable=SC1091 # of the root
  . /etc/os-release
  echo "# $PRETTY_NAME"
  for port in 443 8787 8788; do
    if answers $port; then echo "tests/bare.sh: port $port of this machine is in use" >&2; exit 69; fi
  done
  : >"$transcript"
  told_packages
  report $? "without root or sudo the set-up prints the packages"
  if [ -x $claude ]; then real_claude; else stand_in; echo "# Claude Code is not there: a stand-in asks"; fi
  export ANTHROPIC_API_KEY=$key
  run_document README.md
  stop_server
  report $? "what served last ends with 0"
  ls build/*.deb >"$log" 2>&1
  report $? "there is a package"
  (cd / && ccrelay version) >"$log" 2>&1
  report $? "what was installed runs"
  if [ -n "$mock" ]; then kill "$mock"; fi
  ! grep -q "$key" "$transcript"
  report $? "no key is shown"
  print_times
  exit $failed
}

case ${1:-} in
  --inside) inside ;;
  '' | -*) sed -n '3,9s/^# //p' "$0"; exit 64 ;;
  *) outside "$1" "${2:-}" ;;
esac
