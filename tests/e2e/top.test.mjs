// SPDX-License-Identifier: Apache-2.0
// ccrelay top: what it prints once, and in a terminal (of script(1)).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, binary, pair, patience, post, root, run, until } from './support/relay.mjs';
import { Upstream, faults } from './support/upstream.mjs';

async function loaded(t) {
  const first = await Upstream.start(t, 'first', faults.status(500, 'api_error'));
  const relay = await Relay.start(t, { config: { providers: pair(first, await Upstream.start(t, 'second')) } });
  for (let n = 0; n < 8; n += 1) assert.equal((await post(relay, ask({ stream: true }))).status, 200);
  return relay;
}

test('once: text of 80 columns without colours, and JSON', async (t) => {
  const relay = await loaded(t);
  const config = ['--config', relay.configPath];
  const { code, output } = await run(['top', '--once', ...config]);
  assert.equal(code, 0, output);
  assert.match(output, /^ccrelay \S+ {2}up \d+ s {2}generation 1 /);
  assert.match(output, /\nfirst +circuit \w+.* 100 % of \d+\n/);
  assert.match(output, /\n {2}second\/1 +ready +100 % +0 % of 8\n/);
  assert.match(output, /\nworker 0 +\d+/);
  assert.match(output, /claude-test-1 +first\/1 api_error > \S+ +200 /);
  assert.doesNotMatch(output, /\x1b/);
  for (const line of output.split('\n')) assert.ok(line.length <= 80, line);
  assert.equal((await run(['top', ...config])).code, 0, 'not a terminal');
  const json = JSON.parse((await run(['top', '--once', '--json', ...config])).output);
  assert.equal(json.providers[1].keys[0].lately.attempts, 8);
  assert.equal(json.exchanges.length, 8);
});

test('without a relay, and with options that do not go together', async (t) => {
  const relay = await loaded(t);
  await relay.stop();
  const gone = await run(['top', '--once', '--admin', `127.0.0.1:${relay.adminPort}`]);
  assert.equal(gone.code, 69);
  assert.match(gone.output, /ccrelay top: 127\.0\.0\.1:\d+: /);
  assert.equal((await run(['top', '--json'])).code, 64);
});

function terminal(relay, env) {
  const { PATH } = process.env;
  const command = `stty cols 90 rows 30; '${binary}' top --config '${relay.configPath}'; echo "exit $?"; stty -a`;
  const child = spawn('script', ['-qec', command, '/dev/null'], { env: { PATH, CCRELAY_ROOT: process.env.CCRELAY_ROOT ?? root, TERM: 'xterm', SHELL: '/bin/sh', ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  const shown = { text: '', child };
  child.stdout.on('data', (bytes) => { shown.text += bytes; });
  shown.ended = new Promise((done) => child.on('close', done));
  return shown;
}

const frames = (shown) => shown.text.split('\x1b[H').length - 1;

test('in a terminal: drawn anew each second, with colours, until q', async (t) => {
  const relay = await loaded(t);
  const shown = terminal(relay, {});
  t.after(() => shown.child.kill());
  assert.ok(await until(() => frames(shown) >= 3), shown.text);
  assert.match(shown.text, /\x1b\[32mready\x1b\[0m/);
  await post(relay, ask({ model: 'claude-later' }));
  assert.ok(await until(() => /claude-later/.test(shown.text)), shown.text);
  shown.child.stdin.write('q');
  await Promise.race([shown.ended, sleep(5000 * patience)]);
  assert.match(shown.text, /\x1b\[\?1049lexit 0\r\n/);
  assert.match(shown.text, /[^-]icanon.*[^-]echo /s);
});

test('in a terminal: NO_COLOR, Ctrl-C, and a relay that goes away', async (t) => {
  const relay = await loaded(t);
  const shown = terminal(relay, { NO_COLOR: '1' });
  t.after(() => shown.child.kill());
  assert.ok(await until(() => frames(shown) >= 1), shown.text);
  assert.doesNotMatch(shown.text, /\x1b\[\d*m/);
  await relay.stop();
  assert.ok(await until(() => /no answer from 127/.test(shown.text)), shown.text);
  shown.child.stdin.write('\x03');
  await Promise.race([shown.ended, sleep(5000 * patience)]);
  assert.match(shown.text, /exit 0\r\n/);
});
