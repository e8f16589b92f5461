// SPDX-License-Identifier: Apache-2.0
// The wait queue: requests wait for room in the limits instead of being refused, with real clocks and clients.
import assert from 'node:assert/strict';
import http from 'node:http';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, patience, post, provider, secret, status, until } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';

const start = (t, upstream, { workers = 1, timeout_ms = 60_000, queue_ms = 20_000, keys } = {}) => Relay.start(t, {
  config: { server: { workers, timeout_ms }, routing: { queue_ms }, providers: [{ ...provider(upstream), ...(keys && { keys }) }] },
});

const resting = (seconds) => faults.status(429, 'rate_limit_error', { 'retry-after': `${seconds}` });

const paced = [{ key: secret('first'), rpm_limit: 300, burst: 1 }]; // one each 200 ms

for (const workers of [1, 3]) {
  test(`a burst is spread and no request is refused, with ${workers} workers`, async (t) => {
    const upstream = await Upstream.start(t, 'first');
    const relay = await start(t, upstream, { workers, keys: paced });
    const answers = await Promise.all(Array.from({ length: 12 }, () => post(relay, ask())));
    assert.deepEqual(answers.map(({ status }) => status), Array(12).fill(200));
    const times = upstream.requests.map(({ at }) => at);
    for (let n = 1; n < 12; n += 1) assert.ok(times[n] - times[0] >= 200 * n - 60, `${n}: ${times[n] - times[0]}`);
    assert.ok(times[11] - times[0] < 2200 + 1500 * patience);
  });
}

test('waiting requests are sent in the order they came, and one whose client has left is dropped', async (t) => {
  const upstream = await Upstream.start(t, 'first');
  const relay = await start(t, upstream, { keys: [{ key: secret('first'), rpm_limit: 120, burst: 1 }] });
  const waited = async (count) => assert.ok(await until(async () => (await status(relay)).counters.queued === count));
  const all = [post(relay, ask({ max_tokens: 1 }))];
  assert.ok(await until(() => upstream.requests.length === 1));
  for (let n = 1; n < 6; n += 1) {
    if (n === 3) {
      const body = JSON.stringify(ask({ max_tokens: 99 }));
      const leaver = http.request(`${relay.url}/v1/messages`, { method: 'POST', agent: false, headers: { 'content-type': 'application/json', 'content-length': body.length } });
      leaver.on('error', () => {});
      leaver.end(body);
      await waited(n);
      leaver.destroy();
    } else {
      all.push(post(relay, ask({ max_tokens: n + 1 })));
      await waited(n); // the next one must come after this one
    }
  }
  const answers = await Promise.all(all);
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200, 200, 200]);
  assert.deepEqual(asked(upstream), [1, 2, 3, 5, 6]);
  await relay.printed(/"queued_ms":\d/);
});

test('the first requests of a model are sent at once if the limit has room for the most they may use', async (t) => {
  const upstream = await Upstream.start(t, 'first', async (request, reply) => {
    await until(() => upstream.requests.length === 40, 3_000 * patience); // no request is answered before all have come
    return healthy()(request, reply);
  });
  const relay = await start(t, upstream, { workers: 2, queue_ms: 0, keys: [{ key: secret('first'), tpm_limit: 100_000_000 }] });
  const answers = await Promise.all(Array.from({ length: 40 }, () => post(relay, ask({ max_tokens: 32_000 }))));
  assert.deepEqual(answers.map(({ status }) => status), Array(40).fill(200));
});

const asked = (upstream) => upstream.requests.map(({ body }) => JSON.parse(body).max_tokens);

/** Sends requests told apart by max_tokens, 1 and up, each when the one before waits or is served: a promise of the answer to each. */
async function inTurn(relay, upstream, count) {
  const all = [];
  for (let n = 1; n <= count; n += 1) {
    const { queued } = (await status(relay)).counters;
    all.push(post(relay, ask({ max_tokens: n })).then(({ status: code }) => code, () => 'cut'));
    assert.ok(await until(async () => asked(upstream).includes(n) || (await status(relay)).counters.queued > queued));
  }
  return all;
}

test('waiting requests of several workers are sent in the order they came', async (t) => {
  const upstream = await Upstream.start(t, 'first');
  const relay = await start(t, upstream, { workers: 2, keys: paced });
  const all = await inTurn(relay, upstream, 16);
  const { workers } = await status(relay);
  assert.ok(workers.every(({ exchanges }) => exchanges > 0), JSON.stringify(workers)); // otherwise the test shows nothing
  assert.deepEqual(await Promise.all(all), Array(16).fill(200));
  assert.deepEqual(asked(upstream), Array.from({ length: 16 }, (_, n) => n + 1));
});

