// SPDX-License-Identifier: Apache-2.0
// Claude Code reads a file through a tool call and finishes, whatever the first provider does.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from '../support/test.mjs';
import { program, runClaude, scratch } from '../support/claude.mjs';
import { Relay, pair, patience, provider, root, run, secret } from '../support/relay.mjs';
import { Upstream, faults, healthy, refusing } from '../support/upstream.mjs';
import { azureFaults } from '../support/cloud/azure.mjs';
import { bedrockFaults } from '../support/cloud/bedrock.mjs';
import { vertexFaults } from '../support/cloud/vertex.mjs';
import { clouds, environment } from '../support/clouds.mjs';

const clientKey = secret('claude-client');

/** A scratch folder with a file that holds a word nobody can guess. */
function scene(t) {
  const folder = scratch(t);
  const word = `heron-${Math.random().toString(36).slice(2, 10)}`;
  const file = path.join(folder, 'work', 'note.txt');
  writeFileSync(file, `The word is ${word}.\n`);
  return { folder, word, file };
}

const flat = (asked) => asked.messages.flatMap((m) => (Array.isArray(m.content) ? m.content : [{ type: 'text', text: m.content }]));

// The first turn calls the tool for the file, the second quotes the result.
function reading(file) {
  return (asked) => {
    const result = flat(asked).findLast((block) => block.type === 'tool_result');
    if (result) return { text: `It reads: ${JSON.stringify(result.content)}` };
    if (!asked.tools?.some((tool) => tool.name === 'Read')) return { text: 'A title' };
    return { blocks: [{ type: 'text', text: 'I read it.' }, { type: 'tool_use', id: 'toolu_read1', name: 'Read', input: { file_path: file } }] };
  };
}

const reader = (file) => healthy(reading(file));

const claude = (url, { folder, file }) =>
  runClaude(url, folder, `Read the file ${file} and tell me its word.`, { args: ['--allowedTools', 'Read'], env: { ANTHROPIC_API_KEY: clientKey } });

function finished(ended, word) {
  assert.equal(ended.code, 0, `${ended.stdout}\n${ended.stderr}`);
  const result = JSON.parse(ended.stdout);
  assert.equal(result.is_error, false, ended.stdout);
  assert.ok(result.result.includes(word), ended.stdout);
}

test('the program is there', () => {
  assert.ok(program, 'CCRELAY_CLAUDE names no folder');
});

test('Claude Code works with the simulated provider', async (t) => {
  const here = scene(t);
  const upstream = await Upstream.start(t, 'alone', reader(here.file));
  finished(await claude(upstream.url, here), here.word);
});

async function relayed(t, here, first, second, more = {}) {
  const providers = first ? pair(first, second) : [provider(second)];
  return Relay.start(t, {
    config: { server: { auth: { api_key: clientKey } }, providers, routing: { strategy: 'failover', failover_timeout: 1500 * patience }, ...more },
  });
}

test('Claude Code reads a file through the relay', async (t) => {
  const here = scene(t);
  const upstream = await Upstream.start(t, 'main', reader(here.file));
  const relay = await relayed(t, here, null, upstream);
  finished(await claude(relay.url, here), here.word);
  const turns = upstream.requests.filter((request) => request.target.startsWith('/v1/messages'));
  assert.equal(turns.length, 2);
  for (const turn of turns) {
    assert.equal(turn.headers['x-api-key'], secret('main'));
    assert.ok(!turn.head.includes(clientKey));
    assert.match(turn.headers['anthropic-beta'], /claude-code-/);
    assert.match(turn.headers['x-claude-code-session-id'], /./);
  }
});

test('Claude Code finds the relay and its key by what config cc init wrote', async (t) => {
  const here = scene(t);
  const upstream = await Upstream.start(t, 'main', reader(here.file));
  const relay = await relayed(t, here, null, upstream);
  const init = await run(['config', 'cc', 'init', '--config', relay.configPath, '--url', relay.url], { HOME: path.join(here.folder, 'home') });
  assert.equal(init.code, 0, init.output);
  finished(await runClaude(undefined, here.folder, `Read the file ${here.file} and tell me its word.`, { args: ['--allowedTools', 'Read'] }), here.word);
  assert.equal(upstream.requests[0].headers['x-api-key'], secret('main'));
});

