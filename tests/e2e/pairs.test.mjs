// SPDX-License-Identifier: Apache-2.0
// Betas go to a cloud together with their fields or not at all, wherever the fields are; counts have their own rules;
// and no cloud gets a request for what it cannot do.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import { Relay, ask, post, provider, secret } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';
import { azure, bedrock, environment, vertex } from './support/clouds.mjs';
import { vertexFaults } from './support/cloud/vertex.mjs';

const clientKey = secret('client');
const authorized = { 'x-api-key': clientKey };
const counts = '/v1/messages/count_tokens?beta=true';
const strict = { bedrock, vertex };

const serve = (t, scenes, config = {}) => Relay.start(t, {
  config: { server: { auth: { api_key: clientKey } }, providers: scenes.map((scene) => scene.provider), ...config },
  env: environment(scenes),
});

const scoped = { type: 'ephemeral', scope: 'global', ttl: '5m' };
const text = (more) => ({ type: 'text', text: 'say "cache_control":{"scope":1}', ...more });
const input = { cache_control: { scope: 'mine' }, output_config: { task_budget: 1 }, speed: 2 };
const tool = { name: 'weather', description: 'of a town', input_schema: { type: 'object', properties: { cache_control: { properties: { scope: { type: 'string' } } } } } };

// A conversation with a scope in every cache_control.
const history = (scope) => [
  { role: 'user', content: [text({ cache_control: scope })] },
  { role: 'assistant', content: [text(), { type: 'tool_use', id: 'toolu_1', name: 'weather', input, cache_control: scope }] },
  { role: 'user', content: [
    { type: 'tool_result', tool_use_id: 'toolu_1', content: [text({ cache_control: scope })], cache_control: scope },
    { type: 'document', source: { type: 'content', content: [text({ cache_control: scope })] } },
  ] },
];
const plain = { type: 'ephemeral', ttl: '5m' };

const alone = {
  speed: 'fast', mcp_servers: [{ type: 'url', url: 'https://example.com', name: 'x' }], container: 'c', fallbacks: 'default', tags: { team: 'a' },
  cache_control: { type: 'ephemeral' }, context_management: { edits: [] }, diagnostics: { previous_message_id: 'm' }, compaction: {},
};
const betas = ['fast-mode-2026-02-01', 'mcp-client-2025-11-20', 'skills-2025-10-02', 'server-side-fallback-2026-07-01', 'request-tags-2026-08-21',
  'context-management-2025-06-27', 'task-budgets-2026-03-13', 'prompt-caching-scope-2026-01-05', 'cache-diagnosis-2026-04-07', 'interleaved-thinking-2025-05-14'];

for (const [kind, start] of Object.entries(strict)) {
  for (const stream of [false, true]) {
    test(`${kind}: fields whose beta is not sent are removed at any depth, ${stream ? 'streamed' : 'plain'}`, async (t) => {
      const scene = await start(t);
      const relay = await serve(t, [scene]);
      const body = ask({
        stream, system: [text({ cache_control: scoped }), text()], tools: [{ ...tool, cache_control: scoped }], messages: history(scoped),
        output_config: { task_budget: { type: 'tokens', total: 20000 }, effort: 'low' }, ...alone,
      });
      const answer = await post(relay, body, { headers: { ...authorized, 'anthropic-beta': betas.join(',') } });
      assert.deepEqual(scene.mock.refusals, []);
      assert.equal(answer.status, 200, answer.text);
      const sent = JSON.parse(scene.mock.requests[0].body.toString());
      assert.deepEqual(sent.messages, history(plain), 'only the scopes are gone');
      assert.deepEqual(sent.system, [text({ cache_control: plain }), text()]);
      assert.deepEqual(sent.tools, [{ ...tool, cache_control: plain }]);
      assert.deepEqual(sent.output_config, { effort: 'low' });
      assert.deepEqual(Object.keys(alone).filter((name) => name in sent), []);
    });
  }

  test(`${kind}: a conversation without scopes keeps its bytes`, async (t) => {
    const scene = await start(t);
    const relay = await serve(t, [scene]);
    const messages = JSON.stringify(history(plain), null, 1).replaceAll('ephemeral', 'ephemer\\u0061l');
    const body = `{"model":"claude-test-1", "speed" : "fast","max_tokens":64,"messages": ${messages} }`;
    const answer = await post(relay, body, { headers: authorized });
    assert.equal(answer.status, 200, answer.text);
    assert.ok(scene.mock.requests[0].body.toString().includes(`"messages": ${messages}`));
  });

  test(`${kind}: betas in several header lines are one list`, async (t) => {
    const scene = await start(t);
    const relay = await serve(t, [scene]);
    const lines = ['made-up-2030-01-01,interleaved-thinking-2025-05-14', 'effort-2025-11-24, context-1m-2025-08-07'];
    const answer = await post(relay, ask(), { headers: { ...authorized, 'anthropic-beta': lines } });
    assert.equal(answer.status, 200, answer.text);
    const [request] = scene.mock.requests;
    const got = kind === 'bedrock' ? JSON.parse(request.body.toString()).anthropic_beta : request.headers['anthropic-beta'].split(',');
    assert.deepEqual(got, ['interleaved-thinking-2025-05-14', 'effort-2025-11-24', 'context-1m-2025-08-07']);
  });

  test(`${kind}: a count is a number whatever the request contains`, async (t) => {
    const scene = await start(t);
    const relay = await serve(t, [scene]);
    const asked = betas.concat('token-counting-2024-11-01', 'advanced-tool-use-2025-11-20', 'web-search-2025-03-05').join(',');
    const body = ask({ messages: history(scoped), tools: [], thinking: { type: 'enabled', budget_tokens: 2000 }, max_tokens: 100, metadata: {}, ...alone });
    const answer = await post(relay, body, { target: counts, headers: { ...authorized, 'anthropic-beta': asked } });
    assert.deepEqual([answer.status, JSON.parse(answer.text)], [200, { input_tokens: 42 }], scene.mock.refusals.join('\n'));
    assert.equal(answer.headers['x-ccrelay-estimated'], undefined);
    assert.equal(scene.mock.count('count-tokens'), 1);
  });

  test(`${kind}: a count that is refused is estimated, and says so`, async (t) => {
    const scene = await start(t);
    const relay = await serve(t, [scene]);
    const body = ask({ messages: history(plain), service_tier: 'auto' });
    const answer = await post(relay, body, { target: counts, headers: authorized });
    assert.equal(scene.mock.refusals.length, 1);
    assert.equal(answer.status, 200, answer.text);
    assert.ok(JSON.parse(answer.text).input_tokens > 10);
    assert.equal(answer.headers['x-ccrelay-estimated'], 'true');
  });
}

