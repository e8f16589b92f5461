// SPDX-License-Identifier: Apache-2.0
// Metrics: what the relay counts, read by a parser that is not its own, and by promtool.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import parse from 'parse-prometheus-text-format';
import { test } from './support/test.mjs';
import { message } from './support/answers.mjs';
import { Relay, ask, get, pair, patience, post, provider, root, secret } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';

const page = async (relay) => (await get(`http://127.0.0.1:${relay.adminPort}/metrics`)).text;

/** The families of /metrics by name. The parser drops the labels of histograms, so it reads their parts one by one. */
async function families(relay) {
  const text = (await page(relay)).replace(/^# (HELP|TYPE) (\w+) .*\n# TYPE \2 histogram$/gm, '');
  return Object.fromEntries(parse(text).map((family) => [family.name.replace(/^ccrelay_/, ''), family]));
}

const fits = (labels, wanted) => Object.entries(wanted).every(([name, value]) => (labels ?? {})[name] === value);

/** The value of the only sample with these labels; 0 without one. */
function value(found, name, labels = {}) {
  const samples = (found[name]?.metrics ?? []).filter((sample) => fits(sample.labels, labels));
  assert.ok(samples.length < 2, `${name} has several samples for ${JSON.stringify(labels)}`);
  return Number(samples[0]?.value ?? 0);
}

/** Count, sum and cumulative buckets of a histogram. */
function histogram(found, name, labels) {
  const samples = (found[`${name}_bucket`]?.metrics ?? []).filter((sample) => fits(sample.labels, labels));
  const buckets = Object.fromEntries(samples.map((sample) => [sample.labels.le, Number(sample.value)]));
  return { count: value(found, `${name}_count`, labels), sum: value(found, `${name}_sum`, labels), buckets };
}

/** Asks until the counters have counted so many requests: they are counted after the client has its answer. */
async function counted(relay, count) {
  for (let tries = 0; tries < 100 * patience; tries += 1) {
    const found = await families(relay);
    if (value(found, 'exchanges_total') - value(found, 'requests_total', { endpoint: 'other', outcome: 'ok' }) >= count) return found;
    await sleep(20);
  }
  throw new Error(`no ${count} requests were counted\n${await page(relay)}`);
}

const clients = [{ name: 'alice', key: secret('alice') }, { name: 'bob', key: secret('bob') }];
const as = (name) => ({ headers: { 'x-api-key': secret(name) } });

// ---- Counters --------------------------------------------------------------------------------------

test('requests are counted by outcome and cause, client, model, provider and key', async (t) => {
  const first = await Upstream.start(t, 'first', [faults.status(503, 'api_error'), healthy()]);
  const second = await Upstream.start(t, 'second');
  const relay = await Relay.start(t, { config: { server: { auth: { clients } }, providers: pair(first, second) } });
  assert.equal((await post(relay, ask(), as('alice'))).status, 200);
  assert.equal((await post(relay, ask({ model: 'claude-test-2' }), as('bob'))).status, 200);
  assert.equal((await post(relay, '{"model":', as('bob'))).status, 400);
  assert.equal((await post(relay, ask(), as('mallory'))).status, 401);
  const found = await counted(relay, 4);
  assert.equal(value(found, 'requests_total', { endpoint: 'messages', outcome: 'ok', cause: 'none' }), 2);
  assert.equal(value(found, 'requests_total', { endpoint: 'other', outcome: 'rejected', cause: 'authentication_error' }), 1);
  assert.equal(value(found, 'client_requests_total', { client: 'alice', outcome: 'ok' }), 1);
  assert.equal(value(found, 'client_requests_total', { client: 'bob', outcome: 'ok' }), 1);
  assert.equal(value(found, 'model_requests_total', { provider: 'second', model: 'claude-test-1', outcome: 'ok' }), 1);
  assert.equal(value(found, 'model_requests_total', { provider: 'first', model: 'claude-test-2', outcome: 'ok' }), 1);
  assert.equal(value(found, 'key_failures_total', { provider: 'first', key: 'first/1', cause: '503' }), 1);
  assert.equal(value(found, 'key_attempts_total', { provider: 'first', key: 'first/1' }), 2);
  assert.equal(value(found, 'key_attempts_total', { provider: 'second', key: 'second/1' }), 1);
  assert.equal(value(found, 'provider_attempts_total', { provider: 'first' }), 2);
  const added = (name) => histogram(found, 'added_latency_seconds', { provider: name }).count;
  assert.deepEqual([added('first'), added('second')], [1, 0], 'a request with two attempts does not count');
});

test('an answer that breaks off and a client that leaves are outcomes of their own', async (t) => {
  const upstream = await Upstream.start(t, 'only', [faults.cut(4), faults.stall()]);
  const relay = await Relay.start(t, { config: { providers: [provider(upstream)] } });
  await post(relay, ask({ stream: true })).catch(() => {});
  const leaving = new AbortController();
  const gone = fetch(`${relay.url}/v1/messages`, { method: 'POST', body: JSON.stringify(ask()), signal: leaving.signal });
  await relay.printed(/"path":"\/v1\/messages"/);
  while (upstream.requests.length < 2) await sleep(5);
  leaving.abort();
  await gone.catch(() => {});
  const found = await counted(relay, 2);
  assert.equal(value(found, 'requests_total', { outcome: 'broken', cause: 'CC_ERESET' }), 1);
  assert.equal(value(found, 'requests_total', { outcome: 'cancelled', cause: 'CC_ECLIENT_GONE' }), 1);
});

test('a label has 64 values at most, and only models that were answered take one', async (t) => {
  const known = (request, reply) => {
    const { model } = JSON.parse(request.body.toString());
    if (model.startsWith('claude-bad')) return faults.status(404, 'not_found_error')(request, reply);
    return healthy()(request, reply);
  };
  const relay = await Relay.start(t, { config: { providers: [provider(await Upstream.start(t, 'only', known))] } });
  for (let n = 0; n < 5; n += 1) await post(relay, ask({ model: `claude-bad-${n}` }));
  for (let n = 0; n < 70; n += 1) assert.equal((await post(relay, ask({ model: `claude-${n}` }))).status, 200);
  await post(relay, ask({ model: 'claude-3' }));
  const found = await counted(relay, 76);
  const models = new Set(found.model_requests_total.metrics.map((sample) => sample.labels.model));
  assert.equal(models.size, 65);
  assert.equal(value(found, 'model_requests_total', { model: 'claude-3' }), 2);
  assert.equal(value(found, 'model_requests_total', { model: 'other', outcome: 'ok' }), 6);
  assert.equal(value(found, 'model_requests_total', { model: 'other', outcome: 'rejected' }), 5);
});

test('error types that a provider makes up leave room for causes that mean something', async (t) => {
  let n = 0;
  const refuse = (request, reply) => { n += 1; return faults.status(400, n > 70 ? 'invalid_request_error' : n === 70 ? 'CC_E70' : `E${n}`)(request, reply); };
  const relay = await Relay.start(t, { config: { providers: [provider(await Upstream.start(t, 'only', refuse))] } });
  for (let k = 0; k < 71; k += 1) assert.equal((await post(relay, ask())).status, 400);
  assert.equal((await post(relay, '{"model":')).status, 400);
  const found = await counted(relay, 72);
  const causes = found.requests_total.metrics.filter((sample) => sample.labels.outcome === 'rejected').map((sample) => sample.labels.cause);
  assert.ok(causes.includes('CC_EJSON') && !causes.includes('CC_E70'), causes.join());
  assert.ok(causes.includes('E32') && !causes.includes('E33') && causes.includes('other'), causes.join());
  assert.equal(value(found, 'requests_total', { endpoint: 'messages', cause: 'invalid_request_error' }), 2);
});

// ---- Tokens and cost -------------------------------------------------------------------------------

test('tokens are counted by class, cost by routing.prices; without a price the cost is unknown', async (t) => {
  const usage = { input_tokens: 100, output_tokens: 20, cache_read_input_tokens: 1000, cache_creation_input_tokens: 30,
    cache_creation: { ephemeral_5m_input_tokens: 10, ephemeral_1h_input_tokens: 20 } };
  const upstream = await Upstream.start(t, 'only', (request, reply) =>
    reply.json(200, { ...message({ model: JSON.parse(request.body.toString()).model }), usage }));
  const prices = { 'claude-test-1': { input: 3, output: 15, cache_read: 0.3, cache_write_5m: 3.75, cache_write_1h: 6 } };
  const relay = await Relay.start(t, { config: { server: { auth: { clients } }, routing: { prices }, providers: [provider(upstream)] } });
  for (const model of ['claude-test-1', 'claude-test-1', 'claude-free']) await post(relay, ask({ model }), as('alice'));
  const found = await counted(relay, 3);
  const tokens = (kind) => value(found, 'model_tokens_total', { provider: 'only', model: 'claude-test-1', kind });
  assert.deepEqual(['input', 'output', 'cache_read', 'cache_write_5m', 'cache_write_1h'].map(tokens), [200, 40, 2000, 20, 40]);
  assert.equal(value(found, 'client_tokens_total', { client: 'alice', kind: 'output' }), 60);
  const each = (100 * 3 + 20 * 15 + 1000 * 0.3 + 10 * 3.75 + 20 * 6) / 1e6;
  assert.ok(Math.abs(value(found, 'cost_total', { provider: 'only', model: 'claude-test-1' }) - 2 * each) < 1e-8);
  assert.ok(Math.abs(value(found, 'client_cost_total', { client: 'alice' }) - 2 * each) < 1e-8);
  assert.equal(value(found, 'cost_unknown_total', { model: 'claude-free' }), 1);
  assert.equal(value(found, 'cost_unknown_total', { model: 'claude-test-1' }), 0);
  assert.ok(!found.cost_total.metrics.some((sample) => sample.labels.model === 'claude-free'));
});

// ---- Times -----------------------------------------------------------------------------------------

test('times go into histograms, of all workers together', async (t) => {
  const slow = (request, reply) => sleep(120).then(() => healthy({ gap: 60 })(request, reply));
  const relay = await Relay.start(t, { config: { providers: [provider(await Upstream.start(t, 'slow', slow))] } });
  for (let n = 0; n < 3; n += 1) assert.equal((await post(relay, ask({ stream: true }))).status, 200);
  const found = await counted(relay, 3);
  const times = (name) => histogram(found, name, { provider: 'slow' });
  for (const name of ['request_duration_seconds', 'first_event_seconds', 'added_latency_seconds']) {
    const { count, buckets } = times(name);
    assert.equal(count, 3, name);
    assert.equal(buckets['+Inf'], 3, name);
  }
  const mean = (name) => times(name).sum / times(name).count;
  assert.ok(mean('first_event_seconds') >= 0.12, `${mean('first_event_seconds')}`);
  assert.ok(mean('request_duration_seconds') > mean('first_event_seconds'));
  assert.ok(mean('added_latency_seconds') < 0.12, 'the time of the upstream is not in it');
  assert.ok(mean('added_latency_seconds') > 0);
  assert.ok(times('event_gap_seconds').count >= 9);
  assert.ok(mean('event_gap_seconds') > 0.03, `${mean('event_gap_seconds')}`);
});

test('the lag of the event loop shows a policy that keeps a worker busy', async (t) => {
  const policy = `local relay = require 'ccrelay'
return function(exchange)
  local until_ms = relay.now() + 30
  repeat until relay.now() > until_ms
  return exchange:first(relay.upstreams(exchange))
end`;
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(await Upstream.start(t, 'only'))] }, policy });
  await post(relay, ask());
  const found = await counted(relay, 1);
  const { buckets } = histogram(found, 'event_loop_lag_seconds', { worker: '0' });
  assert.ok(buckets['+Inf'] - buckets['0.025'] >= 1, JSON.stringify(buckets));
});

