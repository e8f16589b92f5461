// SPDX-License-Identifier: Apache-2.0
// Connections to upstreams: as many as were in use lately are kept, within server.max_idle_connections.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { test } from './support/test.mjs';
import { Relay, ask, post, provider, root } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';

const certificates = mkdtempSync(path.join(tmpdir(), 'ccrelay-connections-'));
before(() => execFileSync('sh', [path.join(root, 'tests/data/tls/make.sh'), certificates]));
after(() => rmSync(certificates, { recursive: true, force: true }));
const certificate = (name) => path.join(certificates, name);

/** Answers only when `size` requests wait, so that they are under way at the same time. */
function wave(size) {
  let waiting = [];
  return async (request, reply) => {
    await new Promise((go) => {
      waiting.push(go);
      if (waiting.length < size) return;
      for (const next of waiting) next();
      waiting = [];
    });
    await reply.json(200, answers.message({ text: 'served' }));
  };
}

async function askAll(relay, size) {
  const all = await Promise.all(Array.from({ length: size }, () => post(relay, ask())));
  for (const answer of all) assert.equal(answer.status, 200, answer.text);
}

async function start(t, size, { server = {}, secure = false } = {}) {
  const security = secure && { cert: readFileSync(certificate('address.pem')), key: readFileSync(certificate('address.key')) };
  const upstream = await Upstream.start(t, 'main', wave(size), 0, security);
  const trusted = secure ? { ca_file: certificate('root.pem') } : {};
  const relay = await Relay.start(t, { config: { server: { workers: 1, ...server }, providers: [{ ...provider(upstream), ...trusted }] } });
  return { upstream, relay };
}

for (const secure of [false, true]) {
  test(`waves of 300 requests use the connections of the first${secure ? ', over TLS' : ''}`, async (t) => {
    const { upstream, relay } = await start(t, 300, { secure });
    for (let n = 0; n < 3; n += 1) {
      await askAll(relay, 300);
      assert.equal(upstream.connections, 300);
    }
  });
}

test('server.max_idle_connections bounds what is kept, also after a reload', async (t) => {
  const { upstream, relay } = await start(t, 20, { server: { max_idle_connections: 5 } });
  await askAll(relay, 20);
  await askAll(relay, 20);
  assert.equal(upstream.connections, 20 + 15);
  relay.configure({ server: { workers: 1, max_idle_connections: 0 }, providers: [provider(upstream)] });
  await relay.generation(2);
  await askAll(relay, 20);
  await askAll(relay, 20);
  assert.equal(upstream.connections, 20 + 15 + 15 + 20);
});
