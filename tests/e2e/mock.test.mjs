// SPDX-License-Identifier: Apache-2.0
// The mock provider of the examples: the SDKs accept its answers, and its faults work.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from './support/test.mjs';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { Relay, ask, get, post, root } from './support/relay.mjs';

const start = (t) => Relay.start(t, { file: path.join(root, 'examples/mock.lua'), config: null });
const fault = (text) => ({ headers: { 'x-mock-fault': text } });
const weather = { name: 'weather', description: 'of a town', input_schema: { type: 'object', properties: { town: { type: 'string' } }, required: ['town'] } };

for (const [name, SDK] of [['0.x', SDK0], ['1.x', SDK1]]) {
  test(`the mock satisfies SDK ${name}: text, thinking, tools, usage`, async (t) => {
    const mock = await start(t);
    const client = new SDK({ apiKey: 'any', baseURL: mock.url, maxRetries: 0 });
    const plain = await client.messages.create(ask({ messages: [{ role: 'user', content: 'żółć 🎈' }] }));
    assert.equal(plain.content[0].text, 'You said: żółć 🎈');
    assert.equal(plain.stop_reason, 'end_turn');
    assert.ok(plain.usage.input_tokens > 0 && plain.usage.output_tokens > 0);
    const thinking = { type: 'enabled', budget_tokens: 1024 };
    const first = await client.messages.stream(ask({ max_tokens: 2000, thinking, tools: [weather], messages: [{ role: 'user', content: 'What is the weather in Ulm?' }] })).finalMessage();
    assert.deepEqual(first.content.map((block) => block.type), ['thinking', 'text', 'tool_use']);
    assert.ok(first.content[0].signature.length > 8);
    assert.deepEqual(first.content[2].input, { town: 'Ulm' });
    assert.equal(first.stop_reason, 'tool_use');
    const conversation = [{ role: 'user', content: 'What is the weather in Ulm?' }, { role: 'assistant', content: first.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: first.content[2].id, content: 'rain, 7 degrees' }] }];
    const second = await client.messages.create(ask({ max_tokens: 2000, thinking, tools: [weather], messages: conversation, system: [{ type: 'text', text: 's', cache_control: { type: 'ephemeral' } }] }));
    assert.equal(second.content.at(-1).text, 'The tool says: rain, 7 degrees');
    assert.ok(second.usage.cache_read_input_tokens > 0);
    conversation[1].content[0].signature = 'of another';
    await assert.rejects(client.messages.create(ask({ thinking, messages: conversation })), /Invalid `signature`/);
  });
}

test('the mock repeats what the user typed, without the context that Claude Code adds', async (t) => {
  const mock = await start(t);
  const content = ['<system-reminder>\nToday\n</system-reminder>\n', 'Is anybody there?', '<system-reminder>more</system-reminder>'];
  const answer = await post(mock, ask({ messages: [{ role: 'user', content: content.map((text) => ({ type: 'text', text })) }] }));
  assert.equal(JSON.parse(answer.text).content[0].text, 'You said: Is anybody there?');
});

test('the mock refuses what the real one refuses', async (t) => {
  const mock = await start(t);
  const cases = [[{ ...ask(), max_tokens: undefined }, /max_tokens: Field required/], [{ ...ask(), messages: undefined }, /messages/],
    [{ ...ask(), messages: [] }, /messages/], [{ ...ask(), model: undefined }, /model/], [{ ...ask(), max_tokens: 0 }, /max_tokens/]];
  for (const [body, words] of cases) {
    const answer = await post(mock, body);
    assert.equal(answer.status, 400);
    const { type, error } = JSON.parse(answer.text);
    assert.deepEqual([type, error.type], ['error', 'invalid_request_error']);
    assert.match(error.message, words);
  }
  assert.match((await post(mock, ask(), { headers: { 'anthropic-version': undefined } })).text, /anthropic-version/);
  assert.equal((await get(`${mock.url}/health`)).status, 200);
  assert.equal((await get(`${mock.url}/v1/models`)).status, 200);
});

test('the faults of the mock', async (t) => {
  const mock = await start(t);
  const streamed = ask({ stream: true });
  const busy = await post(mock, ask(), fault('status=529;retry-after=2'));
  assert.deepEqual([busy.status, busy.headers['retry-after'], JSON.parse(busy.text).error.type], [529, '2', 'overloaded_error']);
  for (const name of ['reset', 'garbage']) await assert.rejects(post(mock, ask(), fault(name)), name);
  assert.equal((await post(mock, ask(), fault('empty'))).text, '');
  const page = await post(mock, ask(), fault('html;status=502'));
  assert.deepEqual([page.status, page.headers['content-type']], [502, 'text/html']);
  assert.match((await post(mock, streamed, fault('error-event'))).text, /^event: error\ndata: \{.*overloaded_error/);
  const late = await post(mock, streamed, fault('error-event=4;type=api_error'));
  assert.match(late.text, /^event: message_start[^]*event: error\ndata: .*api_error/);
  assert.doesNotMatch(late.text, /message_stop/);
  await assert.rejects(post(mock, streamed, fault('cut=400')), (error) => error.received?.length === 400);
  await assert.rejects(post(mock, ask(), fault('cut=40')));
  const started = performance.now();
  assert.equal((await post(mock, ask(), fault('delay=300'))).status, 200);
  assert.ok(performance.now() - started >= 290);
  let text = '';
  await assert.rejects(post(mock, streamed, { ...fault('stall=3'), onData: (bytes, request) => {
    text += bytes;
    if (text.includes('content_block_start')) setTimeout(() => request.destroy(), 200);
  } }));
  assert.ok(text.includes('content_block_start') && !text.includes('content_block_delta'));
});

test('a schedule takes its faults in turn', async (t) => {
  const mock = await start(t);
  const statuses = [];
  for (let n = 0; n < 6; n += 1) {
    statuses.push((await post(mock, ask(), { headers: { 'x-mock-schedule': ' | status=500 | status=429' } })).status);
  }
  assert.deepEqual(statuses, [200, 500, 429, 200, 500, 429]);
});
