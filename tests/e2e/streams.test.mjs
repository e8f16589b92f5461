// SPDX-License-Identifier: Apache-2.0
// Streams: many at once, passed on as they come, never cut silently, and cancelled when the client has gone.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { test } from './support/test.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { Relay, ask, patience, post, provider, version } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';

async function set(t, handler, config = {}) {
  const upstream = await Upstream.start(t, 'main', handler);
  const relay = await Relay.start(t, { config: { providers: [provider(upstream)], ...config } });
  return { upstream, relay };
}

test('200 streams at once, each complete and unmixed', async (t) => {
  const { relay, upstream } = await set(t, healthy((asked) => ({ text: `answer to ${asked.messages[0].content} ${'x'.repeat(300)}`, gap: 5 })));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });
  t.after(() => agent.destroy());
  const all = await Promise.all(Array.from({ length: 200 }, (_, n) =>
    post(relay, ask({ stream: true, messages: [{ role: 'user', content: `#${n}.` }] }), { agent })));
  all.forEach((answer, n) => {
    assert.equal(answer.status, 200);
    const text = [...answer.text.matchAll(/"text_delta","text":("(?:[^"\\]|\\.)*")/g)].map((m) => JSON.parse(m[1])).join('');
    assert.equal(text, `answer to #${n}. ${'x'.repeat(300)}`);
    assert.ok(answer.text.endsWith('data: {"type":"message_stop"}\n\n'));
  });
  assert.equal(upstream.requests.length, 200);
});

test('a stream has the bytes of the provider', async (t) => {
  const said = [': a comment\n\n', ...answers.events({ text: 'żółć 🎈 \u2028' }), answers.event('brand_new', { type: 'brand_new', x: 1.0 })];
  const { relay } = await set(t, (request, reply) => reply.stream(said));
  const answer = await post(relay, ask({ stream: true }));
  assert.equal(answer.text, said.join(''));
  assert.match(answer.headers['content-type'], /^text\/event-stream/);
});

test('events arrive while the provider is still sending', async (t) => {
  let go;
  const allowed = new Promise((done) => { go = done; });
  const list = answers.events({ text: 'first part' });
  const { relay } = await set(t, async (request, reply) => {
    await reply.streamHead();
    for (const text of list.slice(0, 4)) await reply.chunk(text);
    await allowed;
    for (const text of list.slice(4)) await reply.chunk(text);
    await reply.finish();
  });
  let early = '';
  const answer = await post(relay, ask({ stream: true }), { onData: (bytes) => { early += bytes; if (early.includes('content_block_delta')) go(); } });
  assert.match(answer.text, /message_stop/);
});

// Wherever and however a stream is cut, the client must not see a clean end.
for (const how of ['reset', 'close', 'clean']) {
  for (const count of [4, 6]) {
    test(`a stream that ends by ${how} after ${count} events does not end well`, async (t) => {
      const { relay } = await set(t, faults.cut(count, how));
      await assert.rejects(post(relay, ask({ stream: true })), (error) => {
        assert.ok(!error.received?.includes('message_stop'));
        assert.match(error.received, /content_block_delta/);
        assert.ok(error.received.endsWith('\n\n'), 'half an event was passed on');
        return true;
      });
      for (const SDK of [SDK0, SDK1]) {
        const client = new SDK({ apiKey: 'none', baseURL: relay.url, maxRetries: 0 });
        await assert.rejects(async () => {
          for await (const event of await client.messages.create({ ...ask(), stream: true })) assert.notEqual(event.type, 'message_stop');
        });
      }
    });
  }
}

test('half an event at the end is not passed on', async (t) => {
  const list = answers.events({ text: 'some text' });
  const { relay } = await set(t, async (request, reply) => {
    await reply.streamHead();
    await reply.chunk(list.slice(0, 4).join('') + list[4].slice(0, 20));
    await sleep(30);
    reply.reset();
  });
  await assert.rejects(post(relay, ask({ stream: true })), (error) => error.received === list.slice(0, 4).join(''));
});

