// SPDX-License-Identifier: Apache-2.0
// Traces: spans of exchanges and attempts at a collector, and the trace context of clients, passed on to upstreams.
import assert from 'node:assert/strict';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Collector } from './support/collector.mjs';
import { Relay, ask, canary, get, pair, patience, post, provider, secret, until } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';

const SERVER = 2;
const CLIENT = 3;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const given = (flags = '01') => ({ headers: { traceparent: `00-${TRACE}-${PARENT}-${flags}` } });

async function start(t, collector, providers, more = {}) {
  return Relay.start(t, { config: { traces: { endpoint: collector.url, ...more.traces }, providers, ...more.config } });
}

/** Waits for so many spans. */
async function received(collector, count) {
  assert.ok(await until(() => collector.spans.length >= count, 8_000 * patience), `${collector.spans.length} of ${count} spans; ${collector.faults}`);
  assert.deepEqual(collector.faults, []);
  return collector.spans;
}

async function metric(relay, name) {
  const page = (await get(`http://127.0.0.1:${relay.adminPort}/metrics`)).text;
  return Number(new RegExp(`^ccrelay_${name} (\\d+)$`, 'm').exec(page)?.[1] ?? 0);
}

test('an exchange has a span, and each attempt one below it, with the names of the GenAI conventions', async (t) => {
  const collector = await Collector.start(t);
  const first = await Upstream.start(t, 'first', faults.status(529, 'overloaded_error'));
  const second = await Upstream.start(t, 'second', healthy());
  const clients = [{ name: 'alice', key: secret('alice') }];
  const relay = await start(t, collector, pair(first, second), { config: { server: { auth: { clients } } }, traces: { service_name: 'edge' } });
  const question = ask({ messages: [{ role: 'user', content: `my prompt ${canary}` }] });
  assert.equal((await post(relay, question, { headers: { 'x-api-key': secret('alice') } })).status, 200);
  const spans = await received(collector, 3);
  const [exchange, failed, served] = spans;
  assert.equal(spans.length, 3);
  assert.deepEqual([exchange.kind, failed.kind, served.kind], [SERVER, CLIENT, CLIENT]);
  assert.equal(exchange.parentSpanId, undefined);
  for (const one of [failed, served]) {
    assert.equal(one.parentSpanId, exchange.spanId);
    assert.equal(one.traceId, exchange.traceId);
    assert.ok(BigInt(one.startTimeUnixNano) >= BigInt(exchange.startTimeUnixNano));
  }
  assert.notEqual(failed.spanId, served.spanId);
  assert.equal(exchange.name, 'POST /v1/messages');
  assert.equal(served.name, 'chat claude-test-1');
  assert.equal(exchange.resource['service.name'], 'edge');
  const own = exchange.attributes;
  assert.equal(own['http.response.status_code'], 200);
  assert.equal(own['ccrelay.client'], 'alice');
  assert.equal(own['ccrelay.provider'], 'second');
  assert.equal(own['ccrelay.attempts'], 2);
  assert.equal(exchange.status, undefined);
  assert.equal(failed.attributes['error.type'], 'overloaded_error');
  assert.equal(failed.attributes['http.response.status_code'], 529);
  assert.equal(failed.status.code, 2);
  assert.equal(failed.attributes['gen_ai.usage.input_tokens'], undefined);
  const { attributes } = served;
  assert.equal(attributes['gen_ai.operation.name'], 'chat');
  assert.equal(attributes['gen_ai.provider.name'], 'anthropic');
  assert.equal(attributes['gen_ai.request.model'], 'claude-test-1');
  const usage = ['input_tokens', 'output_tokens', 'cache_read.input_tokens', 'cache_creation.input_tokens'];
  assert.deepEqual(usage.map((name) => attributes[`gen_ai.usage.${name}`]), [20, 7, 5, 3]);
  assert.ok(!JSON.stringify(collector.requests).includes('my prompt'));
  assert.ok(await until(async () => await metric(relay, 'spans_sent_total') === 3));
});

