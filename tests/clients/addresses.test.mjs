// SPDX-License-Identifier: Apache-2.0
// Hosts with several addresses, of which the first does not answer.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { test } from './support/test.mjs';
import { Relay, ask, pair, post } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';

/** ::1 on this port leaves connections without an answer: its queue is full, and nobody accepts. */
async function blackhole(t, port) {
  const script = `require('node:net').createServer().listen({ port: ${port}, host: '::1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, 'listening');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }).on('error', () => process.exit(1))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const listens = await Promise.race([once(child.stdout, 'data').then(() => true), once(child, 'exit').then(() => false)]);
  if (!listens) return false;
  const fill = Array.from({ length: 4 }, () => net.connect(port, '::1').on('error', () => {}));
  t.after(() => fill.forEach((socket) => socket.destroy()));
  await Promise.all(fill.slice(0, 2).map((socket) => once(socket, 'connect')));
  return true;
}

test('a dead IPv6 address keeps nobody from the provider', async (t) => {
  const [first, second] = [await Upstream.start(t, 'first', healthy()), await Upstream.start(t, 'second', healthy())];
  if (!(await blackhole(t, first.port))) return t.skip('no IPv6 on this machine');
  const providers = pair(first, second);
  providers[0].base_url = `http://localhost:${first.port}`;
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers } });
  for (let n = 1; n <= 3; n += 1) {
    const answer = await post(relay, ask());
    assert.equal(answer.status, 200, answer.text);
    assert.equal(first.requests.length, n);
  }
  assert.equal(second.requests.length, 0);
  return undefined;
});
