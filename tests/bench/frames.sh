#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures how fast event-stream frames are decoded and turned into server-sent events. See README.md.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Each function gets its own section, so that only what is called is linked.
${CC:-cc} -std=c11 -O2 -DNDEBUG -D_GNU_SOURCE -ffunction-sections -Wl,--gc-sections -Iruntime -Itests/unit \
  tests/bench/frames.c runtime/attempt/bedrock_stream.c runtime/base/buffer.c \
  runtime/codec/{eventstream,crc32,base64,json,json_text,messages}.c -o "$work/frames"
"$work/frames"