test('the client\'s trace goes on: its id stays, each upstream gets the span id of its attempt', async (t) => {
  const collector = await Collector.start(t);
  const first = await Upstream.start(t, 'first', faults.status(500, 'api_error'));
  const second = await Upstream.start(t, 'second');
  const relay = await start(t, collector, pair(first, second));
  const headers = { ...given().headers, tracestate: 'vendor=1' };
  assert.equal((await post(relay, ask(), { headers })).status, 200);
  const [exchange, ...attempts] = await received(collector, 3);
  assert.deepEqual([exchange.traceId, exchange.parentSpanId], [TRACE, PARENT]);
  for (const [index, upstream] of [first, second].entries()) {
    const sent = upstream.requests[0].headers;
    assert.equal(sent.traceparent, `00-${TRACE}-${attempts[index].spanId}-01`);
    assert.equal(sent.tracestate, 'vendor=1');
  }
});

test('an attempt that lost a race has a span without an error', async (t) => {
  const collector = await Collector.start(t);
  const [slow, quick] = [await Upstream.start(t, 'slow', faults.stall()), await Upstream.start(t, 'quick')];
  const policy = `local relay = require 'ccrelay'
return function(exchange) return exchange:race(relay.upstreams(exchange), { after_ms = 50 }) end`;
  const relay = await Relay.start(t, { config: { traces: { endpoint: collector.url }, providers: pair(slow, quick) }, policy });
  assert.equal((await post(relay, ask({ stream: true }))).status, 200);
  const attempts = (await received(collector, 3)).filter((one) => one.kind === CLIENT);
  const of = (name) => attempts.find((one) => one.attributes['ccrelay.provider'] === name);
  assert.equal(of('slow').attributes['ccrelay.cancelled'], true);
  assert.equal(of('slow').status, undefined);
  assert.equal(of('quick').attributes['gen_ai.usage.output_tokens'], 7);
  for (const upstream of [slow, quick]) assert.ok(upstream.requests[0].headers.traceparent.includes(of(upstream.name).spanId));
});

test('a trace that the client does not sample is passed on and not recorded; one that is not valid is replaced', async (t) => {
  const collector = await Collector.start(t);
  const upstream = await Upstream.start(t, 'only');
  const relay = await start(t, collector, [provider(upstream)]);
  await post(relay, ask(), given('00'));
  assert.match(upstream.requests[0].headers.traceparent, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
  const wrong = [`00-${TRACE}-${PARENT}`, `00-${TRACE.toUpperCase()}-${PARENT}-01`, `00-${'0'.repeat(32)}-${PARENT}-01`, `ff-${TRACE}-${PARENT}-01`, `00-${TRACE}-${PARENT}-01-x`];
  for (const traceparent of wrong) await post(relay, ask(), { headers: { traceparent, tracestate: 'a=b' } });
  await post(relay, ask(), { headers: { traceparent: `01-${TRACE}-${PARENT}-01-more` } });
  const spans = await received(collector, 2 * (wrong.length + 1));
  const roots = spans.filter((one) => one.kind === SERVER);
  assert.deepEqual(roots.map((one) => one.traceId === TRACE), [...wrong.map(() => false), true]);
  assert.deepEqual(roots.map((one) => one.parentSpanId), [...wrong.map(() => undefined), PARENT]);
  assert.equal(new Set(roots.map((one) => one.traceId)).size, roots.length);
  for (const { headers } of upstream.requests.slice(1, -1)) {
    assert.equal(headers.tracestate, undefined);
    assert.ok(roots.some((one) => headers.traceparent.includes(one.traceId)));
  }
});

test('without traces.endpoint the client\'s headers pass as they are, and no helper runs', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const relay = await Relay.start(t, { config: { providers: [provider(upstream)] } });
  await post(relay, ask(), given());
  assert.equal(upstream.requests[0].headers.traceparent, given().headers.traceparent);
  assert.ok(!(await relay.status()).helpers.some((one) => one.name === 'traces'));
});

