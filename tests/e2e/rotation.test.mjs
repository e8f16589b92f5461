// SPDX-License-Identifier: Apache-2.0
// Rotation of a log file, as OPERATIONS.md describes it: the file is moved, the relay opens a new one, and no line is lost.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from './support/test.mjs';
import { Relay, ask, post, prepared, provider, root, until } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

/** The logrotate configuration in OPERATIONS.md, for another file. */
function documented(file) {
  const text = readFileSync(path.join(root, 'OPERATIONS.md'), 'utf8');
  const [, block] = /```\n(\/var\/log\/ccrelay\/ccrelay\.log \{[^`]*)```/.exec(text);
  for (const word of ['nocreate', 'delaycompress']) assert.ok(block.includes(`  ${word}\n`), word);
  assert.ok(!block.includes('copytruncate'));
  return block.replace('/var/log/ccrelay/ccrelay.log', file).replace(/ +su .*\n/, '');
}

/** Rotates the file once: by logrotate where it is installed, else by the one thing that it does to the file then. */
function rotate(file, folder) {
  const config = path.join(folder, 'logrotate.conf');
  writeFileSync(config, documented(file), { mode: 0o600 });
  const program = process.env.CCRELAY_LOGROTATE ?? 'logrotate';
  const ran = spawnSync(program, ['--force', '--state', path.join(folder, 'logrotate.state'), config], { encoding: 'utf8' });
  if (ran.error) return renameSync(file, `${file}.1`);
  assert.equal(ran.status, 0, ran.stderr);
}

test('a log file that is rotated as documented goes on in a new file, without loss', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const { folder } = await prepared(t);
  const logs = path.join(folder, 'logs');
  const file = path.join(logs, 'ccrelay.log');
  mkdirSync(logs, { mode: 0o700 });
  const relay = await Relay.start(t, {
    config: { logging: { level: 'info', format: 'json', output: file }, providers: [provider(upstream)] },
  });
  let sent = 0;
  const send = async () => { assert.equal((await post(relay, ask())).status, 200); sent += 1; };
  for (let n = 0; n < 5; n += 1) await send();
  assert.ok(await until(() => existsSync(file) && readFileSync(file, 'utf8').includes('/v1/messages')));
  rotate(file, folder);
  assert.ok(existsSync(`${file}.1`), readdirSync(logs).join());
  assert.ok(!existsSync(file), 'nocreate');
  assert.ok(await until(async () => { await send(); return existsSync(file); }), 'no new file');
  for (let n = 0; n < 5; n += 1) await send();
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const count = (name) => readFileSync(name, 'utf8').split('\n').filter((line) => line.includes('"path":"/v1/messages"')).length;
  assert.ok(await until(() => count(file) + count(`${file}.1`) >= sent), `${count(file)} + ${count(`${file}.1`)} of ${sent}`);
});
