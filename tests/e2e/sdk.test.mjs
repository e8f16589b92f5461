// SPDX-License-Identifier: Apache-2.0
// Both generations of the TypeScript SDK through the relay: plain, streamed, tools, errors.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { Relay, ask, provider, secret } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';

const generations = [['0.x', SDK0], ['1.x', SDK1]];
const clientKey = secret('client');
const weather = { name: 'weather', description: 'of a town', input_schema: { type: 'object', properties: { town: { type: 'string' } } } };

async function set(t, handler, config = {}) {
  const upstream = await Upstream.start(t, 'main', handler);
  const relay = await Relay.start(t, {
    config: { server: { auth: { api_key: clientKey } }, providers: [provider(upstream)], routing: { strategy: 'failover' }, ...config },
  });
  return { upstream, relay };
}

const clientOf = (SDK, relay, more = {}) => new SDK({ apiKey: clientKey, baseURL: relay.url, maxRetries: 0, ...more });

// A model that calls a tool once, then quotes its result.
function withTool(asked) {
  const results = asked.messages.flatMap((m) => (Array.isArray(m.content) ? m.content : [])).filter((b) => b.type === 'tool_result');
  if (results.length === 0) {
    return { blocks: [{ type: 'text', text: 'Looking.' }, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { town: 'Köln', deep: { n: [1, 2.5] } } }] };
  }
  return { text: `It says: ${JSON.stringify(results.at(-1).content)}` };
}

for (const [name, SDK] of generations) {
  test(`SDK ${name}: a plain message`, async (t) => {
    const { upstream, relay } = await set(t);
    const answer = await clientOf(SDK, relay).messages.create(ask());
    assert.equal(answer.content[0].text, 'served by main');
    assert.equal(answer.model, 'claude-test-1');
    assert.equal(answer.usage.cache_read_input_tokens, 5);
    assert.equal(upstream.requests[0].headers['x-api-key'], secret('main'));
    assert.ok(!upstream.requests[0].head.includes(clientKey), 'the client key went upstream');
    assert.match(upstream.requests[0].headers['anthropic-version'], /^20\d\d-/);
  });

  test(`SDK ${name}: a streamed message, event by event`, async (t) => {
    const { relay } = await set(t);
    const kinds = [];
    for await (const event of await clientOf(SDK, relay).messages.create({ ...ask(), stream: true })) kinds.push(event.type);
    assert.equal(kinds[0], 'message_start');
    assert.equal(kinds.at(-1), 'message_stop');
    assert.equal(kinds.filter((kind) => kind === 'message_stop').length, 1);
    const whole = await clientOf(SDK, relay).messages.stream(ask()).finalMessage();
    assert.equal(whole.content[0].text, 'served by main');
    assert.equal(whole.usage.output_tokens, 7);
  });

  for (const stream of [false, true]) {
    test(`SDK ${name}: a tool is used and its result comes back, ${stream ? 'streamed' : 'plain'}`, async (t) => {
      const { upstream, relay } = await set(t, healthy(withTool));
      const client = clientOf(SDK, relay);
      const call = (request) => (stream ? client.messages.stream(request).finalMessage() : client.messages.create(request));
      const first = await call(ask({ tools: [weather] }));
      assert.equal(first.stop_reason, 'tool_use');
      const use = first.content.find((block) => block.type === 'tool_use');
      assert.deepEqual(use.input, { town: 'Köln', deep: { n: [1, 2.5] } });
      const second = await call(ask({
        tools: [weather],
        messages: [{ role: 'user', content: 'hi' }, { role: 'assistant', content: first.content },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'rain' }] }],
      }));
      assert.match(second.content[0].text, /It says: "rain"/);
      assert.equal(upstream.requests.length, 2);
    });

    test(`SDK ${name}: thinking and its signature arrive unchanged, ${stream ? 'streamed' : 'plain'}`, async (t) => {
      const blocks = [{ type: 'thinking', thinking: 'hm, 1 ≠ 2', signature: 'EqQBCkYIBxgCKkD/+==' }, { type: 'text', text: 'no' }];
      const { relay } = await set(t, healthy({ blocks }));
      const client = clientOf(SDK, relay);
      const request = ask({ max_tokens: 4000, thinking: { type: 'enabled', budget_tokens: 1024 } });
      const answer = stream ? await client.messages.stream(request).finalMessage() : await client.messages.create(request);
      assert.deepEqual(answer.content.map(({ type, thinking, signature, text }) => ({ type, thinking, signature, text })),
        blocks.map(({ type, thinking, signature, text }) => ({ type, thinking, signature, text })));
    });
  }

  test(`SDK ${name}: count_tokens and the list of models`, async (t) => {
    const upstream = await Upstream.start(t, 'main');
    const relay = await Relay.start(t, {
      config: { providers: [provider(upstream, { models: ['claude-test-1', 'claude-test-2'] })] },
    });
    const client = clientOf(SDK, relay);
    assert.equal((await client.messages.countTokens({ model: 'claude-test-1', messages: ask().messages })).input_tokens, 42);
    const ids = (await client.models.list()).data.map((model) => model.id);
    assert.deepEqual(ids.filter((id) => id.startsWith('claude-test')).sort(), ['claude-test-1', 'claude-test-2']);
    assert.equal((await client.models.retrieve('claude-test-2')).id, 'claude-test-2');
  });

  const errors = [
    [400, 'invalid_request_error', 'BadRequestError'], [403, 'permission_error', 'PermissionDeniedError'],
    [404, 'not_found_error', 'NotFoundError'], [413, 'request_too_large', null],
    [422, 'invalid_request_error', 'UnprocessableEntityError'], [429, 'rate_limit_error', 'RateLimitError'],
    [500, 'api_error', 'InternalServerError'], [529, 'overloaded_error', null],
  ];
  for (const [status, type, kind] of errors) {
    test(`SDK ${name}: an upstream's ${status} keeps status, type, message and request id`, async (t) => {
      const { relay, upstream } = await set(t, faults.status(status, type));
      for (const stream of [false, true]) {
        const before = upstream.requests.length;
        const fault = await clientOf(SDK, relay).messages.create({ ...ask(), stream }).then(() => null, (error) => error);
        if (upstream.requests.length === before && stream) continue; // the key is left out after the first refusal
        assert.equal(fault?.status, status);
        if (kind) assert.equal(fault.constructor.name, kind);
        assert.equal(fault.error.error.type, type);
        assert.equal(fault.error.error.message, 'refused by main');
        assert.equal(fault.requestID, 'req_main');
      }
    });
  }

  test(`SDK ${name}: a wrong key is refused once and not retried`, async (t) => {
    const { relay, upstream } = await set(t);
    const fault = await clientOf(SDK, relay, { apiKey: 'wrong', maxRetries: 2 }).messages.create(ask()).then(() => null, (error) => error);
    assert.equal(fault?.status, 401);
    assert.equal(fault.error.error.type, 'authentication_error');
    assert.equal(fault.headers.get('x-should-retry'), 'false');
    assert.equal(upstream.requests.length, 0);
  });
}
