// SPDX-License-Identifier: Apache-2.0
// The clouds as providers, simulated as strictly as the real ones: a client sees Anthropic's API whatever the cloud.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { Relay, ask, post, secret } from './support/relay.mjs';
import { Upstream, faults as plainFaults, healthy } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';
import { bedrockFaults, members } from './support/cloud/bedrock.mjs';
import { azureFaults } from './support/cloud/azure.mjs';
import { startGoogleSources } from './support/cloud/google_sources.mjs';
import { verify } from './support/cloud/sigv4.mjs';
import { AwsKeys } from './support/cloud/tokens.mjs';
import { vertexFaults } from './support/cloud/vertex.mjs';
import { azure, bedrock, clouds, environment } from './support/clouds.mjs';

const generations = [['0.x', SDK0], ['1.x', SDK1]];
const clientKey = secret('client');
const weather = { name: 'weather', description: 'of a town', input_schema: { type: 'object', properties: { town: { type: 'string' } } } };

async function relayed(t, scenes, config = {}) {
  const providers = scenes.map((scene, index) => ({ ...scene.provider, keys: scene.provider.keys ?? [{ key: 'slot', priority: scenes.length - index }] }));
  providers.forEach((provider, index) => { provider.keys = provider.keys.map((key) => ({ ...key, priority: scenes.length - index })); });
  return Relay.start(t, {
    config: { server: { auth: { api_key: clientKey } }, providers, routing: { strategy: 'failover' }, ...config },
    env: environment(scenes),
  });
}

const clientOf = (SDK, relay) => new SDK({ apiKey: clientKey, baseURL: relay.url, maxRetries: 0 });
const authorized = { 'x-api-key': clientKey };
const betas = { 'anthropic-beta': 'claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,per-turn-control-2026-07-01,advanced-tool-use-2025-11-20,effort-2025-11-24' };

// A model that calls a tool once, then quotes its result.
function withTool(asked) {
  const results = asked.messages.flatMap((m) => (Array.isArray(m.content) ? m.content : [])).filter((b) => b.type === 'tool_result');
  if (results.length === 0) {
    return { blocks: [{ type: 'thinking', thinking: 'hm', signature: 'c2ln' }, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { town: 'Köln', deep: { n: [1, 2.5] } } }] };
  }
  return { text: `It says: ${JSON.stringify(results.at(-1).content)}` };
}

const turns = (first, use) => [
  { role: 'user', content: 'hi' }, { role: 'assistant', content: first.content },
  { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'rain' }] },
];

/** The data of every event of a stream, as it stands there. */
const dataOf = (text) => [...text.matchAll(/^data: (.*)$/gm)].map((found) => found[1]);

