// SPDX-License-Identifier: Apache-2.0
// Answers that break the protocol a little: what a client can read directly, it can read through the relay; what is not
// an answer at all fails over to the next provider or becomes an error.
import assert from 'node:assert/strict';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { test } from './support/test.mjs';
import { Relay, ask, pair, patience, post, provider } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';

const generations = [['0.x', SDK0], ['1.x', SDK1]];
const clientOf = (SDK, relay) => new SDK({ apiKey: 'none', baseURL: relay.url, maxRetries: 0 });
const list = answers.events({ text: 'żółć and the rest of it' });
const whole = list.join('');
const types = list.map((text) => JSON.parse(text.slice(text.indexOf('data: ') + 6)).type).filter((type) => type !== 'ping');

async function behind(t, handler) {
  const upstream = await Upstream.start(t, 'first', handler);
  return Relay.start(t, { config: { providers: [provider(upstream)] } });
}

async function beforeAnother(t, handler) {
  const first = await Upstream.start(t, 'first', handler);
  const second = await Upstream.start(t, 'second');
  return { second, relay: await Relay.start(t, { config: { providers: pair(first, second), routing: { strategy: 'failover' } } }) };
}

/** Every event that an SDK sees of a stream, and its text. */
async function read(SDK, relay) {
  const seen = [];
  let text = '';
  for await (const event of await clientOf(SDK, relay).messages.create({ ...ask(), stream: true })) {
    seen.push(event.type);
    text += event.delta?.text ?? '';
  }
  return { seen, text };
}

async function readsAll(relay) {
  for (const [name, SDK] of generations) {
    const { seen, text } = await read(SDK, relay);
    assert.deepEqual(seen, types, name);
    assert.equal(text, 'żółć and the rest of it', name);
    assert.equal((await clientOf(SDK, relay).messages.stream(ask()).finalMessage()).stop_reason, 'end_turn', name);
  }
}

/** Writes body with a framing of HTTP: 'chunked', 'length', or 'close' (until the connection ends). */
const says = (body, headers = {}, framing = 'chunked') => async (request, reply) => {
  const more = { chunked: { 'transfer-encoding': 'chunked' }, length: { 'content-length': Buffer.byteLength(body) }, close: {} }[framing];
  await reply.head(200, { ...headers, ...more });
  if (framing !== 'chunked') {
    await reply.write(body);
  } else {
    await reply.chunk(body);
    await reply.finish();
  }
  if (framing === 'close') reply.open = false;
};

for (const label of ['application/json', 'text/plain; charset=utf-8', 'application/octet-stream', undefined]) {
  test(`a stream with content-type ${label ?? 'missing'} is a stream`, async (t) => {
    const relay = await behind(t, says(whole, label ? { 'content-type': label } : {}));
    const answer = await post(relay, ask({ stream: true }));
    assert.match(answer.headers['content-type'], /^text\/event-stream/);
    assert.equal(answer.text, whole);
    await readsAll(relay);
  });
}

test('a message with content-type text is a message', async (t) => {
  const relay = await behind(t, says(JSON.stringify(answers.message({ text: 'plain' })), { 'content-type': 'text/plain' }, 'length'));
  for (const [, SDK] of generations) assert.equal((await clientOf(SDK, relay).messages.create(ask())).content[0].text, 'plain');
});

test('events without names get their names, and keep every byte of their data', async (t) => {
  const relay = await behind(t, says(whole.replace(/^event: .*\n/gm, '')));
  assert.equal((await post(relay, ask({ stream: true }))).text, whole);
  await readsAll(relay);
});

test('only events without a name get one', async (t) => {
  const mixed = list.map((text, at) => (at % 2 ? text.replace(/^event: .*\n/, '') : text)).join('').replaceAll('\n', '\r\n');
  const relay = await behind(t, says(mixed));
  const answer = await post(relay, ask({ stream: true }));
  assert.equal(answer.text.replaceAll('\r\n', '\n'), whole);
  await readsAll(relay);
});

for (const framing of ['chunked', 'length', 'close']) {
  for (const [what, cut] of [['its blank line', 1], ['any line end', 2]]) {
    test(`a last event without ${what}, ${framing}, is complete`, async (t) => {
      const relay = await behind(t, says(whole.slice(0, -cut), {}, framing));
      assert.equal((await post(relay, ask({ stream: true }))).text, whole);
      await readsAll(relay);
    });
  }

  test(`a last event that is cut inside its JSON, ${framing}, is an error`, async (t) => {
    const relay = await behind(t, says(whole.slice(0, -3), {}, framing));
    await assert.rejects(post(relay, ask({ stream: true })), (error) => error.received === list.slice(0, -1).join(''));
    for (const [, SDK] of generations) await assert.rejects(read(SDK, relay));
  });
}

