// SPDX-License-Identifier: Apache-2.0
// Usage and spending in server.state_dir survive restarts.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, get, post, provider, run, secret, until } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';

const KEPT_MS = 1000; // an exchange answered so long ago is kept, whatever happens

// An answer has 12 input and 7 output tokens, and a token costs 1, so a request costs 19.
const COST = 19;
const routing = { strategy: 'budget', budget_per_day: 1e6, prices: { '*': { input: 1e6, output: 1e6, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0 } } };
const clients = ['alice', 'bob'].map((name) => ({ name, key: secret(name) }));

function stateFolder(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-state-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return path.join(folder, 'state');
}

async function setUp(t, config = {}) {
  const upstream = await Upstream.start(t, 'main', healthy());
  const { server, ...rest } = config;
  const state = stateFolder(t);
  const whole = {
    providers: [provider(upstream)], routing,
    server: { workers: 2, state_dir: state, auth: { clients }, ...server }, ...rest,
  };
  return { upstream, state, whole, start: (more) => Relay.start(t, { config: { ...whole, ...more } }) };
}

const send = async (relay, client = 'alice') => {
  const answer = await post(relay, ask(), { headers: { 'x-api-key': secret(client) } });
  assert.equal(answer.status, 200, answer.text);
};

/** What a client has spent today, as the relay tells it. */
async function spent(relay, client = 'alice') {
  const answer = await fetch(`${relay.url}/api/oauth/usage`, { headers: { 'x-api-key': secret(client) } });
  return (await answer.json()).extra_usage.used_credits / 100;
}

const helper = async (relay) => (await relay.status()).helpers.find((one) => one.name === 'usage');

/** Kills all processes of a relay at once. */
async function killAll(relay) {
  for (const pid of relay.processes()) try { process.kill(pid, 'SIGKILL'); } catch { /* it ended with the master */ }
  await relay.exited;
  relay.stopped = true;
  rmSync(relay.folder, { recursive: true, force: true });
}

test('budgets are exact after all processes are killed, to the last exchange answered a second before', async (t) => {
  const { state, start } = await setUp(t);
  const first = await start();
  for (let i = 0; i < 20; i++) await send(first, i % 4 ? 'alice' : 'bob');
  await sleep(KEPT_MS);
  await killAll(first);
  const second = await start();
  assert.equal(await spent(second, 'alice'), 15 * COST);
  assert.equal(await spent(second, 'bob'), 5 * COST);
  await send(second, 'bob');
  await sleep(KEPT_MS);
  await killAll(second);
  const third = await start();
  assert.equal(await spent(third, 'alice'), 15 * COST);
  assert.equal(await spent(third, 'bob'), 6 * COST);
  for (const name of readdirSync(state)) assert.equal(statSync(path.join(state, name)).mode & 0o777, 0o600, name);
  assert.equal(statSync(state).mode & 0o777, 0o700);
});

test('budgets are exact so, too, when everything is killed under load', async (t) => {
  const { start } = await setUp(t);
  const first = await start();
  const answered = []; // when
  let sent = 0, stop = false;
  const client = async () => {
    while (!stop) {
      sent += 1;
      const answer = await post(first, ask(), { headers: { 'x-api-key': secret('alice') } }).catch(() => null);
      if (answer?.status === 200) answered.push(performance.now());
    }
  };
  const loops = Array.from({ length: 8 }, client);
  await sleep(2 * KEPT_MS);
  const killed = performance.now();
  const ended = killAll(first);
  stop = true;
  await Promise.all([...loops, ended]);
  const kept = (await spent(await start())) / COST;
  const due = answered.filter((when) => when <= killed - KEPT_MS).length;
  assert.ok(due > 10, `${due} answers`);
  assert.ok(kept >= due && kept <= sent, `kept ${kept}; ${due} were answered a second before, ${sent} sent`);
  assert.equal(kept, Math.round(kept));
});

test('a client over its budget stays so after a restart, from the first request on', async (t) => {
  const { start } = await setUp(t, { routing: { ...routing, budget_per_day: COST } });
  const first = await start();
  await send(first);
  await first.stop();
  const second = await start();
  const answer = await post(second, ask(), { headers: { 'x-api-key': secret('alice') } });
  assert.equal(answer.status, 429);
  assert.match(answer.text, /is over its daily budget/);
});