for (const [kind, start] of Object.entries(clouds)) {
  for (const [name, SDK] of generations) {
    for (const stream of [false, true]) {
      test(`${kind}: SDK ${name} uses a tool, ${stream ? 'streamed' : 'plain'}`, async (t) => {
        const scene = await start(t, { answer: withTool });
        const relay = await relayed(t, [scene]);
        const client = clientOf(SDK, relay);
        const call = (request) => (stream ? client.messages.stream(request).finalMessage() : client.messages.create(request));
        const first = await call(ask({ tools: [weather] }));
        const use = first.content.find((block) => block.type === 'tool_use');
        assert.deepEqual(use.input, { town: 'Köln', deep: { n: [1, 2.5] } });
        assert.equal(first.content[0].signature, 'c2ln');
        assert.equal(first.usage.input_tokens, 12);
        const second = await call(ask({ tools: [weather], messages: turns(first, use) }));
        assert.match(second.content[0].text, /It says: "rain"/);
        assert.deepEqual(scene.mock.refusals, []);
        assert.equal(scene.mock.requests.length, 2);
        assert.ok(scene.mock.requests.every((request) => !request.head.includes(clientKey)), 'the client key went upstream');
      });
    }
  }

  test(`${kind}: a request of Claude Code for Anthropic is adapted`, async (t) => {
    const scene = await start(t);
    const relay = await relayed(t, [scene]);
    const body = ask({
      stream: true, system: [{ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }],
      thinking: { type: 'enabled', budget_tokens: 1024, display: 'omitted' }, context_management: { edits: [] },
      output_config: { effort: 'medium' }, metadata: { user_id: '{}' },
    });
    const answer = await post(relay, body, { headers: { ...authorized, ...betas } });
    assert.deepEqual(scene.mock.refusals, []);
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers['content-type'], /^text\/event-stream/);
    assert.match(answer.headers['request-id'], /./);
  });

  test(`${kind}: count_tokens`, async (t) => {
    const scene = await start(t);
    const relay = await relayed(t, [scene]);
    const { max_tokens: _, ...body } = ask();
    const answer = await post(relay, body, { headers: authorized, target: '/v1/messages/count_tokens?beta=true' });
    assert.deepEqual([answer.status, JSON.parse(answer.text)], [200, { input_tokens: 42 }], scene.mock.refusals.join('\n'));
    assert.equal(answer.headers['x-ccrelay-estimated'], undefined);
  });

  test(`${kind}: the message of an error arrives unchanged in Anthropic's shape`, async (t) => {
    const scene = await start(t);
    const relay = await relayed(t, [scene]);
    const answer = await post(relay, ask({ messages: [] }), { headers: authorized });
    assert.equal(answer.status, 400);
    assert.deepEqual(JSON.parse(answer.text).error, { type: 'invalid_request_error', message: 'messages: at least one message is required' });
  });
}

// ---- One conversation over two providers --------------------------------------------------------

const everywhere = { ...clouds, anthropic: async (t, options) => {
  const mock = await Upstream.start(t, 'anthropic', healthy(options.answer));
  mock.refusals = [];
  return { mock, provider: { name: 'anthropic', type: 'anthropic', base_url: mock.url, models: ['claude-test-*'], keys: [{ key: secret('anthropic') }] }, env: {} };
} };
const overload = { bedrock: bedrockFaults.unavailable, vertex: vertexFaults.unavailable, azure: azureFaults.unavailable };

function breakDown(kind, mock) {
  if (kind === 'anthropic') mock.plan = [plainFaults.status(529, 'overloaded_error')];
  else mock.fault(overload[kind](), { times: 99 });
}

for (const from of Object.keys(everywhere)) {
  for (const to of Object.keys(everywhere)) {
    if (from === to) continue;
    for (const stream of [false, true]) {
      test(`a conversation goes from ${from} to ${to}, ${stream ? 'streamed' : 'plain'}`, async (t) => {
        const scenes = [await everywhere[from](t, { answer: withTool }), await everywhere[to](t, { answer: withTool })];
        const relay = await relayed(t, scenes);
        const client = clientOf(SDK1, relay);
        const call = (request) => (stream ? client.messages.stream(request).finalMessage() : client.messages.create(request));
        const first = await call(ask({ tools: [weather] }));
        assert.equal(scenes[1].mock.requests.length, 0);
        breakDown(from, scenes[0].mock);
        const use = first.content.find((block) => block.type === 'tool_use');
        const second = await call(ask({ tools: [weather], messages: turns(first, use) }));
        assert.match(second.content[0].text, /It says: "rain"/);
        assert.equal(scenes[1].mock.requests.length, 1);
        assert.deepEqual(scenes[1].mock.refusals, []);
        const sent = JSON.parse(scenes[1].mock.requests[0].body.toString());
        assert.deepEqual(sent.messages, turns(first, use), 'the history arrives as it is, signatures and all');
      });
    }
  }
}

// ---- Bedrock's streams --------------------------------------------------------------------------

const expected = (scene) => answers.events({ text: 'served by bedrock', from: 'bdrk', model: 'm' }).length;

async function streamOf(t, fault, config) {
  const scene = await bedrock(t);
  const relay = await relayed(t, [scene], config);
  if (fault) scene.mock.fault(fault);
  const given = {};
  const answer = await post(relay, ask({ stream: true }), { headers: authorized }).catch((error) => { given.error = error; return { text: error.received, headers: {} }; });
  return { scene, relay, answer, ...given };
}

