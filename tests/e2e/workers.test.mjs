// SPDX-License-Identifier: Apache-2.0
// Workers that die: each is replaced, runs the same generation as the others, and never delays a reload or the shutdown.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, pair, patience, post, provider, secret, status, until } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';

const nobody = provider({ url: 'http://127.0.0.1:1' });
const says = (word) => `return function(exchange) return exchange:respond { body = '${word}' } end\n`;

/** Waits until there are as many workers as there should be, all of them serving. */
const complete = (relay, restarts) => until(async () => {
  const now = await status(relay).catch(() => null);
  return now?.restarts >= restarts && now.workers.every((worker) => worker.pid > 0);
});

async function answers(relay, count = 20) {
  const seen = new Set();
  for (let i = 0; i < count; i += 1) seen.add((await post(relay, ask())).text);
  return [...seen];
}

test('a reload does not wait for a worker that is to be replaced later', async (t) => {
  const relay = await Relay.start(t, { config: { providers: [nobody] }, policy: says('one') });
  process.kill((await status(relay)).workers[1].pid, 'SIGKILL'); // it is younger than a second, so it is replaced after a second
  await relay.printed(/was killed by signal 9/);
  relay.savePolicy(says('two'));
  await relay.printed(/generation 2 is in force/);
  assert.ok(await complete(relay, 1));
  assert.deepEqual(await answers(relay), ['two']);
  relay.savePolicy(says('three'));
  await relay.printed(/generation 3 is in force/);
  assert.deepEqual(await answers(relay), ['three']);
});

test('a worker that dies while a reload is prepared runs the new generation', async (t) => {
  const relay = await Relay.start(t, { config: { server: { workers: 4 }, providers: [nobody] }, policy: says('one') });
  await sleep(1100); // old enough to be replaced at once
  for (let round = 2; round < 6; round += 1) {
    const { workers } = await status(relay);
    process.kill(workers[0].pid, 'SIGSTOP'); // keeps the reload open
    relay.savePolicy(says(`v${round}`));
    await sleep(300);
    process.kill(workers[1].pid, 'SIGKILL');
    await relay.printed(new RegExp(`(worker 1 was killed[^]*){${round - 1}}`));
    await sleep(100);
    process.kill(workers[0].pid, 'SIGCONT');
    await relay.printed(new RegExp(`generation ${round} is in force`));
    assert.ok(await complete(relay, round - 1));
    assert.deepEqual(await answers(relay, 40), [`v${round}`]);
    await sleep(1100);
  }
});

test('a worker that is to be replaced later is not started during shutdown', async (t) => {
  const up = await Upstream.start(t, 'up', healthy({ text: 'word '.repeat(20), gap: 200 }));
  const relay = await Relay.start(t, { config: { providers: [provider(up)] } });
  const stream = post(relay, ask({ stream: true }));
  assert.ok(await until(() => up.requests.length === 1));
  const idle = (await status(relay)).workers.find((worker) => worker.exchanges === 0);
  process.kill(idle.pid, 'SIGKILL');
  await relay.printed(/was killed by signal 9/);
  relay.child.kill('SIGTERM');
  assert.match((await stream).text, /message_stop/);
  assert.notEqual(await Promise.race([relay.exited, sleep(8000 * patience, 'late', { ref: false })]), 'late', relay.output);
});

test('status shows the fault of a refused reload without secrets, and only until it is mended', async (t) => {
  const relay = await Relay.start(t, { config: { providers: [nobody] }, policy: says('one') });
  relay.expectTraceback = true;
  relay.savePolicy(`error('not with ' .. '${secret('fault')}')\n`);
  await relay.printed(/reload refused/);
  const { reloads } = await status(relay);
  assert.match(reloads.fault, /not with/);
  assert.ok(!reloads.fault.includes(secret('fault')), reloads.fault);
  rmSync(relay.policyPath);
  await relay.printed(/(reload refused[^]*){2}/);
  relay.savePolicy(says('one'));
  assert.ok(await until(async () => (await status(relay)).reloads.fault === undefined));
});

/** Takes connections and says nothing, so no request over TLS is ever sent. */
async function mute(t) {
  const sockets = [];
  const server = net.createServer((socket) => sockets.push(socket.on('error', () => {})));
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  t.after(() => { sockets.forEach((socket) => socket.destroy()); server.close(); });
  return { name: 'mute', url: `https://127.0.0.1:${server.address().port}`, sockets };
}

const limited = (up) => ({ server: { workers: 1 },
  providers: [provider(up, { keys: [{ key: secret(up.name), rpm_limit: 2 }] })] });
const twice = (relay) => [1, 2].map(() => post(relay, ask({ stream: true })).catch(() => null));