const matrix = {
  'answers 429': faults.status(429, 'rate_limit_error', { 'retry-after': '90' }),
  'answers 500': faults.status(500, 'api_error'),
  'answers 529': faults.status(529, 'overloaded_error'),
  'refuses the connection': null,
  'resets before the head': faults.reset(),
  'answers 200, then an error event': faults.errorEvent(),
  'stalls': faults.stall(),
};
for (const [what, fault] of Object.entries(matrix)) {
  test(`Claude Code finishes when the first provider ${what}`, async (t) => {
    const here = scene(t);
    const first = fault ? await Upstream.start(t, 'first', fault) : Object.assign(await refusing(), { name: 'first' });
    const second = await Upstream.start(t, 'second', reader(here.file));
    const relay = await relayed(t, here, first, second);
    finished(await claude(relay.url, here), here.word);
    assert.equal(second.requests.filter((request) => request.target.startsWith('/v1/messages')).length, 2);
  });
}

test('Claude Code goes on after a stream that broke off in the middle', async (t) => {
  const here = scene(t);
  const upstream = await Upstream.start(t, 'main', [faults.cut(5, 'reset', { text: 'a text that is never finished, alas' }), reader(here.file)]);
  const relay = await relayed(t, here, null, upstream);
  finished(await claude(relay.url, here), here.word);
  assert.ok(upstream.requests.length >= 3);
});

test('Claude Code reads a file with the mock provider of the examples', async (t) => {
  const here = scene(t);
  const mock = await Relay.start(t, { file: path.join(root, 'examples/mock.lua'), config: null });
  finished(await claude(mock.url, here), here.word);
});

// ---- Clouds -------------------------------------------------------------------------------------

async function cloudy(t, here, ...kinds) {
  const scenes = [];
  for (const kind of kinds) scenes.push(await clouds[kind](t, { answer: reading(here.file) }));
  const providers = scenes.map(({ provider: { models: _, model_mapping: mapping, keys, ...rest } }, index) => ({
    ...rest, keys: (keys ?? [{ key: 'slot' }]).map((key) => ({ ...key, priority: kinds.length - index })),
    ...(mapping ? { model_mapping: { 'claude-*': Object.values(mapping)[0] } } : { models: ['claude-*'] }),
  }));
  const relay = await Relay.start(t, {
    config: { server: { auth: { api_key: clientKey } }, providers, routing: { strategy: 'failover', failover_timeout: 1500 * patience } }, env: environment(scenes),
  });
  return { scenes, relay };
}

for (const kind of Object.keys(clouds)) {
  test(`Claude Code reads a file with ${kind} as the provider`, async (t) => {
    const here = scene(t);
    const { scenes: [{ mock }], relay } = await cloudy(t, here, kind);
    finished(await claude(relay.url, here), here.word);
    assert.deepEqual(mock.refusals, []);
    assert.ok(mock.requests.length >= 2);
    assert.ok(mock.requests.every((request) => !request.head.includes(clientKey)), 'the client key went upstream');
  });
}

const breakdown = { bedrock: bedrockFaults.unavailable, vertex: vertexFaults.unavailable, azure: azureFaults.unavailable };
for (const [from, to] of [['bedrock', 'vertex'], ['vertex', 'azure'], ['azure', 'bedrock'], ['vertex', 'bedrock'], ['azure', 'vertex'], ['bedrock', 'azure']]) {
  test(`Claude Code goes on when ${from} fails in the middle of a conversation and ${to} takes over`, async (t) => {
    const here = scene(t);
    const { scenes, relay } = await cloudy(t, here, from, to);
    const [first, second] = scenes.map(({ mock }) => mock);
    const answer = first.options.answer;
    first.options.answer = (asked) => {
      first.fault(breakdown[from](), { times: 99 });
      return answer(asked);
    };
    finished(await claude(relay.url, here), here.word);
    assert.deepEqual([...first.refusals.filter((words) => !/^503/.test(words)), ...second.refusals], []);
    assert.ok(second.requests.length >= 1);
  });
}
