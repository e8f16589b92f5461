// SPDX-License-Identifier: Apache-2.0
// How each command of the documents is tested: run as it stands, with placeholders filled in, by another command that
// shows as much, or elsewhere.

/** Documents whose blocks run elsewhere. `has` is what that file must contain; the test fails when it no longer does. */
export const blocksElsewhere = {
  'README.md': { by: 'tests/bare.sh', has: 'run_document README.md', because: 'it installs packages and builds' },
  'README.ja.md': { by: 'spec/product/readme_spec.lua', has: 'the Japanese README has the same blocks of ', because: 'they are those of README.md' },
};

const systemd = 'it needs systemd as process 1';
const build = { by: 'tests/run.sh', because: 'it builds or tests everything' };
const image = { by: 'tests/image.sh', has: 'lines 2 HEALTHCHECK', because: 'it needs Docker; the steps of the Dockerfile run without it' };
const foreign = { because: 'it is a program of somebody else that acts on an account, a model or a browser' };

/** Commands that are not run here: what they begin with, who runs them (a file, and what it has), and why. */
export const elsewhere = [
  ['systemctl enable --now ccrelay', { by: 'tests/systemd.sh', has: 'systemctl --root', because: systemd }],
  ['systemctl reload ccrelay', { by: 'tests/e2e/service.test.mjs', has: 'RELOADING', because: systemd }],
  ['systemctl status', { by: 'tests/e2e/service.test.mjs', has: 'STATUS', because: systemd }],
  ['systemctl edit ccrelay', { by: 'tests/systemd.sh', has: 'systemd-analyze verify', because: `${systemd}, and opens an editor` }],
  ['journalctl -u ccrelay', { by: 'tests/e2e/service.test.mjs', has: 'test(', because: systemd }],
  ['docker build ', image],
  ['docker run ', image],
  ['runtime/setup.sh --bench', { by: 'runtime/setup.sh', has: '[ "$bench" = yes ]', because: 'it installs packages' }],
  ['runtime/setup.sh', { by: 'tests/run.sh', has: 'runtime/setup.sh" --tests', because: 'it installs packages' }],
  ['cmake -S . -B build/plain', { ...build, has: 'cmake -S "$root" -B "$build/$folder"' }],
  ['cmake --build build/plain\n', { ...build, has: 'cmake --build "$build/$folder"' }],
  ['cmake --install', { by: 'tests/bare.sh', has: 'what was installed runs', because: 'it needs root' }],
  ['busted --lua=luajit -o utfTerminal', { ...build, has: 'busted --lua=luajit -o utfTerminal' }],
  ['cd tests/e2e && npm ci', { ...build, has: 'npm ci' }],
  ['npm ci', { ...build, has: 'npm ci' }],
  ['pip install clang-format==19.1.7', { by: 'tests/format.sh', has: '19.1.7', because: 'it changes the Python installation' }],
  ['ccrelay demo', { by: 'tests/bare.sh', has: '(run|serve|demo)', because: 'its ports are fixed' }],
  ['ccrelay client', { by: 'tests/e2e/client_command.test.mjs', has: "client('revoke', 'alice')", because: 'it needs server.state_dir, and closes the relay to everybody else' }],
  ['kill -HUP', { by: 'tests/e2e/service.test.mjs', has: 'SIGHUP', because: 'the process id is not known' }],
  ['curl http://localhost:11434/', foreign],
  ['ollama ', foreign],
  ['aws ', foreign],
  ['az ', foreign],
  ['gcloud ', foreign],
];

/** Commands that are not run as they stand: a pattern, and what is run in place of what it matches. */
export const instead = [
  // A target that formats, lints or tests everything must exist.
  [/^cmake --build build\/plain --target (\w+).*$/, 'cmake --build build/plain --target help | grep -w $1'],
  // tests/run.sh takes minutes; its options must exist.
  [/^tests\/run\.sh (--(?!help)\w+).*$/, 'tests/run.sh --help | grep -e $1'],
  // Benchmarks take minutes.
  [/^(tests\/bench\/\w+\.sh).*$/, 'bash -n $1'],
  [/^node (tests\/bench\/\w+\.mjs).*$/, 'node --check $1'],
  [/^(ccrelay help --man) \| man -l -$/, '$1 | grep "^\\.TH CCRELAY 1"'],
  // The mock that the document tells of.
  [/^(claude -p .*)$/, 'ANTHROPIC_BASE_URL=http://127.0.0.1:9001 $1'],
  // Of a request that was just made.
  [/ REQUEST_ID$/, ' "$(claude -D - | sed -n "s/^request-id: \\([^[:space:]]*\\).*/\\1/ip")"'],
  // Only Claude Code runs it, and only where the configuration asks for a key.
  [/^ccrelay config cc key$/, 'ccrelay config cc key --config examples/bedrock.yaml'],
];

/** What stands for placeholders in inline code. */
export const filled = [
  [/ \[POLICY\.lua\]/, ' mine.lua'],
  [/\b(?:POLICY|FILE)\.lua/, 'mine.lua'],
  [/^ccrelay test(?: FILE\.\.\.)?$/, 'ccrelay test policies/tests/failover_test.lua'],
  [/\bmine_test\.lua/, 'policies/tests/failover_test.lua'],
  [/ SHELL\b/, ' bash'],
  [/ (?:COMMAND|\[COMMAND\])/, ' run'],
  [/--model NAME/, '--model claude-sonnet-4-5'],
];

/** Exit codes other than 0 that are right, by what the command begins with. */
export const exits = [
  ["curl -sN 127.0.0.1:9001/v1/messages -H 'anthropic-version: 2023-06-01' -H 'x-mock-fault: cut=600'", [18, 56]], // the fault it shows
];

/** What runs while the commands of a document are tried; else `ccrelay run`. */
export const needed = { 'examples/README.md': 'ccrelay run examples/mock.lua --listen 127.0.0.1:9001' };