test('a plain answer that is cut is an error with a status, not half an answer', async (t) => {
  const { relay } = await set(t, async (request, reply) => {
    await reply.head(200, { 'content-type': 'application/json', 'content-length': 5000 });
    await reply.write('{"type":"message","content":[');
    await sleep(30);
    reply.reset();
  });
  const answer = await post(relay, ask()).catch((error) => error);
  if (!(answer instanceof Error)) {
    assert.ok(answer.status >= 500, answer.text);
    assert.equal(JSON.parse(answer.text).type, 'error');
  }
});

test('a client that disconnects cancels the upstream request', async (t) => {
  const { relay, upstream } = await set(t, async (request, reply) => {
    await reply.streamHead();
    for (const text of answers.events({ text: 'x' }).slice(0, 4)) await reply.chunk(text);
    await reply.stall();
  });
  for (const how of ['destroy', 'resetAndDestroy']) {
    const before = upstream.requests.length;
    const gone = await new Promise((done, fail) => {
      const request = http.request(`${relay.url}/v1/messages`, { method: 'POST', headers: version, agent: false }, (answer) => {
        answer.once('data', () => { request.socket[how](); done(performance.now()); });
        answer.on('error', () => {});
      });
      request.on('error', fail).end(JSON.stringify(ask({ stream: true })));
    });
    const cancelled = await Promise.race([upstream.requests[before].gone, sleep(5000 * patience, null)]);
    assert.ok(cancelled !== null, `not cancelled after ${how}`);
    assert.ok(cancelled - gone < 1000 * patience, `cancelled ${cancelled - gone} ms after ${how}`);
  }
});

test('a client that disconnects before the answer cancels the attempt', async (t) => {
  const { relay, upstream } = await set(t, faults.stall());
  const socket = net.connect(relay.port, '127.0.0.1');
  const body = JSON.stringify(ask({ stream: true }));
  socket.write(`POST /v1/messages HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  for (let n = 0; upstream.requests.length === 0; n += 1) {
    assert.ok(n < 1000, 'nothing went upstream');
    await sleep(5);
  }
  socket.destroy();
  const cancelled = await Promise.race([upstream.requests[0].gone, sleep(5000 * patience, null)]);
  assert.ok(cancelled !== null, 'not cancelled');
});

test('a client that does not read makes the provider wait, and gets everything once it reads', async (t) => {
  const piece = answers.event('content_block_delta', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'y'.repeat(8000) } });
  const total = 16_000; // 130 MB: more than the kernel's buffers on the way may take
  let sent = 0;
  const { relay } = await set(t, async (request, reply) => {
    const [start, ping, open] = answers.events({ text: '' });
    await reply.streamHead();
    await reply.chunk(start + ping + open);
    for (; sent < total; sent += 1) await reply.chunk(piece);
    await reply.chunk(answers.event('message_stop', { type: 'message_stop' }));
    await reply.finish();
  });
  const request = http.request(`${relay.url}/v1/messages`, { method: 'POST', headers: version, agent: false });
  request.end(JSON.stringify(ask({ stream: true })));
  const [answer] = await once(request, 'response');
  for (let last = -1; last !== sent;) {
    last = sent;
    await sleep(300 * patience);
  }
  assert.ok(sent < total, 'all of it was taken from the provider');
  let size = 0;
  for await (const bytes of answer) size += bytes.length;
  assert.ok(size > total * piece.length);
});

test('upstream connections are reused', async (t) => {
  const { relay, upstream } = await set(t, healthy(), { server: { workers: 1 } });
  for (let n = 0; n < 20; n += 1) assert.equal((await post(relay, ask({ stream: n % 2 === 0 }))).status, 200);
  assert.ok(upstream.connections <= 2, `${upstream.connections} connections for 20 requests`);
});

test('a connection that died while idle costs no request', async (t) => {
  const { relay, upstream } = await set(t, async (request, reply) => {
    await healthy()(request, reply);
    reply.close();
  }, { server: { workers: 1 } });
  for (let n = 0; n < 20; n += 1) assert.equal((await post(relay, ask())).status, 200);
  assert.equal(upstream.requests.length, 20);
});