test('bedrock: the count for an application inference profile is estimated', async (t) => {
  const scene = await bedrock(t);
  scene.provider.model_mapping = { 'claude-test-*': 'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc' };
  const relay = await serve(t, [scene]);
  const answer = await post(relay, ask(), { target: counts, headers: authorized });
  assert.deepEqual([answer.status, answer.headers['x-ccrelay-estimated']], [200, 'true']);
});

test('vertex: a request that is too large gets the message by which clients recover', async (t) => {
  const scene = await vertex(t);
  const relay = await serve(t, [scene]);
  scene.mock.fault(vertexFaults.tooLarge());
  const answer = await post(relay, ask(), { headers: authorized });
  assert.equal(answer.status, 400);
  assert.deepEqual(JSON.parse(answer.text).error, { type: 'invalid_request_error', message: 'Input is too long.' });
});

// ---- Requests to Anthropic ------------------------------------------------------------------------

// Refuses a subscription token without its beta, as Anthropic does.
const subscribed = async (request, reply) => {
  const lines = request.fields.filter(([name]) => name.toLowerCase() === 'anthropic-beta').map(([, value]) => value);
  const list = lines.join(',').split(',').map((name) => name.trim());
  if (/^Bearer sk-ant-oat/.test(request.headers.authorization) && !list.includes('oauth-2025-04-20')) {
    return reply.json(401, answers.error('authentication_error', 'OAuth authentication is currently not supported.'));
  }
  request.betas = list;
  return healthy()(request, reply);
};

test('a subscription token of the configuration is sent with its beta, once and after the client\'s betas', async (t) => {
  const upstream = await Upstream.start(t, 'anthropic', subscribed);
  const token = secret('subscription').replace('sk-ant-api03', 'sk-ant-oat01');
  const relay = await Relay.start(t, { config: { server: { auth: { api_key: clientKey } }, providers: [provider(upstream, { key: token })] } });
  const cases = [[undefined, ['oauth-2025-04-20']], ['b-2,a-1', ['b-2', 'a-1', 'oauth-2025-04-20']], [['b-2', 'a-1'], ['b-2', 'a-1', 'oauth-2025-04-20']],
    [['b-2', 'oauth-2025-04-20,a-1'], ['b-2', 'oauth-2025-04-20', 'a-1']]];
  for (const [given, expected] of cases) {
    const answer = await post(relay, ask(), { headers: { ...authorized, 'anthropic-beta': given } });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(upstream.requests.at(-1).betas, expected);
  }
});

// ---- Auto mode ------------------------------------------------------------------------------------

const checked = ask({ safeguards: [{ type: 'dangerous_tool_use', classifier_context: {} }] });
const checkedBy = { ...authorized, 'anthropic-beta': 'dangerous-tool-use-2026-09-03' };

for (const [kind, start] of Object.entries(strict)) {
  test(`safeguards: with ${kind} alone it is a 400 that names them, and nothing is sent`, async (t) => {
    const scene = await start(t);
    const relay = await serve(t, [scene]);
    const answer = await post(relay, checked, { headers: checkedBy });
    assert.equal(answer.status, 400);
    assert.equal(JSON.parse(answer.text).error.type, 'invalid_request_error');
    assert.match(JSON.parse(answer.text).error.message, /\bsafeguards\b/);
    assert.equal(scene.mock.requests.length, 0);
    const { safeguards: _, ...without } = checked;
    assert.equal((await post(relay, without, { headers: authorized })).status, 200);
  });

  test(`safeguards: ${kind} is skipped in favour of Anthropic, and never answers in place of Anthropic's 529`, async (t) => {
    const scene = await start(t);
    const upstream = await Upstream.start(t, 'anthropic', healthy());
    const anthropic = { provider: provider(upstream, { priority: 0, models: ['claude-test-*'] }), env: {} };
    const relay = await serve(t, [scene, anthropic]);
    const answer = await post(relay, checked, { headers: checkedBy });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(JSON.parse(upstream.requests[0].body), checked);
    upstream.plan = [faults.status(529, 'overloaded_error')];
    for (let n = 0; n < 3; n++) assert.equal((await post(relay, checked, { headers: checkedBy })).status, 529);
    assert.equal(scene.mock.requests.length, 0);
  });
}

test('safeguards: Azure gets them unchanged', async (t) => {
  const scene = await azure(t);
  const relay = await serve(t, [scene]);
  assert.equal((await post(relay, checked, { headers: checkedBy })).status, 200);
  assert.deepEqual(JSON.parse(scene.mock.requests[0].body).safeguards, checked.safeguards);
});
