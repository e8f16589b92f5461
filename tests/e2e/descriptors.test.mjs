// SPDX-License-Identifier: Apache-2.0
// File descriptors: the soft limit is raised, and every accepted connection is served.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import http from 'node:http';
import { test } from './support/test.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Relay, ask, post, provider, status, until } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';

const limited = (limit) => ['prlimit', `--nofile=${limit}`];
const open = (pid) => readdirSync(`/proc/${pid}/fd`).map(Number);

/** A provider that begins to answer when `most` have asked it at the same time. */
function together(most) {
  let waiting = [];
  return async (request, reply) => {
    if (waiting && waiting.length + 1 < most) {
      await new Promise((go) => waiting.push(go));
    } else if (waiting) {
      for (const go of waiting) go();
      waiting = null;
    }
    await reply.stream(answers.events({ text: 'served' }), { gap: 20 });
  };
}

function askAtOnce(relay, count, options, more = {}) {
  return Promise.all(Array.from({ length: count }, () => post(relay, ask({ stream: true, ...more }), options)));
}

function assertServed(all) {
  for (const answer of all) {
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.text, /message_stop/);
  }
}

test('a soft limit of 256 serves 300 streams at the same time', async (t) => {
  const upstream = await Upstream.start(t, 'main', together(300));
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(upstream)] }, wrap: limited('256:') });
  assertServed(await askAtOnce(relay, 300));
});

// With new connections, and with kept ones, which must not shut the others out.
for (const keepAlive of [false, true]) {
  test(`a hard limit of 128 serves 40 streams at the same time, and 100 in turn${keepAlive ? ', over kept connections' : ''}`, async (t) => {
    const upstream = await Upstream.start(t, 'main', together(40));
    const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(upstream)] }, wrap: limited('128:128') });
    const agent = keepAlive && new http.Agent({ keepAlive: true, maxSockets: 100 });
    if (agent) t.after(() => agent.destroy());
    assertServed(await askAtOnce(relay, 100, { agent }));
    assert.equal(upstream.requests.length, 100);
    assert.ok(!relay.output.includes('CC_EROOM'), relay.output);
  });
}

test('idle connections to one provider leave descriptors for another', async (t) => {
  const [a, b] = [await Upstream.start(t, 'a', together(40)), await Upstream.start(t, 'b', together(40))];
  const providers = [provider(a, { models: ['model-a'] }), provider(b, { models: ['model-b'] })];
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers }, wrap: limited('128:128') });
  assertServed(await askAtOnce(relay, 40, {}, { model: 'model-a' }));
  assertServed(await askAtOnce(relay, 40, {}, { model: 'model-b' }));
  assertServed(await askAtOnce(relay, 40, {}, { model: 'model-a' }));
});

test('a lack of descriptors is a 529 of the relay and does not count against the provider', async (t) => {
  const upstream = await Upstream.start(t, 'main', healthy());
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(upstream)] } });
  const [, worker] = relay.processes();
  let taken = [];
  assert.ok(await until(async () => { // the connections that asked for its status are closed
    const before = taken;
    await sleep(200);
    taken = open(worker);
    return taken.length === before.length;
  }));
  const free = Array.from({ length: 1000 }, (_, fd) => fd).find((fd) => !taken.includes(fd));
  const [soft, hard] = execFileSync('prlimit', ['--pid', worker, '--nofile', '--raw', '--noheadings', '-o', 'SOFT,HARD'], { encoding: 'utf8' }).trim().split(' ');
  execFileSync('prlimit', ['--pid', worker, `--nofile=${free + 1}:`]); // one for the client
  for (let n = 0; n < 8; n += 1) {
    const answer = await post(relay, ask());
    assert.equal(answer.status, 529, answer.text);
    assert.equal(JSON.parse(answer.text).error.type, 'overloaded_error');
    assert.equal(answer.headers['retry-after'], '1');
    await sleep(20); // its descriptor is free again
  }
  execFileSync('prlimit', ['--pid', worker, `--nofile=${soft}:${hard}`]);
  assert.equal((await status(relay)).providers[0].breaker, 'closed');
  assert.equal((await post(relay, ask())).status, 200);
});
