// SPDX-License-Identifier: Apache-2.0
// Ollama beside Anthropic, as in the built-in configuration: it gets requests for the models it has, and never makes
// Anthropic's answer worse.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import SDK1 from 'sdk1';
import { test } from './support/test.mjs';
import { Relay, ask, canary, get, post, send, until } from './support/relay.mjs';
import { Upstream, faults, healthy, refusing } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';

const subscription = `sk-ant-oat01-${canary}-of-the-client`;
const limits = {
  'retry-after': '10800', 'anthropic-ratelimit-unified-status': 'rejected', 'anthropic-ratelimit-unified-reset': '1796000000',
  'anthropic-ratelimit-unified-representative-claim': 'five_hour', 'x-should-retry': 'false',
};
const atItsLimit = faults.status(429, 'rate_limit_error', limits);

// An Ollama with these models: it lists them, and answers 404 for others.
function ollama(models) {
  const serve = healthy();
  return (request, reply) => {
    if (request.target === '/api/tags') {
      const details = { format: 'gguf', family: 'qwen3', parameter_size: '8B' };
      return reply.json(200, { models: models.map((name) => ({ name, model: name, size: 5_200_000_000, details })) });
    }
    if (request.target.split('?')[0] !== '/v1/messages' || request.method !== 'POST') return reply.body(404, '404 page not found', { 'content-type': 'text/plain' });
    const { model } = JSON.parse(request.body);
    if (!models.includes(model) && !models.includes(`${model}:latest`)) {
      return reply.json(404, answers.error('not_found_error', `model '${model}' not found`));
    }
    return serve(request, reply);
  };
}

/** The embedded default (lua/ccrelay/config/embedded.lua), but for the addresses. */
async function set(t, anthropic, local) {
  const first = await Upstream.start(t, 'anthropic', anthropic);
  const second = local === null ? Object.assign(await refusing(), { name: 'ollama' }) : await Upstream.start(t, 'ollama', local);
  const providers = [
    { name: 'anthropic', type: 'anthropic', base_url: first.url, transparent: true },
    { name: 'ollama', type: 'ollama', base_url: second.url, keys: [{ key: 'ollama', priority: 0 }] },
  ];
  const relay = await Relay.start(t, { config: { server: { workers: 1, auth: { allow_subscription: true } }, providers } });
  return { first, second, relay };
}

const headers = { authorization: `Bearer ${subscription}`, 'anthropic-beta': 'oauth-2025-04-20' };
const asked = (upstream, path) => upstream.requests.filter((request) => request.target.split('?')[0] === path).length;

for (const [what, local] of Object.entries({
  'does not run': null, 'has no models': ollama([]), 'has other models': ollama(['qwen3:8b', 'llama3.2:latest']),
  'is something else': faults.html(200), 'fails': faults.status(500, 'api_error'), 'says nothing': faults.stall(),
})) {
  test(`a subscription at its limit gets Anthropic's own error when Ollama ${what}`, async (t) => {
    const { first, second, relay } = await set(t, atItsLimit, local);
    for (const more of [{}, { stream: true }]) {
      const direct = await post(first, ask(more), { headers });
      const relayed = await post(relay, ask(more), { headers });
      assert.equal(relayed.status, 429, relayed.text);
      assert.equal(relayed.text, direct.text);
      for (const [name, value] of Object.entries(limits)) {
        if (name !== 'retry-after') assert.equal(relayed.headers[name], value, name);
      }
      assert.ok(Number(relayed.headers['retry-after']) > 10_700, relayed.headers['retry-after']);
    }
    assert.equal(asked(second, '/v1/messages'), 0);
    if (local) assert.equal(asked(second, '/api/tags'), 1);
  });
}

test('the SDK shows the limit and does not mention Ollama', async (t) => {
  const { relay } = await set(t, atItsLimit, null);
  const client = new SDK1({ baseURL: relay.url, authToken: subscription, apiKey: null });
  const error = await client.messages.create(ask()).then(() => null, (reason) => reason);
  assert.equal(error.status, 429);
  assert.match(error.message, /refused by anthropic/);
  assert.doesNotMatch(error.message, /ollama/i);
});

test('Ollama serves the models it lists, and is the fallback for a model that is listed under a name of Claude', async (t) => {
  const { first, second, relay } = await set(t, atItsLimit, ollama(['qwen3:8b', 'claude-copy:latest']));
  const local = await post(relay, ask({ model: 'qwen3:8b' }), { headers });
  assert.equal(local.status, 200, local.text);
  assert.match(local.text, /served by ollama/);
  assert.equal(first.requests.length, 0);
  const copy = await post(relay, ask({ model: 'claude-copy' }), { headers });
  assert.equal(copy.status, 200, copy.text);
  assert.match(copy.text, /served by ollama/);
  assert.equal(first.requests.length, 1);
  for (const request of second.requests) assert.ok(!JSON.stringify(request.fields).includes(canary), 'the client\'s credential went to Ollama');
});

test('a model that is pulled while the relay runs is found', async (t) => {
  const models = ['qwen3:8b'];
  const { relay } = await set(t, healthy(), ollama(models));
  const where = async () => (/served by (\w+)/.exec((await post(relay, ask({ model: 'qwen3:32b' }), { headers })).text))[1];
  assert.equal(await where(), 'anthropic');
  models.push('qwen3:32b');
  await sleep(9_000);
  await until(async () => (await where()) === 'ollama');
  const { data } = JSON.parse((await get(`${relay.url}/v1/models`)).text);
  assert.deepEqual(data.map((model) => model.id), ['qwen3:32b', 'qwen3:8b']);
});

test('Ollama as the only provider answers for every name', async (t) => {
  const local = await Upstream.start(t, 'ollama', ollama(['qwen3:8b']));
  const relay = await Relay.start(t, { config: { providers: [{ name: 'ollama', type: 'ollama', base_url: local.url }] } });
  const direct = await post(local, ask({ model: 'unknown' }));
  const relayed = await post(relay, ask({ model: 'unknown' }));
  assert.deepEqual([relayed.status, relayed.text], [404, direct.text]);
  assert.equal((await post(relay, ask({ model: 'qwen3:8b' }))).status, 200);
  const counted = await send(`${relay.url}/v1/messages/count_tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(ask({ model: 'qwen3:8b' })) });
  assert.equal(counted.headers['x-ccrelay-estimated'], 'true');
});