test('bedrock: the JSON of a stream arrives byte for byte, also when its frames are split at every byte', async (t) => {
  const whole = await streamOf(t, bedrockFaults.allAtOnce());
  const split = await streamOf(t, bedrockFaults.everyByte());
  for (const { answer, scene } of [whole, split]) {
    assert.deepEqual(scene.mock.refusals, []);
    const data = dataOf(answer.text);
    assert.equal(data.length, expected() - 1);
    const events = [...answer.text.matchAll(/^event: (.*)$/gm)].map((found) => found[1]);
    assert.deepEqual(events, data.map((json) => JSON.parse(json).type));
    assert.ok(JSON.parse(data.at(-1))['amazon-bedrock-invocationMetrics'], 'the metrics stay');
  }
  const anonymous = (answer) => dataOf(answer.text).map((json) => json.replace(/msg_bdrk_\d+/, 'msg'));
  assert.deepEqual(anonymous(split.answer), anonymous(whole.answer));
});

for (const [what, fault] of [['a chunk without a type', bedrockFaults.typeless()],
  ['frames labelled as JSON', bedrockFaults.labelled('application/json')], ['frames labelled as events', bedrockFaults.labelled('text/event-stream')]]) {
  test(`bedrock: ${what} changes nothing that a client sees`, async (t) => {
    const { answer, error } = await streamOf(t, fault);
    assert.equal(error, undefined);
    assert.match(answer.headers['content-type'], /^text\/event-stream/);
    assert.equal(dataOf(answer.text).length, expected() - 1);
    assert.equal(JSON.parse(dataOf(answer.text).at(-1)).type, 'message_stop');
  });
}

const kinds = {
  throttlingException: 'overloaded_error', validationException: 'invalid_request_error', modelTimeoutException: 'timeout_error',
  serviceUnavailableException: 'overloaded_error', internalServerException: 'api_error', modelStreamErrorException: 'api_error',
};
for (const member of members) {
  test(`bedrock: ${member} after content is an error event of the right type`, async (t) => {
    const { answer, error } = await streamOf(t, bedrockFaults.exception(member, 3));
    assert.equal(error, undefined);
    const last = JSON.parse(dataOf(answer.text).at(-1));
    assert.equal(last.type, 'error');
    assert.equal(last.error.type, kinds[member]);
    assert.ok(last.error.message.length > 10);
  });

  test(`bedrock: ${member} before content fails over`, async (t) => {
    const scenes = [await bedrock(t), await azure(t)];
    const relay = await relayed(t, scenes);
    scenes[0].mock.fault(bedrockFaults.exception(member, 1));
    const answer = await post(relay, ask({ stream: true }), { headers: authorized });
    if (member === 'validationException') {
      assert.equal(answer.status, 400);
      assert.equal(JSON.parse(answer.text).error.type, 'invalid_request_error');
    } else {
      assert.equal(answer.status, 200, answer.text);
      assert.match(answer.text, /served by azure|served b/);
      assert.equal(scenes[1].mock.requests.length, 1);
      assert.ok(!answer.text.includes('bdrk'), 'something of the failed attempt is visible');
    }
  });
}

for (const fault of ['messageCrc', 'preludeCrc', 'payload', 'cut', 'huge', 'early']) {
  test(`bedrock: a stream with a fault (${fault}) never ends like a complete one`, async (t) => {
    const { answer, error } = await streamOf(t, bedrockFaults[fault](4));
    assert.ok(error, `a clean end\n${answer.text}`);
    assert.ok(!/message_stop/.test(answer.text));
  });

  test(`bedrock: with break_with = "event" a fault (${fault}) is an error event`, async (t) => {
    const scene = await bedrock(t);
    const relay = await Relay.start(t, {
      config: { server: { auth: { api_key: clientKey } }, providers: [scene.provider] }, env: environment([scene]),
      policy: "local relay = require 'ccrelay'\nreturn { route = function(exchange) return exchange:first(relay.upstreams(exchange)) end, break_with = 'event' }\n",
    });
    scene.mock.fault(bedrockFaults[fault](4));
    const answer = await post(relay, ask({ stream: true }), { headers: authorized });
    assert.equal(JSON.parse(dataOf(answer.text).at(-1)).error.type, 'api_error');
  });
}