test('a request that cannot be served in time is refused at once; the queues of all workers count', async (t) => {
  const upstream = await Upstream.start(t, 'first');
  const relay = await start(t, upstream, { workers: 2, queue_ms: 3000, keys: [{ key: secret('first'), rpm_limit: 60, burst: 1 }] });
  const ended = [];
  const all = Array.from({ length: 16 }, async (_, n) => {
    await sleep(20 * n);
    const answer = await post(relay, ask());
    ended.push(answer.status);
    return answer;
  });
  const refused = (await Promise.all(all)).filter(({ status }) => status !== 200);
  // One is sent at once, then one each second. All others are refused before the second is served.
  assert.equal(refused.length, 12, `${ended}`);
  assert.deepEqual(ended.slice(-3), [200, 200, 200], `${ended}`);
  for (const { headers } of refused) assert.ok(Number(headers['retry-after']) >= 3, headers['retry-after']);
});

test('a worker that dies with waiting exchanges does not block the others', async (t) => {
  const upstream = await Upstream.start(t, 'first');
  const relay = await start(t, upstream, { workers: 2, keys: [{ key: secret('first'), rpm_limit: 60, burst: 1 }] });
  const all = await inTurn(relay, upstream, 14);
  const [busiest] = (await status(relay)).workers.sort((a, b) => b.exchanges - a.exchanges);
  process.kill(busiest.pid, 'SIGKILL');
  const ended = await Promise.all(all);
  const served = ended.flatMap((status, index) => (status === 200 ? [index + 1] : []));
  assert.ok(ended.every((status) => status === 200 || status === 'cut'), `${ended}`);
  assert.ok(ended.includes('cut') && served.length > 1, `${ended}`); // otherwise the test shows nothing
  assert.deepEqual(asked(upstream).filter((n) => served.includes(n)), served);
  assert.equal((await post(relay, ask())).status, 200);
});

test('a request waits for a key in its cool-down, but not longer than queue_ms or the exchange', async (t) => {
  const plan = () => [resting(1), healthy()];
  for (const [settings, expected] of [[{}, 200], [{ queue_ms: 300 }, 429], [{ timeout_ms: 700 }, 429]]) {
    const upstream = await Upstream.start(t, 'first', plan());
    const relay = await start(t, upstream, settings);
    assert.equal((await post(relay, ask())).status, 429);
    const before = performance.now();
    const answer = await post(relay, ask());
    const took = performance.now() - before;
    assert.equal(answer.status, expected, answer.text);
    assert.ok(expected === 200 ? took > 800 : took < 300 * patience, `${took}`);
    await relay.stop();
  }
});

// More than 15 s, after which a client that wants a stream gets pings.
test('a long wait is a stream with pings; the SDKs see an ordinary answer or error', async (t) => {
  const plan = { whole: [resting(17), healthy()], refused: [resting(17), faults.status(400, 'invalid_request_error')] };
  const relays = {};
  for (const [name, answers] of Object.entries(plan)) {
    const upstream = await Upstream.start(t, name, answers);
    relays[name] = await start(t, upstream, { queue_ms: 30_000 });
  }
  for (const relay of Object.values(relays)) assert.equal((await post(relay, ask())).status, 429);
  const client = (relay, SDK) => new SDK({ baseURL: relay.url, apiKey: secret('client'), maxRetries: 0 });
  const began = performance.now();
  const chunks = [];
  const raw = post(relays.whole, ask({ stream: true }), { onData: (bytes) => chunks.push([performance.now() - began, String(bytes)]) });
  const [answer, one, other, error] = await Promise.all([
    raw,
    client(relays.whole, SDK0).messages.stream(ask()).finalMessage(),
    client(relays.whole, SDK1).messages.stream(ask()).finalMessage(),
    client(relays.refused, SDK1).messages.stream(ask()).finalMessage().catch((caught) => caught),
  ]);
  assert.equal(answer.status, 200);
  assert.equal(chunks[0][1], 'event: ping\ndata: {"type":"ping"}\n\n');
  assert.ok(chunks[0][0] > 14_000, `${chunks[0][0]}`);
  assert.match(answer.text, /^event: ping\n.*\n\nevent: message_start\n[^]*"message_stop"}\n\n$/);
  assert.match(answer.headers['request-id'], /^req_ccr_/);
  for (const message of [one, other]) assert.equal(message.stop_reason, 'end_turn');
  assert.ok(error instanceof SDK1.APIError, `${error}`);
  assert.equal(error.error.error.type, 'invalid_request_error');
  await relays.whole.printed(/"queued_ms":1[567]\d{3}/);
});
