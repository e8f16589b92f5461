// SPDX-License-Identifier: Apache-2.0
// Quarantine: a policy that keeps failing is put aside, and logs say so. The last good one or failover serves until the
// file is changed, and running exchanges are not disturbed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { mkdtempSync, cpSync, writeFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, binary, get, patience, post, provider, root, secret } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';

const throws = `return function(exchange)
  error('on purpose, with ${secret('up')}')
end
`;
const loops = 'return function(exchange)\n  while true do end\nend\n';
const says = (word) => `return function(exchange) return exchange:respond { body = '${word}' } end\n`;

async function status(relay) {
  return JSON.parse((await get(`http://127.0.0.1:${relay.adminPort}/status`)).text);
}

async function told(relay) {
  const env = { ...process.env, HOME: relay.folder, CCRELAY_ROOT: root };
  return (await promisify(execFile)(binary, ['status', '--config', relay.configPath], { env })).stdout;
}

/** Asks until the answer is as expected: what came before it. */
async function until(relay, expected, limit = 5000 * patience) {
  const end = performance.now() + limit;
  const before = [];
  for (;;) {
    const answer = await post(relay, ask()).catch((error) => ({ status: error.code }));
    if (expected(answer)) return before;
    before.push(answer.status);
    assert.ok(performance.now() < end, `not in ${limit} ms: ${before}\n${relay.output}`);
  }
}

const upstream = (answer) => answer.status === 200 && answer.text.includes('from above');
const text = (word) => (answer) => answer.text === word;

async function start(t, policy, more = {}) {
  const up = await Upstream.start(t, 'up', healthy({ text: 'from above' }));
  const relay = await Relay.start(t, { config: { providers: [provider(up)], ...more.config }, policy, env: more.env });
  relay.expectTraceback = true;
  return relay;
}

for (const [name, policy, why] of [
  ['throws', throws, /policy\.lua:2: on purpose/],
  ['loops for ever', loops, /policy\.lua:2: the script ran for more than/],
  ['takes all memory', "return function()\n  local t = {} while true do t[#t + 1] = {} end\nend\n", /policy(\.lua:2)?: (not enough memory|the script ran)/],
  ['returns nonsense', 'return function()\n  return 42\nend\n', /policy: the policy returned a number/],
  ['throws in the end', `local relay = require 'ccrelay'
return {
  route = function(exchange) return exchange:respond { body = 'fine' } end,
  on_done = function() error('afterwards') end,
}
`, /policy\.lua:4: afterwards/],
]) {
  test(`a policy that ${name} is put aside at its third fault: failover serves until it is changed`, async (t) => {
    const relay = await start(t, policy);
    const before = await until(relay, upstream);
    assert.ok(before.length >= 3, `${before}`);
    assert.ok(before.every((code) => code === (name === 'throws in the end' ? 200 : 500)), `${before}`);
    for (let n = 0; n < 20; n += 1) assert.ok(upstream(await post(relay, ask())));
    assert.equal(relay.output.match(/"level":"error","message":"policy [^"]*policy\.lua fails again and again/g).length, 1);
    const now = await status(relay);
    assert.equal(now.policy_aside.policy, relay.policyPath);
    assert.match(now.policy_aside.why, why);
    assert.equal(now.policy_aside.instead, 'failover');
    assert.equal(now.policy, relay.policyPath);
    assert.equal(now.counters.policies_put_aside, 1);
    assert.equal(now.reloads.done, 0);
    assert.equal(now.restarts, 0);
    assert.match(await told(relay), /PUT ASIDE +failover serves instead/);
    relay.savePolicy(says('mended'));
    await until(relay, text('mended'));
    assert.equal((await status(relay)).policy_aside, undefined);
    relay.savePolicy(policy); // begins to count at 0 again
    await relay.printed(/generation 4 is in force/);
    await until(relay, text('mended'));
    assert.equal((await status(relay)).policy_aside.instead, 'the version before it');
  });
}

/** A root of its own, with one file more. */
function rootWith(t, file, words) {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-root-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const part of ['lua', 'providers', 'policies']) cpSync(path.join(root, part), path.join(folder, part), { recursive: true });
  writeFileSync(path.join(folder, file), words, { mode: 0o600 });
  return folder;
}

