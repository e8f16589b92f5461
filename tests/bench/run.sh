#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures requests a second, latency and CPU time of the relay, nginx and, if it is installed, haproxy, each with one
# process, in front of the same nginx. See README.md.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
binary=${CCRELAY_BIN:-$root/build/plain/ccrelay}
seconds=${1:-5}
rounds=${2:-3}
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT

for program in wrk nginx "$binary"; do
  command -v "$program" >/dev/null || { echo "bench: $program is missing; runtime/setup.sh --bench installs it" >&2; exit 69; }
done
if [ "$(nproc)" -gt 1 ]; then loader=(taskset -c 0) tested=(taskset -c 1); else loader=() tested=(); fi

answer='{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"'$(printf 'x%.0s' {1..800})'"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}'
text=$(head -c 100000 /dev/zero | tr '\0' y)
body() { printf '{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"%s"}]}' "$1"; }

script() {
  printf 'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.headers["anthropic-version"] = "2023-06-01"\nwrk.body = %s\n' "[==[$(body "$1")]==]"
}
script hi >"$work/small.lua"
script "$text" >"$work/large.lua"

nginx_of() { # NAME PORT LOCATION
  cat >"$work/$1.conf" <<TEXT
daemon off; worker_processes 1; pid $work/$1.pid; error_log $work/$1.err;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; client_body_buffer_size 256k; client_max_body_size 0;
  client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
  upstream origin { server 127.0.0.1:19000; keepalive 256; }
  server { listen 127.0.0.1:$2 backlog=4096; location / { $3 } }
}
TEXT
}
nginx_of origin 19000 "default_type application/json; return 200 '$answer';"
nginx_of nginx 19001 'proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off;'
cat >"$work/haproxy.conf" <<TEXT
global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-no-delay
frontend f
  bind 127.0.0.1:19002
  default_backend b
backend b
  server s 127.0.0.1:19000
TEXT
cat >"$work/config.yaml" <<TEXT
server: {listen: "127.0.0.1:19003", workers: 1}
admin: {listen: "off"}
logging: {level: error, output: stderr}
providers: [{name: origin, type: anthropic, base_url: "http://127.0.0.1:19000", keys: [{key: none}]}]
TEXT
chmod 600 "$work/config.yaml"

start() { # NAME COMMAND...
  local name=$1
  shift
  "$@" >"$work/$name.out" 2>&1 &
  pids+=($!)
  eval "pid_$name=$!"
}
start origin "${loader[@]}" nginx -c "$work/origin.conf"
start nginx "${tested[@]}" nginx -c "$work/nginx.conf"
if command -v haproxy >/dev/null; then start haproxy "${tested[@]}" haproxy -f "$work/haproxy.conf"; fi
start ccrelay "${tested[@]}" "$binary" run --config "$work/config.yaml"
sleep 1

family() { echo "$1"; for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do family "$child"; done; }
cpu_ns() { for pid in $(family "$1"); do cat /proc/"$pid"/task/*/schedstat 2>/dev/null; done | awk '{sum += $1} END {printf "%.0f\n", sum}'; }

one() { # NAME PORT SCRIPT CONNECTIONS
  local pid=pid_$1 before after
  before=$(cpu_ns "${!pid}")
  "${loader[@]}" wrk -t1 -c"$4" -d"${seconds}s" --latency -s "$work/$3.lua" "http://127.0.0.1:$2/v1/messages" >"$work/wrk"
  after=$(cpu_ns "${!pid}")
  awk -v name="$1" -v load="$3" -v cpu=$((after - before)) '
    /50%/{p50 = $2} /99%/{p99 = $2} /requests in/{n = $1} /Requests\/sec/{rate = $2} /Non-2xx/{bad = $NF}
    /Socket errors/{sub(/^ */, ""); errors = $0}
    END {printf "%-6s %-8s %9.0f/s  p50 %8s  p99 %8s  CPU %.3f s/10k  not 2xx: %d %s\n", load, name, rate, p50, p99, n ? cpu / 1e5 / n : 0, bad, errors}' "$work/wrk"
}

for _ in $(seq "$rounds"); do
  for load in "small 64" "large 32"; do
    one origin 19000 $load
    one nginx 19001 $load
    [ -z "${pid_haproxy:-}" ] || one haproxy 19002 $load
    one ccrelay 19003 $load
  done
done
