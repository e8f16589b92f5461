// SPDX-License-Identifier: Apache-2.0
// Records of recent exchanges: /requests over several workers, exchanges under way, workers that die, ccrelay explain,
// and what must never be in a record.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from './support/test.mjs';
import { Relay, ask, canary, get, pair, post, provider, run, secret, status, until } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';

const page = async (relay, path, headers = {}) => {
  const answer = await get(`http://127.0.0.1:${relay.adminPort}${path}`, headers);
  return { ...answer, json: JSON.parse(answer.text) };
};
const requests = async (relay, query = '') => (await page(relay, `/requests?limit=1000${query}`)).json.requests;
/** Waits for so many records: one is written when the client has its answer. */
const kept = (relay, count) => until(async () => (await requests(relay)).length === count);
const explain = (relay, id) => run(['explain', '--config', relay.configPath, id]);

/** A relay over a provider that is overloaded and one that serves. */
async function scene(t, more = {}) {
  const first = await Upstream.start(t, 'first', faults.status(529, 'overloaded_error'));
  const second = await Upstream.start(t, 'second', healthy());
  const config = { providers: pair(first, second), ...more };
  return { first, second, relay: await Relay.start(t, { config }) };
}

test('exchanges of all workers are listed once, newest first, with the ids of the log', async (t) => {
  const { relay } = await scene(t);
  for (let n = 0; n < 40; n += 1) assert.equal((await post(relay, ask())).status, 200);
  assert.ok(await kept(relay, 40));
  const list = await requests(relay);
  assert.deepEqual(list.map(({ number }) => number), [...Array(40).keys()].reverse());
  assert.deepEqual([...new Set(list.map(({ worker }) => worker))].sort(), [0, 1]);
  const logged = () => relay.output.split('\n').filter((line) => line.includes('"message":"exchange"') && line.includes('/v1/messages') && line.endsWith('}'));
  assert.ok(await until(() => logged().length === 40));
  assert.deepEqual(list.map(({ id }) => id).sort(), logged().map((line) => JSON.parse(line).id).sort());
  for (const record of list) {
    assert.deepEqual([record.status, record.provider, record.model, record.endpoint], [200, 'second', 'claude-test-1', 'messages']);
    assert.ok(record.tokens.input > 0 && Math.abs(record.at - Date.now()) < 120_000);
  }
  assert.equal((await requests(relay, '&status=5xx')).length, 0);
  assert.equal((await page(relay, '/requests?limit=3')).json.requests.length, 3);
});

test('a worker that is killed takes no record of others with it', async (t) => {
  const { relay } = await scene(t, { server: { recent_exchanges: 64 } });
  const { workers } = await status(relay);
  let ended = 0;
  const load = Array.from({ length: 8 }, async () => {
    for (let n = 0; n < 25; n += 1) await post(relay, ask()).then(() => { ended += 1; }, () => {});
  });
  assert.ok(await until(() => ended > 40));
  process.kill(workers[0].pid, 'SIGKILL');
  await Promise.all(load);
  const list = await requests(relay);
  assert.ok(list.length >= 63, `${list.length} of 64 are there`);
  for (const record of list) assert.equal(record.attempts.at(-1).key, 'second/1');
  assert.ok(await until(async () => (await status(relay)).workers.every(({ pid }) => pid > 0)));
  assert.ok(await until(async () => (await requests(relay, '&open=true')).length === 0));
});

test('exchanges under way are listed with their attempts until they end', async (t) => {
  const first = await Upstream.start(t, 'first', faults.status(529, 'overloaded_error'));
  const second = await Upstream.start(t, 'second', healthy({ text: 'word '.repeat(20), gap: 200 }));
  const relay = await Relay.start(t, { config: { providers: pair(first, second) } });
  const answer = post(relay, ask({ stream: true }));
  assert.ok(await until(async () => (await requests(relay, '&open=true'))[0]?.key));
  const [record] = await requests(relay, '&open=true');
  assert.deepEqual([record.open, record.key, record.stream], [true, 'second/1', true]);
  assert.deepEqual(record.attempts.map(({ key, error }) => [key, error]), [['first/1', 'overloaded_error'], ['second/1', undefined]]);
  const { output } = await explain(relay, record.id);
  assert.match(output, /It has been under way for .* answered by second\/1\./);
  assert.equal((await answer).status, 200);
  assert.ok(await until(async () => (await requests(relay, '&open=true')).length === 0));
  assert.equal((await requests(relay))[0].id, record.id);
});