test('an event of 20 MiB arrives byte for byte', async (t) => {
  const large = answers.event('content_block_delta', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'y'.repeat(20 << 20) } });
  const body = [...list.slice(0, 4), large, ...list.slice(4)].join('');
  const relay = await behind(t, says(body, {}, 'length'));
  const answer = await post(relay, ask({ stream: true }));
  assert.ok(answer.text === body, `${answer.text.length} bytes of ${body.length}`);
});

// Errors that gateways send with status 200, and the message that a person should see.
const noMessage = {
  'a code and a message': [{ error: { code: '1302', message: 'High concurrency, slow down' } }, /slow down/],
  'success: false': [{ code: 500, msg: '404 NOT_FOUND', success: false }, /404 NOT_FOUND/],
  'base_resp': [{ base_resp: { status_code: 1004, status_msg: 'login fail' } }, /login fail/],
  'nothing': [{}, /not a message/],
};
for (const [what, [body, words]] of Object.entries(noMessage)) {
  for (const stream of [false, true]) {
    test(`a 200 with ${what} is a failure, ${stream ? 'streamed' : 'plain'}`, async (t) => {
      const handler = says(JSON.stringify(body), { 'content-type': stream ? 'text/event-stream' : 'application/json' }, 'length');
      const { relay } = await beforeAnother(t, handler);
      assert.match((await post(relay, ask({ stream }))).text, /served by/);
      const alone = await post(await behind(t, handler), ask({ stream }));
      assert.equal(alone.status, 502);
      assert.match(alone.headers['content-type'], /^application\/json/);
      assert.equal(JSON.parse(alone.text).error.type, 'api_error');
      assert.match(JSON.parse(alone.text).error.message, words);
    });
  }
}

test("a 200 with an error in Anthropic's shape gets the status of its type", async (t) => {
  const error = JSON.stringify(answers.error('overloaded_error', 'Overloaded'));
  for (const stream of [false, true]) {
    const relay = await behind(t, says(error, {}, 'length'));
    const answer = await post(relay, ask({ stream }));
    assert.equal(answer.status, 529);
    assert.equal(answer.text, error);
  }
});

test('a message in place of a stream, or a stream in place of a message, fails over', async (t) => {
  const message = JSON.stringify(answers.message({ text: 'x' }));
  for (const [stream, body] of [[true, message], [false, whole]]) {
    const { relay, second } = await beforeAnother(t, says(body, {}, 'length'));
    const answer = await post(relay, ask({ stream }));
    assert.equal(answer.status, 200);
    assert.equal(second.requests.length, 1);
    assert.equal(answer.text.startsWith('event: message_start'), stream);
  }
});

test('an answer to count_tokens without a count is a failure, one with a count is not', async (t) => {
  const relay = await behind(t, [says('{"error":{"message":"no such thing"}}', {}, 'length'), healthy()]);
  const target = '/v1/messages/count_tokens';
  const bad = await post(relay, ask(), { target });
  assert.equal(bad.status, 502);
  assert.match(JSON.parse(bad.text).error.message, /no such thing/);
  assert.equal((await post(relay, ask(), { target })).text, '{"input_tokens":42}');
});

// Sends the head of an error, then nothing or the beginning of a body.
const stalls = (begin) => async (request, reply) => {
  await reply.head(529, { 'content-type': 'application/json', 'retry-after': '17', 'content-length': 100 });
  if (begin) await reply.write(begin);
  await reply.stall();
};
for (const begin of ['', '{"type":"error","error":{"type":"overloaded_error","mess']) {
  test(`an error whose body stalls after ${begin.length} bytes fails over at once`, async (t) => {
    const { relay, second } = await beforeAnother(t, stalls(begin));
    const before = performance.now();
    assert.equal((await post(relay, ask())).status, 200);
    assert.ok(performance.now() - before < 3000 * patience, `after ${performance.now() - before} ms`);
    assert.equal(second.requests.length, 1);
  });

  test(`an error whose body stalls after ${begin.length} bytes reaches the client with its headers`, async (t) => {
    const relay = await behind(t, stalls(begin));
    const before = performance.now();
    const answer = await post(relay, ask({ stream: true }));
    assert.ok(performance.now() - before < 8000 * patience, `after ${performance.now() - before} ms`);
    assert.equal(answer.status, 529);
    assert.equal(answer.headers['retry-after'], '17');
    assert.equal(JSON.parse(answer.text).error.type, 'overloaded_error');
  });
}