test('a batch that the collector could not take is sent again, with its headers; one that it refuses is dropped', async (t) => {
  const plan = [{ status: 503, headers: { 'retry-after': '0' } }, {}, { status: 400 }, { body: `{"partialSuccess":{"rejectedSpans":"1e9","errorMessage":"no ${canary}-otlp"}}` }, {}];
  const collector = await Collector.start(t, plan);
  const relay = await start(t, collector, [provider(await Upstream.start(t, 'only'))], { traces: { headers: { Authorization: `Bearer ${canary}-otlp` } } });
  const kept = async (count, requests) => {
    await post(relay, ask());
    assert.ok(await until(() => collector.requests.length === requests), `${collector.requests.length} requests`);
    assert.equal(collector.spans.length, count);
  };
  await kept(2, 2);
  assert.equal(collector.requests[0].body, collector.requests[1].body);
  assert.ok(collector.requests.every(({ headers }) => headers.authorization === `Bearer ${canary}-otlp`));
  await kept(2, 3);
  await kept(4, 4); // the mock keeps them; the answer says that all were refused, and quotes a header
  const fault = async () => (await relay.status()).helpers.find((one) => one.name === 'traces').state.fault;
  assert.ok(await until(async () => await fault() === 'the collector refused some: no [redacted]'), await fault());
  await kept(6, 5);
  assert.ok(await until(async () => await metric(relay, 'spans_dropped_total{reason="refused"}') === 4));
  assert.ok(await until(async () => await metric(relay, 'spans_sent_total') === 4));
  await relay.printed(/spans cannot be sent: the collector answered with status 400/);
});

test('requests are served while the collector is away, and their spans come when it is back', async (t) => {
  const collector = await Collector.start(t);
  const { port } = collector.server.address();
  await new Promise((done) => { collector.server.close(done); });
  const relay = await start(t, collector, [provider(await Upstream.start(t, 'only'))]);
  for (let n = 0; n < 3; n += 1) assert.equal((await post(relay, ask())).status, 200);
  await relay.printed(/spans cannot be sent: .*refused/);
  collector.server = http.createServer((request, answer) => collector.serve(request, answer));
  await new Promise((done) => { collector.server.listen(port, '127.0.0.1', done); });
  assert.equal((await received(collector, 6)).length, 6);
  await relay.printed(/spans can be sent again/);
});

test('an exporter that dies is replaced and goes on; at the end it sends what it has', async (t) => {
  const collector = await Collector.start(t);
  const relay = await start(t, collector, [provider(await Upstream.start(t, 'only'))]);
  const helper = async () => (await relay.status()).helpers.find((one) => one.name === 'traces');
  await post(relay, ask());
  await received(collector, 2);
  const before = await helper();
  process.kill(before.pid, 'SIGKILL');
  await post(relay, ask());
  assert.ok(await until(async () => { const now = await helper(); return now.restarts === 1 && now.pid !== before.pid && now.ready; }));
  await received(collector, 4);
  await post(relay, ask());
  await sleep(50);
  await relay.stop();
  assert.equal((await received(collector, 6)).length, 6);
});

test('traces.endpoint is followed by a reload', async (t) => {
  const [one, two] = [await Collector.start(t), await Collector.start(t)];
  const providers = [provider(await Upstream.start(t, 'only'))];
  const relay = await start(t, one, providers);
  await post(relay, ask());
  await received(one, 2);
  for (const [number, traces] of [[2, { endpoint: two.url }], [3, {}]]) {
    relay.configure({ providers, traces });
    process.kill(relay.child.pid, 'SIGHUP');
    await relay.generation(number);
    await post(relay, ask());
    if (number === 2) await received(two, 2);
  }
  assert.ok(await until(async () => !(await relay.status()).helpers.some((helper) => helper.name === 'traces')));
  assert.deepEqual([one.spans.length, two.spans.length], [2, 2]);
});
