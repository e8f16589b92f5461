// SPDX-License-Identifier: Apache-2.0
// Socket activation: listening sockets that a service manager passes serve clients and, by name, the admin listener.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from './support/test.mjs';
import { Relay, ask, freePort, get, post, provider, root, secret, until } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

const script = path.join(root, 'tests/e2e/support/activation.pl');

/** Starts a relay with these sockets; the addresses in its configuration are others. */
async function activated(t, sockets, { times = 1, ready = true, ...options } = {}) {
  const upstream = await Upstream.start(t, 'only');
  const relay = await Relay.start(t, {
    config: { providers: [provider(upstream)], ...options }, ready: false,
    wrap: ['perl', script, String(times), ...sockets, '--'],
  });
  relay.configured = relay.port;
  relay.port = sockets.find((text) => !text.startsWith('admin,'))?.split(',')[2] ?? relay.port;
  relay.adminPort = sockets.find((text) => text.startsWith('admin,'))?.split(',')[2] ?? relay.adminPort;
  if (ready) await relay.ready();
  return relay;
}

test('sockets of the manager serve clients, in all workers, and the admin listener by name', async (t) => {
  const [first, second, admin] = [await freePort(), await freePort(), await freePort()];
  const relay = await activated(t, [`ccrelay.socket,127.0.0.1,${first}`, `admin,127.0.0.1,${admin}`, `more,127.0.0.1,${second}`]);
  for (const port of [first, second]) {
    relay.port = port;
    for (let n = 0; n < 5; n += 1) assert.equal((await post(relay, ask())).status, 200);
  }
  const { workers } = await relay.status();
  assert.equal(workers.length, 2);
  assert.match(relay.output, new RegExp(`listening on 127.0.0.1:${first}, 127.0.0.1:${second} with 2 workers`));
  await assert.rejects(get(`http://127.0.0.1:${relay.configured}/health`), /ECONNREFUSED/);

  process.kill(relay.processes().at(-1), 'SIGKILL'); // its replacement has the sockets too
  await relay.printed(/was killed by signal 9; starting another/);
  relay.port = first;
  for (let n = 0; n < 5; n += 1) assert.equal((await post(relay, ask())).status, 200);

  const pid = Number(/started (\d+)/.exec(relay.output)[1]);
  process.kill(pid, 'SIGHUP'); // a reload keeps them
  await relay.generation(2);
  assert.doesNotMatch(relay.output, /needs a restart/);
});

test('connections wait while the relay restarts', async (t) => {
  const port = await freePort();
  const relay = await activated(t, [`ccrelay.socket,127.0.0.1,${port}`], { times: 2 });
  const pid = Number(/started (\d+)/.exec(relay.output)[1]);
  process.kill(pid, 'SIGTERM');
  await relay.printed(/"stopped"/);
  assert.equal((await post(relay, ask())).status, 200);
  assert.equal(relay.output.match(/started \d+/g).length, 2);
});

test('a unix socket of the manager stays when the relay ends', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-socket-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const socket = path.join(folder, 'relay');
  const relay = await activated(t, [`ccrelay.socket,${socket}`], { ready: false });
  await relay.printed(/listening on unix:/);
  const answered = await new Promise((done, failed) => {
    http.get({ socketPath: socket, path: '/health' }, (answer) => { answer.resume(); done(answer.statusCode); }).on('error', failed);
  });
  assert.equal(answered, 200);
  await relay.stop();
  assert.ok(existsSync(socket));
});

test('sockets that cannot be used are refused, with the reason', async (t) => {
  const port = await freePort();
  const refused = async (sockets, pattern, options) => {
    const relay = await activated(t, sockets, { ready: false, ...options });
    relay.expectedCode = 78;
    assert.ok(await until(() => relay.ended), relay.output);
    assert.match(relay.output, pattern);
  };
  await refused([`x,0.0.0.0,${port}`], /server\.listen: found 0\.0\.0\.0:\d+, which other machines can reach/);
  await refused([`admin,0.0.0.0,${port}`], /admin\.listen: found 0\.0\.0\.0:\d+, which other machines can reach/);
  await refused([`deaf,127.0.0.1,${port}`], /socket activation: descriptor 3 is no listening stream socket/);
  await refused([`admin,127.0.0.1,${port}`, `admin,127.0.0.1,${await freePort()}`], /two sockets are named "admin"/);
});

test('with a key, a socket of the manager may be one that other machines can reach', async (t) => {
  const port = await freePort();
  const relay = await activated(t, [`x,0.0.0.0,${port}`], { server: { auth: { api_key: secret('door') } } });
  assert.equal((await post(relay, ask())).status, 401);
  assert.equal((await post(relay, ask(), { headers: { 'x-api-key': secret('door') } })).status, 200);
});