test('two faults put no policy aside, and a new generation begins to count at 0', async (t) => {
  const relay = await start(t, `local relay = require 'ccrelay'
return function(exchange)
  if exchange.header['x-bad'] then error('on purpose') end
  return exchange:first(relay.upstreams(exchange))
end
`);
  for (const generation of [1, 2, 3]) {
    await relay.printed(generation === 1 ? /listening/ : new RegExp(`generation ${generation} is in force`));
    for (let n = 0; n < 2; n += 1) assert.equal((await post(relay, ask(), { headers: { 'x-bad': '1' } })).status, 500);
    await sleep(300);
    assert.equal((await status(relay)).policy_aside, undefined);
    relay.configure({ providers: [provider({ url: `http://127.0.0.1:${generation}`, name: 'other' })] });
  }
});

test('faults of an adapter put no policy aside', async (t) => {
  const folder = rootWith(t, 'providers/broken.lua', `return {
  base_url = function() return 'http://127.0.0.1:1' end,
  prepare = function() error('the adapter, on purpose') end,
}
`);
  const providers = [{ name: 'broken', type: 'broken', keys: [{ key: secret('broken') }] }];
  const relay = await start(t, undefined, { config: { providers, routing: { strategy: 'round_robin' } }, env: { CCRELAY_ROOT: folder } });
  for (let n = 0; n < 6; n += 1) assert.equal((await post(relay, ask())).status, 500);
  await relay.printed(/the adapter, on purpose/);
  await sleep(300);
  assert.equal((await status(relay)).policy_aside, undefined);
});

test('the last good version of a policy serves, then failover if that fails too', async (t) => {
  const bad = (word) => `return function(exchange)
  if exchange.header['x-bad'] == '${word}' or '${word}' == 'two' then error('${word}') end
  return exchange:respond { body = '${word}' }
end
`;
  const relay = await start(t, bad('one'));
  relay.savePolicy(bad('two'));
  await relay.printed(/generation 2 is in force/);
  await until(relay, text('one'));
  relay.configure({ providers: [provider({ url: 'http://127.0.0.1:1', name: 'other' })] });
  await relay.printed(/generation 4 is in force/);
  assert.equal((await post(relay, ask())).text, 'one', 'another configuration does not bring it back');
  assert.match((await status(relay)).policy_aside.why, /two/);
  for (let n = 0; n < 3; n += 1) await post(relay, ask(), { headers: { 'x-bad': 'one' } });
  await relay.printed(/generation 5 is in force/);
  assert.equal((await status(relay)).policy_aside.instead, 'failover');
  relay.savePolicy(bad('three'));
  await until(relay, text('three'));
  relay.savePolicy(bad('two'));
  await until(relay, (answer) => answer.status === 500);
  await until(relay, text('three'));
});

test('SIGHUP tries a policy that was put aside again', async (t) => {
  const relay = await start(t, throws);
  await until(relay, upstream);
  relay.child.kill('SIGHUP');
  await until(relay, (answer) => answer.status === 500);
  assert.ok((await until(relay, upstream)).length >= 2);
});

test('providers that a policy declares are kept when it is put aside', async (t) => {
  const up = await Upstream.start(t, 'up', healthy({ text: 'from above' }));
  const relay = await Relay.start(t, {
    policy: `local relay = require 'ccrelay'
relay.provider { type = 'anthropic', name = 'up', base_url = '${up.url}', keys = { { key = '${secret('up')}' } } }
return function(exchange) error('on purpose') end
`,
  });
  relay.expectTraceback = true;
  await until(relay, upstream);
});

test('a strategy of the configuration is put aside too', async (t) => {
  const folder = rootWith(t, 'policies/hostile.lua', throws);
  const relay = await start(t, undefined, { config: { routing: { strategy: 'hostile' } }, env: { CCRELAY_ROOT: folder } });
  await until(relay, upstream);
  assert.match((await status(relay)).policy_aside.policy, /^policies\/hostile\.lua$/);
  writeFileSync(path.join(folder, 'policies/hostile.lua'), says('mended'), { mode: 0o600 });
  await until(relay, text('mended'));
});

