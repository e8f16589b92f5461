#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the RUN lines of the Dockerfile without Docker: each stage in a root of its own, then the relay as the image's
# user, and its health check. Needs root, the network and the ports 8787 and 8788.
#   tests/image.sh BASE   the folder of a new Debian without further packages, as debootstrap --variant=minbase makes it
# BASE stays as it is; the two roots, BASE.build and BASE.run, are removed at the end.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
base=${1:?folder of a base system}
log=$base.log failed=0

report() { # STATUS WHAT
  if [ "$1" -eq 0 ]; then echo "ok - $2"; return; fi
  failed=1
  echo "not ok - $2"
  tail -n 40 "$log" | uniq | sed 's/^/  /'
}

# The arguments of an instruction in a stage, counted from 1; one a line.
lines() { # STAGE INSTRUCTION
  awk -v stage="$1" -v word="$2" '$1 == "FROM" {n++} n == stage && $1 == word {sub(/^[A-Z]+ +/, ""); print}' "$root/Dockerfile"
}

in_root() { # ROOT USER FOLDER COMMAND
  # shellcheck disable=SC2016 # the arguments are the inner shell's
  unshare --mount --pid --fork --kill-child bash -c 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
      chroot --userspec="$2" "$1" /bin/sh -c "cd $3 && $4"' - "$@"
}

run_lines() { # STAGE ROOT FOLDER
  local line count=0
  while IFS= read -r line <&9; do
    count=$((count + 1))
    in_root "$2" root "$3" "$line" >"$log" 2>&1 </dev/null
    report $? "stage $1: $line"
  done 9< <(lines "$1" RUN)
  [ $count -gt 0 ]
  report $? "stage $1 has steps"
}

# Serves as the image does, until its health check says so; then it must end at SIGTERM with 0.
served() {
  local user=$1 health
  health=$(lines 2 HEALTHCHECK | sed 's/.*CMD \[\(.*\)\]/\1/; s/[",]//g')
  in_root "$run" "$user" /var/lib/ccrelay "ccrelay run & relay=\$!; n=0
    until $health; do n=\$((n + 1)); [ \$n -lt 50 ] || exit 1; sleep 0.2; done
    kill \$relay; wait \$relay" >"$log" 2>&1 </dev/null
}

if (exec 3<>/dev/tcp/127.0.0.1/8787) 2>/dev/null; then echo "tests/image.sh: port 8787 is in use" >&2; exit 69; fi
build=$base.build run=$base.run
trap 'rm -rf "$build" "$run" "$log"' EXIT
for folder in "$build" "$run"; do
  rm -rf "$folder" && cp -a "$base" "$folder" && cp /etc/resolv.conf "$folder/etc/resolv.conf" || exit 1
done
mkdir -p "$build/src" || exit 1
(cd "$root" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf -) |
  tar --no-same-owner -xf - -C "$build/src" || exit 1

run_lines 1 "$build" /src
cp "$build/ccrelay.deb" "$run/ccrelay.deb"
report $? "stage 1 leaves /ccrelay.deb"
run_lines 2 "$run" /
user=$(lines 2 USER)
[ -n "$user" ] && [ "$user" != root ]
report $? "the image does not run as root"
served "$user"
report $? "the relay serves as $user, its health check passes, and it ends at SIGTERM"
exit $failed
