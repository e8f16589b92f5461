// SPDX-License-Identifier: Apache-2.0
// Claude Code sends many count_tokens requests at once; equal ones are sent to the provider once.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, post, provider } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

const target = '/v1/messages/count_tokens?beta=true';

test('25 counts at once, 5 different ones of 2 clients: each is sent once', async (t) => {
  const upstream = await Upstream.start(t, 'first', async (request, reply) => {
    await sleep(150);
    await reply.json(200, { input_tokens: request.body.length });
  });
  const clients = [{ name: 'alice', key: 'key-of-alice' }, { name: 'bob', key: 'key-of-bob' }];
  const relay = await Relay.start(t, { config: { server: { workers: 1, auth: { clients } }, providers: [provider(upstream)] } });
  const questions = Array.from({ length: 25 }, (_, n) => ({ key: clients[n % 2].key, body: JSON.stringify(ask({ max_tokens: 10 + (n % 5) ** 3 })) }));
  const answers = await Promise.all(questions.map(({ key, body }) => post(relay, body, { target, headers: { 'x-api-key': key } })));
  answers.forEach((answer, n) => {
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(JSON.parse(answer.text), { input_tokens: questions[n].body.length });
  });
  assert.equal(upstream.requests.length, 10);
  assert.equal(answers.filter((answer) => answer.headers['x-ccrelay-shared'] === 'true').length, 15);
  assert.equal(new Set(answers.map((answer) => answer.headers['request-id'])).size, 16);
});