const statuses = { throttled: [429, 'rate_limit_error'], modelTimeout: [408, 'timeout_error'], modelError: [424, 'api_error'], missing: [404, 'not_found_error'], denied: [403, 'permission_error'], quota: [400, 'invalid_request_error'], unavailable: [503, 'api_error'] };
for (const [fault, [status, type]] of Object.entries(statuses)) {
  test(`bedrock: ${fault} is ${status} ${type}, with its message and the request's id`, async (t) => {
    const { answer } = await streamOf(t, bedrockFaults[fault]());
    const told = JSON.parse(answer.text);
    assert.deepEqual([answer.status, told.error.type], [status, type]);
    assert.ok(told.error.message.length > 10);
    assert.match(answer.headers['request-id'], /^00000000-/);
    assert.equal(told.request_id, answer.headers['request-id']);
  });
}

test('bedrock: a body of 10 MB is signed, with a length and in chunks', async (t) => {
  const scene = await bedrock(t);
  const relay = await relayed(t, [scene]);
  const body = ask({ messages: [{ role: 'user', content: 'x'.repeat(10 * 1024 * 1024) }] });
  for (const headers of [authorized, { ...authorized, 'content-length': undefined }]) {
    const answer = await post(relay, body, { headers });
    assert.equal(answer.status, 200, answer.text);
  }
  assert.deepEqual(scene.mock.refusals, []);
});

// ---- Clouds with Anthropic's own API --------------------------------------------------------------

for (const [type, service, more] of [['mantle', 'bedrock-mantle', {}], ['claude_aws', 'aws-external-anthropic', { workspace_id: 'ws-1' }]]) {
  test(`${type}: requests are signed for ${service} and otherwise as for Anthropic`, async (t) => {
    const keys = new AwsKeys();
    const key = keys.issue(3600);
    const upstream = await Upstream.start(t, type, async (request, reply) => {
      await verify(request, { keys, service, region: 'eu-west-1', now: Date.now() });
      return healthy()(request, reply);
    });
    const provider = { name: type, type, aws_region: 'eu-west-1', base_url: upstream.url, aws_access_key_id: key.accessKeyId,
      aws_secret_access_key: key.secretAccessKey, aws_session_token: key.sessionToken, ...more };
    const relay = await relayed(t, [{ provider, env: {} }]);
    for (const stream of [false, true]) {
      const answer = await post(relay, ask({ stream }), { headers: { ...authorized, ...betas } });
      assert.equal(answer.status, 200, answer.text);
    }
    assert.equal(upstream.requests[0].target, '/v1/messages?beta=true');
    assert.equal(upstream.requests[0].headers['anthropic-workspace-id'], more.workspace_id);
    assert.equal(upstream.requests[0].headers['anthropic-beta'], betas['anthropic-beta']);
    assert.deepEqual(JSON.parse(upstream.requests[0].body), ask({ stream: false }));
  });
}

test('claude_google: requests have a token and go to the address of the workspace', async (t) => {
  const source = await startGoogleSources(t);
  const upstream = await Upstream.start(t, 'claude_google', healthy());
  upstream.plan = [(request, reply) => {
    assert.equal(source.tokens.state(/^Bearer (.*)$/.exec(request.headers.authorization)[1]), 'good');
    const base = '/projects/a-project/locations/global/workspaces/ws/invoke';
    assert.ok(request.target.startsWith(base), request.target);
    return healthy()({ ...request, target: request.target.slice(base.length) }, reply);
  }];
  const provider = { name: 'g', type: 'claude_google', gcp_project_id: 'a-project', gcp_region: 'global', workspace_id: 'ws', base_url: upstream.url };
  const relay = await relayed(t, [{ provider, env: { GCE_METADATA_HOST: new URL(source.url).host } }]);
  const answer = await post(relay, ask({ stream: true }), { headers: authorized });
  assert.equal(answer.status, 200, answer.text);
});