// ---- The text --------------------------------------------------------------------------------------

test('metrics survive a worker that ends, and count what happened to the relay', async (t) => {
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(await Upstream.start(t, 'only'))] } });
  await post(relay, ask());
  await counted(relay, 1);
  process.kill((await relay.status()).workers[0].pid, 'SIGKILL');
  await relay.printed(/worker 0 .*killed|restarted|replaced/i);
  await relay.ready();
  await post(relay, ask());
  const found = await counted(relay, 2);
  assert.equal(value(found, 'model_requests_total', { model: 'claude-test-1' }), 2);
  assert.equal(histogram(found, 'request_duration_seconds', { provider: 'only' }).count, 2);
  assert.deepEqual(['workers_replaced_total', 'worker_restarts'].map((name) => value(found, name)), [1, 1]);
  assert.equal(value(found, 'config_last_reload_successful'), 1);
  relay.savePolicy('x');
  relay.configure({ providers: [{ name: 'only', type: 'none' }] });
  process.kill(relay.child.pid, 'SIGHUP');
  await relay.printed(/reload refused|refused/);
  const after = await families(relay);
  assert.deepEqual(['config_reloads_refused_total', 'reloads_refused'].map((name) => value(after, name)), [1, 1]);
  assert.equal(value(after, 'config_last_reload_successful'), 0);
});