test('budgets of a group and of a model hold over restarts, for all their clients', async (t) => {
  const team = clients.map((client) => ({ ...client, group: 'team' }));
  const groups = [{ name: 'team', budget_per_week: 2 * COST }];
  const { start, whole } = await setUp(t, { server: { auth: { clients: team, groups } }, routing: { ...routing, budget_per_day: 0 } });
  const first = await start();
  await send(first, 'alice');
  await send(first, 'bob');
  await sleep(KEPT_MS);
  await killAll(first);
  const second = await start();
  const refused = await post(second, ask(), { headers: { 'x-api-key': secret('alice') } });
  assert.equal(refused.status, 429);
  assert.match(refused.text, /group \\"team\\" is over its weekly budget/);
  assert.equal(refused.headers['anthropic-ratelimit-unified-overage-period'], 'weekly');
  const { text } = await get(`http://127.0.0.1:${second.adminPort}/usage/budgets`);
  const [{ resets_at: reset, ...budget }, ...others] = JSON.parse(text).budgets;
  assert.deepEqual(budget, { kind: 'group', name: 'team', period: 'week', amount: 2 * COST, spent: 2 * COST });
  assert.equal(new Date(reset).getUTCDay(), 1);
  assert.deepEqual(others, []);
  await second.stop();
  const model = { ...routing, budget_per_day: 0, model_budgets: { 'claude-test-*': { budget_per_month: COST } } };
  const third = await start({ server: { ...whole.server, auth: { clients } }, routing: model });
  await send(third, 'alice');
  await third.stop();
  const fourth = await start({ server: { ...whole.server, auth: { clients } }, routing: model });
  const over = await post(fourth, ask(), { headers: { 'x-api-key': secret('bob') } });
  assert.match(over.text, /model \\"claude-test-\*\\" is over its monthly budget/);
});

test('an orderly end writes everything, without a wait', async (t) => {
  const { start } = await setUp(t);
  const first = await start();
  for (let i = 0; i < 3; i++) await send(first);
  await first.stop();
  assert.equal(await spent(await start()), 3 * COST);
});

test('the helper is replaced when it dies, and nothing is counted twice', async (t) => {
  const { start } = await setUp(t);
  const relay = await start();
  await send(relay);
  await sleep(KEPT_MS);
  const { pid } = await helper(relay);
  process.kill(pid, 'SIGKILL');
  await until(async () => { const now = await helper(relay); return now.pid && now.pid !== pid && now.ready; });
  assert.equal((await helper(relay)).restarts, 1);
  await relay.printed(/the helper usage was killed by signal 9; starting another/);
  assert.equal(await spent(relay), COST);
  await send(relay);
  await relay.stop();
  assert.equal(await spent(await start()), 2 * COST);
});

test('a damaged file is put aside and reported, and requests go on', async (t) => {
  const { state, start } = await setUp(t);
  const first = await start();
  await send(first);
  await first.stop();
  writeFileSync(path.join(state, 'usage.db'), 'this was a database before somebody wrote a text into it');
  const second = await start();
  await send(second);
  assert.match(second.output, /usage\.db is damaged .*: it is now .*usage\.db\.damaged-\d{8}T\d{6}/);
  assert.ok(readdirSync(state).some((name) => name.startsWith('usage.db.damaged-')));
  await second.stop();
  assert.equal(await spent(await start()), COST);
});

test('a file that is removed while the relay runs is made again, with what the relay knows', async (t) => {
  const { state, start } = await setUp(t);
  const first = await start();
  await send(first);
  await sleep(KEPT_MS);
  for (const name of readdirSync(state)) rmSync(path.join(state, name));
  await first.printed(/usage\.db has been removed or replaced/);
  await send(first);
  await first.stop();
  assert.ok(existsSync(path.join(state, 'usage.db')));
  assert.equal(await spent(await start()), 2 * COST);
});

test('a folder that cannot be used is reported in the log and in /status; requests go on', async (t) => {
  const { whole } = await setUp(t);
  const file = path.join(stateFolder(t), '..', 'file');
  writeFileSync(file, '');
  const config = { ...whole, server: { ...whole.server, state_dir: path.join(file, 'below') } };
  const relay = await Relay.start(t, { config });
  await send(relay);
  await relay.printed(/usage: .*usage\.db cannot be used, requests go on without it: /);
  assert.match((await helper(relay)).state.fault, /below/);
  const { code, output } = await run(['status', '--config', relay.configPath]);
  assert.equal(code, 0);
  assert.match(output, /^helper usage +pid \d+, up \d+ s, FAULT: .*below/m);
});

test('a second relay with the same folder says so, and takes over when the first has ended', async (t) => {
  const { start } = await setUp(t);
  const first = await start();
  await send(first);
  const second = await start();
  await second.printed(/cannot be used, requests go on without it: another relay uses it/);
  await send(second);
  await first.stop();
  await second.printed(/is in use again; what was spent before this start counts from now on/);
  assert.equal(await spent(second), 2 * COST);
});

/** The answer of /usage, once it counts so many requests. */
async function usage(relay, query, count) {
  let answer;
  await until(async () => {
    answer = JSON.parse((await get(`http://127.0.0.1:${relay.adminPort}/usage?${query}`)).text);
    return count === undefined || answer.total?.requests >= count;
  });
  return answer;
}