test('a policy that hangs where the watchdog cannot reach it costs two workers, then it is put aside', async (t) => {
  const relay = await start(t, loops, { env: { CCRELAY_SCRIPT_FAULTS: '100', CCRELAY_SCRIPT_MS: '600000' } });
  const before = await until(relay, upstream, 40_000 * patience);
  // Both workers may get one more request before they have the other policy.
  assert.ok(before.length <= 4, `${before}`);
  const now = await status(relay);
  assert.match(now.policy_aside.why, /because a script had run for/);
  assert.ok(now.restarts <= 4, `${now.restarts}`);
  const killed = () => relay.output.match(/busy in a script for .* is killed/g).length;
  while ((await status(relay)).restarts < killed()) await sleep(50); // otherwise the test may end while a worker is being replaced
});

test('a policy that crashes its worker costs two workers, then it is put aside', async (t) => {
  const relay = await start(t, loops, { config: { server: { workers: 1 } }, env: { CCRELAY_SCRIPT_MS: '60000' } });
  for (const restarts of [1, 2]) {
    const failed = post(relay, ask()).catch((error) => error.code);
    await sleep(500);
    process.kill(relay.processes()[1], 'SIGXCPU');
    await failed;
    while ((await status(relay)).restarts < restarts || relay.processes().length < 2) await sleep(50);
    await sleep(1000);
  }
  await until(relay, upstream);
  assert.match((await status(relay)).policy_aside.why, /a worker was killed by signal 24 while a script ran/);
});

test('a flood of requests to a policy that loops costs no worker: another policy soon serves, and streams go on meanwhile', async (t) => {
  const up = await Upstream.start(t, 'up', healthy({ text: 'from above '.repeat(30), gap: 60 }));
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(up)] }, policy: `local relay = require 'ccrelay'
return function(exchange)
  if exchange.header['x-case'] then while true do end end
  return exchange:first(relay.upstreams(exchange))
end
` });
  relay.expectTraceback = true;
  const stream = post(relay, ask({ stream: true }));
  await sleep(300);
  const flood = Array.from({ length: 200 }, () => post(relay, ask(), { headers: { 'x-case': '1' } }));
  const answers = (await Promise.all(flood)).map((answer) => answer.status);
  const failed = answers.filter((code) => code !== 200);
  assert.ok(failed.length >= 3 && failed.length <= 50 && failed.every((code) => code === 500), `${answers}`);
  assert.ok((await stream).text.endsWith('data: {"type":"message_stop"}\n\n'));
  assert.equal((await status(relay)).restarts, 0);
});

test('a hostile policy disturbs none of 100 streams', async (t) => {
  const up = await Upstream.start(t, 'up', healthy({ text: 'from above '.repeat(30), gap: 60 }));
  const relay = await Relay.start(t, { config: { providers: [provider(up)] }, policy: `local relay = require 'ccrelay'
local cases = {
  throw = function() error('on purpose') end,
  loop = function() while true do end end,
  catch = function() while true do pcall(function() while true do end end) end end,
  take = function() local t = {} while true do t[#t + 1] = {} end end,
  join = function() local s = 'x' while true do s = s .. s end end,
}
return function(exchange)
  local case = cases[exchange.header['x-case'] or '']
  if case then return case() end
  return exchange:first(relay.upstreams(exchange))
end
` });
  relay.expectTraceback = true;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });
  t.after(() => agent.destroy());
  const streams = Array.from({ length: 100 }, () => post(relay, ask({ stream: true }), { agent }));
  await sleep(500);
  for (const name of ['throw', 'loop', 'catch', 'take', 'join', 'take', 'loop', 'catch', 'join', 'throw']) {
    const { status: code } = await post(relay, ask(), { headers: { 'x-case': name } });
    assert.ok(code === 500 || code === 200, `${code}`);
  }
  for (const answer of await Promise.all(streams)) {
    assert.equal(answer.status, 200);
    assert.ok(answer.text.endsWith('data: {"type":"message_stop"}\n\n'));
  }
  const now = await status(relay);
  assert.equal(now.restarts, 0);
  assert.equal(now.policy_aside.instead, 'failover');
});
