// SPDX-License-Identifier: Apache-2.0
// Health checks: a provider that could not be reached is checked by connecting only, and is used soon after it listens
// again, however long its circuit would stay open.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, binary, get, pair, patience, post, provider } from './support/relay.mjs';
import { Upstream, faults, refusing } from './support/upstream.mjs';

const run = promisify(execFile);
const INTERVAL = 300;

async function set(t, check) {
  const away = Object.assign(await refusing(), { name: 'first' });
  const second = await Upstream.start(t, 'second');
  const relay = await Relay.start(t, {
    config: {
      providers: pair(away, second),
      health: { health_check: check, circuit_breaker: { failure_threshold: 2, open_duration_ms: 3_600_000, half_open_probes: 1 } },
    },
  });
  for (let n = 0; n < 3; n += 1) assert.equal((await post(relay, ask())).status, 200);
  assert.equal(second.requests.length, 3);
  return { away, second, relay };
}

async function shown(relay) {
  const { stdout } = await run(binary, ['status', '--config', relay.configPath], { env: { CCRELAY_ROOT: process.env.CCRELAY_ROOT, PATH: process.env.PATH } });
  return stdout.split('\n').find((line) => line.includes('first (anthropic)'));
}

const from = async (relay) => JSON.parse((await post(relay, ask())).text).content[0].text;

test('a provider that listens again is used within one interval, and gets no request before', async (t) => {
  const { away, relay } = await set(t, { enabled: true, interval_ms: INTERVAL });
  await sleep(2 * INTERVAL * patience);
  assert.match(await shown(relay), /circuit open, probed 0 s ago: the connection was refused/);
  const figures = async () => (await get(`http://127.0.0.1:${relay.adminPort}/metrics`)).text;
  assert.match(await figures(), /ccrelay_circuit\{provider="first"\} 2\nccrelay_circuit\{provider="second"\} 0\n/);
  const first = await Upstream.start(t, 'first', undefined, away.port);
  const back = performance.now();
  await relay.printed(/provider accepts connections again/, 2 * INTERVAL * patience);
  assert.ok(performance.now() - back < 2 * INTERVAL * patience);
  assert.equal(first.requests.length, 0);
  assert.ok(first.connections >= 1);
  assert.match(await shown(relay), /circuit half_open, probed 0 s ago: it accepts connections/);
  assert.equal(await from(relay), 'served by first');
  assert.equal(first.requests.length, 1);
  const connections = first.connections;
  await sleep(2 * INTERVAL);
  assert.equal(first.connections, connections);
  const text = await figures();
  assert.match(text, /ccrelay_provider_probes_total\{provider="first"\} \d+/);
  assert.match(text, /ccrelay_provider_probe_failures_total\{provider="first"\} \d+/);
  assert.match(text, /ccrelay_circuit\{provider="first"\} 0\nccrelay_circuit\{provider="second"\} 0\n/);
  assert.match(text, /ccrelay_key_ready\{key="first\/1"\} 1\n/);
});

test('without health checks the relay does not connect', async (t) => {
  const { away, relay } = await set(t, { enabled: false, interval_ms: 100 });
  const first = await Upstream.start(t, 'first', undefined, away.port);
  await sleep(500);
  assert.equal(first.connections, 0);
  assert.equal(await from(relay), 'served by second');
});

/** Two workers before a provider that refuses, alone or beside one that serves. */
async function refusedBy(t, handler, beside) {
  const up = await Upstream.start(t, 'up', handler);
  const providers = beside ? pair(up, await Upstream.start(t, 'other')) : [provider(up)];
  const policy = (more) => `local relay = require 'ccrelay'
return function(exchange) return exchange:first(relay.upstreams(exchange)) end -- ${more}
`;
  const relay = await Relay.start(t, { config: { providers }, policy: policy('one') });
  const reload = async (number) => {
    relay.savePolicy(policy(number));
    await relay.printed(new RegExp(`generation ${number} is in force`));
  };
  // Each over its own connection, so that both workers get requests.
  const askAll = async () => { for (let n = 0; n < 40; n += 1) assert.equal((await post(relay, ask())).status === 200, Boolean(beside)); };
  return { up, askAll, reload };
}

test('a key at its limit stays left out after a reload, in every worker', async (t) => {
  const { up, askAll, reload } = await refusedBy(t, faults.status(429, 'rate_limit_error', { 'retry-after': '600' }));
  await askAll();
  assert.equal(up.requests.length, 1);
  await reload(2);
  await askAll();
  assert.equal(up.requests.length, 1);
});

test('a reload gives a suspended key one new chance, in whichever worker', async (t) => {
  const { up, askAll, reload } = await refusedBy(t, faults.status(401, 'authentication_error'), 'beside another');
  await askAll();
  assert.equal(up.requests.length, 1);
  await reload(2);
  await askAll();
  assert.equal(up.requests.length, 2);
});