test('/usage has requests, tokens and cost by client and model, also after everything was killed', async (t) => {
  const { start } = await setUp(t);
  const first = await start();
  for (let i = 0; i < 4; i++) await send(first, i ? 'alice' : 'bob');
  await usage(first, '', 4);
  await killAll(first);
  const second = await start();
  await send(second, 'bob');
  const today = new Date().toISOString().slice(0, 10);
  const { rows, total } = await usage(second, 'by=day,client', 5);
  assert.deepEqual(rows.map((row) => [row.day, row.client, row.requests, row.errors, row.input_tokens, row.output_tokens, row.cost]),
    [[today, 'alice', 3, 0, 36, 21, 3 * COST], [today, 'bob', 2, 0, 24, 14, 2 * COST]]);
  assert.deepEqual([total.requests, total.cost, total.cost_unknown], [5, 5 * COST, 0]);
  const bob = await usage(second, 'by=model,key,provider&client=bob');
  assert.deepEqual(bob.rows.map((row) => [row.model, row.key, row.provider, row.requests]), [['claude-test-1', 'main/1', 'main', 2]]);
  assert.deepEqual((await usage(second, 'by=client&model=claude-*')).rows.length, 2);
  assert.deepEqual((await usage(second, 'by=client&model=glm*')).rows, []);
  assert.deepEqual((await usage(second, 'by=client&to=2020-01-01&from=2019-01-01')).rows, []);
  const { code, output } = await run(['usage', '--config', second.configPath, '--by', 'client,model', '--model', 'claude-*']);
  assert.equal(code, 0, output);
  assert.deepEqual(output.split('\n').map((line) => line.split(/  +/)), [
    ['client', 'model', 'requests', 'errors', 'input', 'cache read', 'cache write', 'output', 'cost'],
    ['alice', 'claude-test-1', '3', '0', '36', '15', '9', '21', `${3 * COST}.0000`],
    ['bob', 'claude-test-1', '2', '0', '24', '10', '6', '14', `${2 * COST}.0000`],
    ['total', '5', '0', '60', '25', '15', '35', `${5 * COST}.0000`], [''],
  ]);
  const wrong = await run(['usage', '--config', second.configPath, '--by', 'colour']);
  assert.equal(wrong.code, 64);
  assert.match(wrong.output, /^ccrelay usage: "by" takes day, client/);
});

for (const stream of [false, true]) {
  test(`an answer in the batch tier or in fast mode has its own price, ${stream ? 'streamed' : 'plain'}`, async (t) => {
    const served = [{ service_tier: 'standard', speed: 'standard' }, { service_tier: 'batch' }, { speed: 'fast' }];
    let count = 0;
    const upstream = await Upstream.start(t, 'main', (request, reply) => healthy({ usage: served[count++] })(request, reply));
    const none = { cache_read: 0, cache_write_5m: 0, cache_write_1h: 0 };
    const price = { input: 1e6, output: 0, ...none, batch: { input: 5e5, output: 0, ...none }, fast: { input: 6e6, output: 0, ...none } };
    const changes = [{ from: '2020-01-01', ...price }, { from: '2999-01-01', input: 0, output: 0 }];
    const relay = await Relay.start(t, {
      config: {
        providers: [provider(upstream)], server: { state_dir: stateFolder(t) },
        routing: { prices: { '*': { input: 9e6, output: 9e6, changes } } },
      },
    });
    for (let i = 0; i < 3; i++) await post(relay, ask({ stream }));
    const { rows } = await usage(relay, 'by=tier,speed', 3);
    assert.deepEqual(rows.map((row) => [row.tier, row.speed, row.cost]), [['', '', 12], ['', 'fast', 72], ['batch', '', 6]]);
    assert.match(relay.output, /"cost":72/);
  });
}

test('/usage refuses what it does not know, and a cost that is not known is null', async (t) => {
  const { start } = await setUp(t, { routing: { strategy: 'failover' } });
  const relay = await start();
  await send(relay);
  assert.equal((await usage(relay, '', 1)).total.cost, null);
  for (const query of ['by=nothing', 'from=yesterday', 'who=alice', "by=day'--"]) {
    const answer = await get(`http://127.0.0.1:${relay.adminPort}/usage?${query}`);
    assert.equal(answer.status, 400, query);
  }
  process.kill((await helper(relay)).pid, 'SIGSTOP');
  const waits = get(`http://127.0.0.1:${relay.adminPort}/usage`);
  assert.equal((await relay.status()).helpers.length, 1); // the master does not wait
  process.kill((await helper(relay)).pid, 'SIGKILL');
  const answer = await waits;
  assert.equal(answer.status, 503);
  assert.match(answer.text, /the helper usage has ended/);
});

test('without a folder there is no helper', async (t) => {
  const { whole } = await setUp(t);
  const { state_dir: folder, ...server } = whole.server;
  const relay = await Relay.start(t, { config: { ...whole, server } });
  assert.deepEqual((await relay.status()).helpers, []);
  assert.ok(!existsSync(folder));
  relay.configure(whole);
  await relay.generation(2);
  await until(async () => (await helper(relay))?.ready);
  relay.configure({ ...whole, server });
  await relay.generation(3);
  await until(() => !relay.commandLines().includes('ccrelay: usage'));
  assert.ok(existsSync(path.join(folder, 'usage.db')));
});