async function kill(relay) {
  await sleep(1100); // old enough to be replaced at once
  process.kill((await status(relay)).workers[0].pid, 'SIGKILL');
  assert.ok(await complete(relay, 1));
}

test('reservations that a killed worker had not sent are returned', async (t) => {
  const up = await mute(t);
  const relay = await Relay.start(t, { config: limited(up) });
  const waiting = twice(relay);
  assert.ok(await until(() => up.sockets.length === 2));
  assert.equal((await post(relay, ask())).status, 429);
  await kill(relay);
  waiting.push(...twice(relay));
  assert.ok(await until(() => up.sockets.length === 4), `${up.sockets.length} connections`);
  up.sockets.forEach((socket) => socket.destroy());
  await Promise.all(waiting);
});

test('requests that a killed worker had sent stay counted', async (t) => {
  const up = await Upstream.start(t, 'up', healthy({ text: 'word '.repeat(100), gap: 100 }));
  const relay = await Relay.start(t, { config: limited(up) });
  const streams = twice(relay);
  assert.ok(await until(() => up.requests.length === 2));
  await kill(relay);
  assert.equal((await post(relay, ask())).status, 429);
  assert.equal(up.requests.length, 2);
  await Promise.all(streams);
});

test('a worker that dies during the probe of a circuit leaves the probe to the next', async (t) => {
  const up = await Upstream.start(t, 'up', [faults.status(500, 'api_error'), () => new Promise(() => {}), healthy()]);
  const other = await Upstream.start(t, 'other');
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: pair(up, other),
    health: { circuit_breaker: { failure_threshold: 1, open_duration_ms: 300 } } } });
  const served = async () => JSON.parse((await post(relay, ask())).text).content[0].text;
  assert.equal(await served(), 'served by other');
  assert.equal(await served(), 'served by other');
  assert.equal(up.requests.length, 1);
  await sleep(400);
  const probe = post(relay, ask()).catch(() => null);
  assert.ok(await until(() => up.requests.length === 2));
  assert.equal(await served(), 'served by other');
  await kill(relay);
  assert.equal(await probe, null);
  assert.equal(await served(), 'served by up');
});

test('the concurrency limit of a client counts all workers', async (t) => {
  let open = 0;
  let most = 0;
  const serve = healthy();
  const up = await Upstream.start(t, 'up', async (request, reply) => {
    most = Math.max(most, open += 1);
    await sleep(40);
    open -= 1;
    await serve(request, reply);
  });
  const clients = [{ name: 'one', key: secret('one'), max_concurrent: 1 }];
  const relay = await Relay.start(t, { config: { server: { workers: 4, auth: { clients } }, providers: [provider(up)] } });
  const headers = { 'x-api-key': secret('one') };
  for (let round = 0; round < 8; round += 1) {
    const answers = await Promise.all(Array.from({ length: 12 }, () => post(relay, ask(), { headers })));
    assert.ok(answers.every(({ status }) => status === 200 || status === 429));
  }
  assert.equal(most, 1);
  assert.ok(await until(async () => (await post(relay, ask(), { headers })).status === 200));
});

test('a reload that one worker refuses takes effect in none', async (t) => {
  const keeping = `local kept = {}
return function(exchange)
  if exchange.header['x-keep'] then kept[#kept + 1] = string.rep('x', 2^20) .. #kept end
  return exchange:respond { body = 'one' }
end
`;
  const large = `local large = {}
for i = 1, 8 do large[i] = string.rep('y', 2^20) .. i end
return function(exchange) return exchange:respond { body = 'two' } end
`;
  const relay = await Relay.start(t, { config: { providers: [nobody] }, policy: large, env: { CCRELAY_SCRIPT_FAULTS: '0' } });
  relay.expectTraceback = true;
  relay.savePolicy(keeping);
  await relay.generation(2);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 }); // one connection is one worker's
  t.after(() => agent.destroy());
  let filled = 0;
  while ((await post(relay, ask(), { agent, headers: { 'x-keep': '1' } })).status === 200) filled += 1;
  assert.ok(filled > 8, `${filled}`);
  relay.savePolicy(large);
  await relay.printed(/reload refused/);
  const now = await status(relay);
  assert.deepEqual([now.generation.number, now.reloads.done, now.reloads.refused, now.restarts], [2, 1, 1, 0]);
  assert.match(now.reloads.fault, /not enough memory/);
  assert.deepEqual(await answers(relay, 40), ['one']);
  process.kill(now.workers[0].pid, 'SIGKILL');
  process.kill(now.workers[1].pid, 'SIGKILL');
  assert.ok(await complete(relay, 2));
  relay.savePolicy(`${large}-- once more\n`);
  await relay.generation(3);
  assert.deepEqual(await answers(relay, 40), ['two']);
});