const promtool = (args, input) => spawnSync('promtool', args, { input, encoding: 'utf8' });
const isHere = promtool(['--version']).status === 0;

test('promtool reads the text, and every metric has a type and help', async (t) => {
  if (!isHere) return t.skip('promtool is not installed (package prometheus)');
  const relay = await Relay.start(t, { config: { providers: pair(await Upstream.start(t, 'first', faults.status(529, 'overloaded_error')), await Upstream.start(t, 'second')) } });
  for (let n = 0; n < 3; n += 1) await post(relay, ask({ stream: n === 0 }));
  await counted(relay, 3);
  const text = await page(relay);
  const { status, stdout, stderr } = promtool(['check', 'metrics'], text);
  assert.equal(status, 0, `${stdout}${stderr}`);
  for (const [, name, type] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
    assert.match(text, new RegExp(`^# HELP ${name} \\S`, 'm'));
    assert.equal(type === 'counter', name.endsWith('_total'), `${name} is a ${type}`);
  }
});

test('promtool finds nothing in the alert rules, and they fire when they should', async (t) => {
  if (!isHere) return t.skip('promtool is not installed (package prometheus)');
  const rules = path.join(root, 'examples/grafana');
  for (const args of [['check', 'config', path.join(rules, 'prometheus.yaml')], ['check', 'rules', path.join(rules, 'alerts.yaml')],
    ['test', 'rules', path.join(rules, 'alerts_test.yaml')]]) {
    const { status, stdout, stderr } = promtool(args);
    assert.equal(status, 0, `${stdout}${stderr}`);
  }
});
