// SPDX-License-Identifier: Apache-2.0
// Tests the simulated provider directly, as the other tests rely on its answers and records.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from './support/test.mjs';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { ask, post } from './support/relay.mjs';
import { Upstream, faults, healthy, refusing } from './support/upstream.mjs';

for (const [name, SDK] of [['0.x', SDK0], ['1.x', SDK1]]) {
  test(`the provider of the tests satisfies SDK ${name}`, async (t) => {
    const upstream = await Upstream.start(t, 'alone');
    const client = new SDK({ apiKey: 'k', baseURL: upstream.url, maxRetries: 0 });
    const plain = await client.messages.create(ask());
    assert.equal(plain.content[0].text, 'served by alone');
    const whole = await client.messages.stream(ask()).finalMessage();
    assert.equal(whole.content[0].text, 'served by alone');
    assert.equal(whole.usage.output_tokens, 7);
    assert.equal(upstream.requests.length, 2);
  });
}

test('requests are recorded byte for byte', async (t) => {
  const upstream = await Upstream.start(t, 'alone');
  const body = Buffer.from('{ "model" : "m","x":1.00 }');
  await post(upstream, body);
  await post(upstream, body, { headers: { 'transfer-encoding': 'chunked', 'content-length': undefined } });
  const expected = createHash('sha256').update(body).digest('hex');
  assert.deepEqual(upstream.requests.map((request) => request.sha256), [expected, expected]);
});

test('faults do what their names say', async (t) => {
  const upstream = await Upstream.start(t, 'bad', [
    faults.status(529, 'overloaded_error', { 'retry-after': '2' }), faults.reset(), faults.garbage(), faults.empty(),
    faults.errorEvent(), faults.cut(3, 'reset'), faults.cut(3, 'clean'), healthy(),
  ]);
  const answer = await post(upstream, ask());
  assert.equal(answer.status, 529);
  assert.equal(answer.headers['retry-after'], '2');
  await assert.rejects(post(upstream, ask()), { code: 'ECONNRESET' });
  await assert.rejects(post(upstream, ask()), /Parse Error/);
  assert.equal((await post(upstream, ask())).text, '');
  assert.match((await post(upstream, ask())).text, /^event: error\n/);
  await assert.rejects(post(upstream, ask()), { code: 'ECONNRESET' });
  assert.doesNotMatch((await post(upstream, ask())).text, /message_stop/);
  assert.equal((await post(upstream, ask())).status, 200);
  await assert.rejects(post(await refusing(), ask()), { code: 'ECONNREFUSED' });
});