test('ccrelay explain tells an exchange by the id of the log and by the request-id', async (t) => {
  const { relay } = await scene(t, { routing: { prices: { 'second/*': { input: 3, output: 15 } } } });
  const answer = await post(relay, ask());
  assert.ok(await kept(relay, 1));
  const [record] = await requests(relay);
  for (const id of [record.id, answer.headers['request-id']]) {
    const { code, output } = await explain(relay, id);
    assert.equal(code, 0, output);
    assert.match(output, /It got status 200 from second\/1/);
    assert.match(output, /It cost 0\.\d+ by routing\.prices\./);
    assert.match(output, /It went to second\/1 because it was the next candidate when the ones before it had failed\./);
    assert.match(output, /1\. at \d+ ms: first\/1 as claude-test-1: 529 overloaded_error/);
    assert.match(output, /first\/1 was asked, and failed: 529 overloaded_error\. Its cost there is unknown/);
  }
  const unknown = await explain(relay, 'no/such id');
  assert.deepEqual(unknown, { code: 1, output: 'ccrelay explain: no exchange has this id; the relay keeps the latest 10000 and has 1 now\n' });
  const refused = await post(relay, { no: 'model' });
  assert.ok(await kept(relay, 2));
  assert.match((await explain(relay, refused.headers['request-id'])).output, /It got status 400 from the relay itself, error CC_EMODEL/);
});

test('what a client names controls no terminal and forges no line: explain, usage, status, top, pages', async (t) => {
  const state = mkdtempSync(path.join(tmpdir(), 'ccrelay-state-'));
  t.after(() => rmSync(state, { recursive: true }));
  const { relay } = await scene(t, { server: { state_dir: state } });
  const model = 'claude-\u001b]0;x\u0007\u001b[31m\u009b31m\u202e\u200b\u0000\r\nA forged line';
  assert.equal((await post(relay, ask({ model }))).status, 200);
  assert.ok(await kept(relay, 1));
  const [{ id, model: told }] = await requests(relay);
  assert.equal(told, model);
  const usage = ['usage', '--by', 'model', '--config', relay.configPath];
  assert.ok(await until(async () => (await run(usage)).output.includes('forged')));
  const shown = { page: (await page(relay, '/requests')).text, events: (await page(relay, '/events?once')).text };
  for (const verb of [['explain', id], ['explain', '--format', 'json', id], usage, [...usage, '--format', 'json'], ['status'], ['top', '--once'], ['top', '--once', '--json']]) {
    shown[verb.join(' ')] = (await run([...verb, '--config', relay.configPath])).output;
  }
  for (const [name, text] of Object.entries(shown)) {
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e]/, name);
    assert.doesNotMatch(text, /^A forged line/m, name);
  }
});

test('no record has a prompt, a body, a path, a file name or a secret', async (t) => {
  const upstream = await Upstream.start(t, 'up', (request, reply) =>
    reply.json(400, { type: 'error', error: { type: 'invalid_request_error', message: request.body.toString() } }));
  const relay = await Relay.start(t, { config: { server: { auth: { api_key: secret('client') } }, providers: [provider(upstream)] } });
  const key = { 'x-api-key': secret('client') };
  const words = `${canary} in words`;
  const mark = 'of-a-path-5150';
  const document = { type: 'document', title: `${canary}.pdf`, source: { type: 'text', media_type: 'text/plain', data: words } };
  const body = ask({ system: words, metadata: { user_id: words }, messages: [{ role: 'user', content: [document, { type: 'text', text: words }] }] });
  await post(relay, body, { headers: key });
  await post(relay, body, { headers: { 'x-api-key': secret('wrong'), 'user-agent': canary } });
  await post(relay, ask({ model: secret('model') }), { headers: { ...key, 'x-claude-code-request-class': secret('class') } });
  await post(relay, body, { headers: key, target: `/v1/messages?${mark}` });
  await get(`${relay.url}/v1/files/file_${mark}`, key); // the log has paths, records have none
  await post(relay, `{"model":"${canary}`, { headers: key });
  assert.ok(await kept(relay, 6));
  const list = await requests(relay);
  assert.deepEqual(new Set(list.map(({ status: code }) => code)), new Set([400, 401]));
  for (const secretive of [canary, mark]) assert.ok(!JSON.stringify(list).includes(secretive), JSON.stringify(list, null, 1));
});

test('records can be switched off, and need the admin token', async (t) => {
  const { relay } = await scene(t, { server: { recent_exchanges: 0 }, admin: { token: secret('admin') } });
  const answer = await post(relay, ask());
  assert.equal((await page(relay, '/requests')).status, 401);
  const told = (await page(relay, '/requests', { authorization: `Bearer ${secret('admin')}` })).json;
  assert.deepEqual([told.kept, told.requests], [0, []]);
  const { code, output } = await explain(relay, answer.headers['request-id']);
  assert.deepEqual([code, output], [1, 'ccrelay explain: no exchanges are kept: server.recent_exchanges is 0\n']);
});
