// SPDX-License-Identifier: Apache-2.0
// Timeouts: of the first content, of silence, and of the whole exchange if the configuration sets one.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { Relay, ask, pair, patience, post, provider } from './support/relay.mjs';
import { Upstream, faults } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';

async function set(t, handler, server, more = {}) {
  const upstream = await Upstream.start(t, 'main', handler);
  return Relay.start(t, { config: { server, providers: [provider(upstream)], ...more } });
}

/** A 504 whose message names the limit, and whose request-id is in the log. */
async function assertTimeout(relay, answer, key) {
  assert.equal(answer.status, 504, answer.text);
  const { error } = JSON.parse(answer.text);
  assert.equal(error.type, 'timeout_error');
  assert.match(error.message, key);
  const [, id] = /^req_ccr_([0-9a-f]{16})$/.exec(answer.headers['request-id']);
  await relay.printed(new RegExp(`"id":"${id}"`));
}

/** The stream is cut: it never ends well, neither on the wire nor for an SDK. */
async function assertCut(relay) {
  await assert.rejects(post(relay, ask({ stream: true })), (error) => {
    assert.match(error.received, /content_block_start/);
    assert.ok(!error.received.includes('message_stop'));
    return true;
  });
  for (const SDK of [SDK0, SDK1]) {
    const client = new SDK({ apiKey: 'none', baseURL: relay.url, maxRetries: 0 });
    await assert.rejects(async () => {
      for await (const event of await client.messages.create({ ...ask(), stream: true })) assert.notEqual(event.type, 'message_stop');
    });
  }
}

test('a stream that flows has no time limit', async (t) => {
  const list = answers.events({ text: 'x'.repeat(90) });
  const relay = await set(t, (request, reply) => reply.stream(list, { gap: 200 }), { timeout_ms: 1000, idle_ms: 60_000 });
  const before = performance.now();
  const answer = await post(relay, ask({ stream: true }));
  assert.ok(performance.now() - before > 2000, 'not longer than the limit');
  assert.equal(answer.text, list.join(''));
});

test('a large JSON answer that flows has no limit either', async (t) => {
  const text = JSON.stringify(answers.message({ text: 'x'.repeat(400_000) }));
  const relay = await set(t, async (request, reply) => {
    await reply.head(200, { 'content-type': 'application/json', 'content-length': text.length });
    for (let at = 0; at < text.length; at += 100_000) {
      await reply.write(text.slice(at, at + 100_000));
      await sleep(400);
    }
  }, { timeout_ms: 1000 });
  assert.equal((await post(relay, ask())).text, text);
});

test('the first content has a time limit; pings and message_start are not content', async (t) => {
  const [start, ping] = answers.events({ text: '' });
  const relay = await set(t, async (request, reply) => {
    await reply.streamHead();
    await reply.chunk(start);
    while (!reply.socket.destroyed) {
      await reply.chunk(ping);
      await sleep(50);
    }
  }, { timeout_ms: 600 });
  await assertTimeout(relay, await post(relay, ask({ stream: true })), /server\.timeout_ms/);
});

test('all attempts share one time limit for the first content', async (t) => {
  const [a, b] = [await Upstream.start(t, 'a', faults.stall()), await Upstream.start(t, 'b', faults.stall())];
  const config = { server: { timeout_ms: 1200 }, routing: { failover_timeout: 700 }, providers: pair(a, b) };
  const relay = await Relay.start(t, { config });
  const before = performance.now();
  await assertTimeout(relay, await post(relay, ask({ stream: true })), /server\.timeout_ms/);
  assert.ok(performance.now() - before < 1200 + 500 * patience);
  assert.deepEqual([a.requests.length, b.requests.length], [1, 1]);
});

test('silence in the middle of a stream cuts it', async (t) => {
  const relay = await set(t, async (request, reply) => {
    await reply.streamHead();
    for (const text of answers.events({ text: 'x' }).slice(0, 4)) await reply.chunk(text);
    await reply.stall();
  }, { idle_ms: 400 });
  await assertCut(relay);
  await relay.printed(/"error":"CC_EIDLE_TIMEOUT"/);
});

test('a total limit cuts a stream that flows, and refuses one that has not begun', async (t) => {
  const delta = answers.event('content_block_delta', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'x' } });
  const flowing = await set(t, async (request, reply) => {
    await reply.streamHead();
    for (const text of answers.events({ text: 'x' }).slice(0, 3)) await reply.chunk(text);
    while (!reply.socket.destroyed) {
      await reply.chunk(delta);
      await sleep(50);
    }
  }, { total_ms: 700 });
  await assertCut(flowing);
  await flowing.printed(/"error":"CC_ETOTAL_TIMEOUT"/);
  const silent = await set(t, faults.stall(), { total_ms: 500 });
  await assertTimeout(silent, await post(silent, ask({ stream: true })), /server\.total_ms/);
});
