// SPDX-License-Identifier: Apache-2.0
// One conversation with thinking, signatures and tools is served by one key after another: of the same organisation, of
// another organisation, of another provider and of a cloud. Each gets the client's bytes, except for what that provider
// needs otherwise; the log says what the conversation left behind.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, patience, post, provider, secret } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';
import { bedrock, bedrockModel } from './support/clouds.mjs';

// Unusual JSON, which decoding and encoding would change.
const history = `"system" : [ {"type":"text","text":"Be br\\u0069ef \\/ \\"exact\\"","cache_control":{"type":"ephemeral"}} ],
 "tools":[{"name":"weather","description":"of a town","input_schema":{"type":"object","properties":{"town":{"type":"string"}}}}] ,
 "messages":[ {"role":"user","content":"K\\u00f6ln — Wetter?"},
  {"role":"assistant","content":[{"type":"thinking","thinking":"hm\\t…","signature":"EqQBCkgIARABGAIiQL8+/c2ln=="},
   {"signature":"EqQBCkgIARABGAIiQL8+/bm90==","type":"thinking","thinking":""},
   {"type":"redacted_thinking","data":"AAAA//8="},
   {"type":"tool_use","id":"toolu_1","name":"weather","input":{"town":"Köln","n":[1.50,-0,1e2,12345678901234567890]}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"rain","cache_control":{"type":"ephemeral"}}]} ]`;

const bodyOf = (stream) => `{ "model":"claude-test-1","max_tokens":64,\n "stream":${stream}, ${history}, "metadata": {"user_id":"u"}}`;

async function stage(t) {
  const full = new Set();
  const serve = healthy();
  const limited = faults.status(429, 'rate_limit_error', { 'retry-after': '600' });
  const handler = (request, reply) => (full.has(request.headers['x-api-key']) ? limited : serve)(request, reply);
  const [first, second, third] = [await Upstream.start(t, 'first', handler), await Upstream.start(t, 'second', handler), await bedrock(t)];
  const keys = [['k1', 'north', 9], ['k2', 'north', 8], ['k3', 'south', 7]].map(([name, org, priority]) => ({ key: secret(name), org, priority }));
  const relay = await Relay.start(t, {
    config: {
      logging: { level: 'info', format: 'json', output: 'stderr' },
      providers: [{ ...provider(first), keys, models: ['claude-test-*'] },
        { ...provider(second, { priority: 6 }), type: 'zai', model_mapping: { 'claude-test-*': 'GLM-4.7' } },
        { ...third.provider, keys: [{ key: 'slot', priority: 5 }] }],
    },
    env: third.env,
  });
  return { relay, first, second, third, fill: (name) => full.add(secret(name)) };
}

/** What the log says of exchanges that came to a provider. */
const linesOf = (relay) => relay.output.split('\n').filter((line) => line.includes('"/v1/messages"')).map((line) => JSON.parse(line));

/** One more request of the conversation: its answer and its line of the log. */
async function turn(relay, body) {
  const count = linesOf(relay).length;
  const answer = await post(relay, body, { headers: { 'x-claude-code-session-id': 'the-conversation' } });
  const until = performance.now() + 5000 * patience;
  while (linesOf(relay).length <= count && performance.now() < until) await sleep(10);
  assert.equal(answer.status, 200, answer.text);
  return { answer, line: linesOf(relay).at(-1) };
}

for (const stream of [true, false]) {
  test(`a history arrives as the client's bytes everywhere, and the log says what it left behind, ${stream ? 'streamed' : 'plain'}`, async (t) => {
    const { relay, first, second, third, fill } = await stage(t);
    const body = bodyOf(stream);
    const arrived = (upstream) => upstream.requests.splice(0).map((request) => [request.headers['x-api-key'], request.body.toString()]);

    for (let n = 0; n < 2; n += 1) {
      const { line } = await turn(relay, body);
      assert.deepEqual([line.switched, line.changed_bytes], [undefined, 0]);
    }
    assert.deepEqual(arrived(first), [[secret('k1'), body], [secret('k1'), body]]);

    fill('k1');
    assert.equal((await turn(relay, body)).line.switched, 'key');
    assert.deepEqual(arrived(first), [[secret('k1'), body], [secret('k2'), body]]);
    assert.equal((await turn(relay, body)).line.switched, undefined, 'it is at home there now');
    assert.deepEqual(arrived(first), [[secret('k2'), body]]);

    fill('k2');
    assert.equal((await turn(relay, body)).line.switched, 'org');
    assert.deepEqual(arrived(first), [[secret('k2'), body], [secret('k3'), body]]);

    fill('k3');
    const renamed = body.replace('"claude-test-1"', '"GLM-4.7"');
    const other = await turn(relay, body);
    assert.equal(other.line.switched, 'provider');
    assert.match(other.answer.headers['request-id'], /second/);
    assert.deepEqual(arrived(first), [[secret('k3'), body]]);
    assert.deepEqual(arrived(second), [[secret('second'), renamed]]);

    fill('second');
    const cloud = await turn(relay, body);
    assert.equal(cloud.line.switched, 'provider');
    assert.deepEqual(arrived(second), [[secret('second'), renamed]]);
    assert.deepEqual(third.mock.refusals, []);
    assert.equal(third.mock.requests.length, 1);
    assert.ok(third.mock.requests[0].target.includes(bedrockModel));
    const fit = body.replace('"model":"claude-test-1",', '').replace(`\n "stream":${stream},`, '').replace(/\}$/, ',"anthropic_version":"bedrock-2023-05-31"}');
    assert.equal(third.mock.requests[0].body.toString(), fit);
  });
}
