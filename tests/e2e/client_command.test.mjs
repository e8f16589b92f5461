// SPDX-License-Identifier: Apache-2.0
// ccrelay client: clients are added, expire and are revoked in all workers without a restart, and no key is kept.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from './support/test.mjs';
import { Relay, ask, get, patience, post, provider, run, secret, until } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

async function place(t, more = {}, options = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-state-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const upstream = await Upstream.start(t, 'only');
  const config = { server: { state_dir: folder, ...more }, providers: [provider(upstream)] };
  const relay = await Relay.start(t, { config, ...options });
  const file = path.join(folder, 'clients.json');
  const client = (...args) => run(['client', ...args, '--config', relay.configPath]);
  const add = async (...args) => {
    const { code, output } = await client('add', ...args);
    assert.equal(code, 0, output);
    return /^sk-ccrelay-[\w-]{43}$/m.exec(output)[0];
  };
  return { folder, upstream, config, relay, file, client, add };
}

const answer = (relay, key) => post(relay, ask(), { headers: { 'x-api-key': key } });

/** Waits until the answer to this key has the status, and then asks all workers, by many new connections. */
async function everywhere(relay, key, status) {
  assert.ok(await until(async () => (await answer(relay, key)).status === status), relay.output);
  for (let n = 0; n < 20; n += 1) assert.equal((await answer(relay, key)).status, status, relay.output);
}

test('a client is added and revoked without a restart', async (t) => {
  const { relay, file, client, add } = await place(t);
  assert.equal((await post(relay, ask())).status, 200, 'no key is asked for yet');
  const alice = await add('alice', '--max-concurrent', '3');
  await everywhere(relay, undefined, 401);
  await everywhere(relay, alice, 200);
  const bob = await add('bob');
  await everywhere(relay, bob, 200);
  await relay.printed(/"client":"alice"/);
  assert.equal((await post(relay, ask(), { headers: { authorization: `Bearer ${alice}` } })).status, 200);

  assert.equal((await client('revoke', 'alice')).code, 0);
  await everywhere(relay, alice, 401);
  assert.match((await answer(relay, alice)).text, /the key of client \\"alice\\" has been revoked/);
  await everywhere(relay, bob, 200);
  assert.equal((await client('revoke', 'bob')).code, 0);
  await everywhere(relay, bob, 401);
  assert.equal((await post(relay, ask())).status, 401, 'the relay is not open after its last client was revoked');

  const again = await add('alice');
  await everywhere(relay, again, 200);
  await everywhere(relay, alice, 401);

  const page = await get(`http://127.0.0.1:${relay.adminPort}/metrics`);
  const listed = await client('list', '--json');
  const kept = [relay.output, JSON.stringify(await relay.status()), page.text, relay.commandLines(), listed.output,
    readFileSync(file, 'utf8')].join('\n');
  for (const key of [alice, bob, again]) assert.ok(!kept.includes(key), 'a key was kept or printed');
  assert.ok(readFileSync(file, 'utf8').includes(createHash('sha256').update(again).digest('hex')));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(JSON.parse(listed.output).map((row) => [row.name, row.state]), [['alice', 'active'], ['bob', 'revoked']]);
});

test('clients that are added and revoked at the same moment all stay, also while a relay makes the file', async (t) => {
  const { relay, file, client, add } = await place(t, {}, { ready: false });
  const names = Array.from({ length: 20 }, (_, number) => `client-${number}`);
  const keys = await Promise.all(names.map((name) => add(name)));
  await relay.ready();
  const list = () => JSON.parse(readFileSync(file, 'utf8')).clients;
  assert.deepEqual(list().map((one) => one.name).sort(), [...names].sort());
  for (const key of keys) assert.ok(await until(async () => (await answer(relay, key)).status === 200), relay.output);
  const revoked = await Promise.all(names.map((name) => client('revoke', name)));
  assert.deepEqual(revoked.filter(({ code }) => code !== 0), []);
  assert.deepEqual(list().filter((one) => !one.revoked), []);
});

test('a client expires without a reload, and clients last over a restart', async (t) => {
  const { relay, config, add } = await place(t);
  const at = new Date(Date.now() + 3000 * patience);
  const [short, long] = [await add('short', '--expires', at.toISOString()), await add('long', '--expires', '2999-12-31')];
  await everywhere(relay, undefined, 401); // until then the relay is open to all
  await everywhere(relay, long, 200);
  const generation = (await relay.status()).generation.number;
  await everywhere(relay, short, 401);
  assert.ok(Date.now() >= at.getTime());
  assert.match((await answer(relay, short)).text, /the key of client \\"short\\" has expired/);
  assert.equal((await relay.status()).generation.number, generation);
  await relay.stop();

  const next = await Relay.start(t, { config });
  assert.equal((await answer(next, long)).status, 200);
  assert.equal((await answer(next, short)).status, 401);
});

test('the limits of an added client hold', async (t) => {
  const { relay, add } = await place(t);
  const key = await add('alice', '--rpm', '2');
  assert.ok(await until(async () => (await post(relay, ask())).status === 401));
  const seen = [];
  for (let n = 0; n < 4; n += 1) seen.push((await answer(relay, key)).status);
  assert.deepEqual(seen, [200, 200, 429, 429]);
});

test('a file that others may write to, or that is damaged, changes nothing, and no relay starts with it', async (t) => {
  const { relay, file, config, add } = await place(t);
  const key = await add('alice');
  await everywhere(relay, undefined, 401);
  await everywhere(relay, key, 200);
  const text = readFileSync(file, 'utf8');
  for (const [damage, reason] of [
    [() => chmodSync(file, 0o666), /clients\.json: refused: everybody may write to it/],
    [() => { chmodSync(file, 0o600); writeFileSync(file, '{'); }, /clients\.json: it is damaged/],
    [() => writeFileSync(file, '{"clients": [{"name": "x", "key_sha256": "abc"}]}'), /clients\.json\[0\]\.key_sha256: found/],
    [() => writeFileSync(file, '{"clients": [{"name": "x"}]}'), /either key or key_sha256 is required/],
  ]) {
    damage();
    await relay.printed(reason);
    assert.equal((await answer(relay, key)).status, 200);
    const other = await Relay.start(t, { config, ready: false });
    other.expectedCode = 78;
    assert.ok(await until(() => other.ended), other.output);
    assert.match(other.output, reason);
  }
  writeFileSync(file, text);
  await everywhere(relay, key, 200);
});

test('a client of the configuration may give the digest of its key', async (t) => {
  const digest = createHash('sha256').update(secret('carol')).digest('hex');
  const { relay, client } = await place(t, { auth: { clients: [{ name: 'carol', key_sha256: digest }, { name: 'dan', key: secret('dan') }] } });
  assert.equal((await answer(relay, secret('carol'))).status, 200);
  assert.equal((await answer(relay, secret('dan'))).status, 200);
  assert.equal((await answer(relay, digest)).status, 401);
  const taken = await client('add', 'carol');
  assert.equal(taken.code, 64);
  assert.match(taken.output, /found "carol" again/);
  assert.match((await client('revoke', 'carol')).output, /is a client of the configuration/);
});
