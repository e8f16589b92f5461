// SPDX-License-Identifier: Apache-2.0
// Reloads that go wrong: files that never finish loading, workers that do not answer, reloads during reloads. The master
// goes on, reports what is wrong, and takes over the next save.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, patience, post, provider, root, run, status, until } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';

const nobody = provider({ url: 'http://127.0.0.1:1' });
const says = (word) => `return function(exchange) return exchange:respond { body = '${word}' } end\n`;
// With this limit for scripts, a file that loops is ended only by the process that waits for it.
const unbounded = { CCRELAY_SCRIPT_MS: '600000' };
const hangs = `while true do end
return function() end
`;

/** Process ids of those in which files are tried. */
const trials = (relay) => relay.processes().filter((pid) => {
  try { return readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('ccrelay: preflight'); } catch { return false; }
});

/** Answers to requests over connections of their own; null where none came in time. */
async function answers(relay, count = 40, wait = 1000) {
  const asked = Array.from({ length: count }, () => Promise.race([
    post(relay, ask()).then(({ status: code, text }) => (code === 200 ? text : code)).catch(() => null),
    sleep(wait * patience, null, { ref: false }),
  ]));
  return [...new Set(await Promise.all(asked))];
}

test('a policy that hangs while loading is ended and delays nothing', async (t) => {
  const up = await Upstream.start(t, 'up', healthy({ text: 'from above '.repeat(60), gap: 60 }));
  const relay = await Relay.start(t, { env: unbounded, config: { providers: [provider(up)] }, policy: `local relay = require 'ccrelay'
return function(exchange)
  if exchange.stream then return exchange:first(relay.upstreams(exchange)) end
  return exchange:respond { body = 'one' }
end
` });
  const streams = Array.from({ length: 20 }, () => post(relay, ask({ stream: true })));
  relay.savePolicy(hangs);
  assert.ok(await until(() => trials(relay).length === 1));
  const began = performance.now();
  while (!/reload refused/.test(relay.output) && performance.now() - began < 45_000 * patience) {
    const asked = performance.now();
    assert.equal((await status(relay)).generation.number, 1);
    assert.ok(performance.now() - asked < 1000 * patience, 'the master did not answer');
    assert.deepEqual(await answers(relay, 4), ['one']);
    await sleep(200);
  }
  assert.match((await status(relay)).reloads.fault, /policy\.lua: the file took longer than 5 s to load/);
  assert.deepEqual(trials(relay), []);
  for (const answer of await Promise.all(streams)) assert.match(answer.text, /message_stop/);
  relay.savePolicy(says('two'));
  await relay.printed(/generation 2 is in force/);
  assert.deepEqual(await answers(relay), ['two']);
  assert.equal((await status(relay)).restarts, 0);
});

/** A root of its own, to be written to. */
function rootOfOwn(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-root-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const part of ['lua', 'providers', 'policies']) cpSync(path.join(process.env.CCRELAY_ROOT ?? root, part), path.join(folder, part), { recursive: true });
  return folder;
}

test('an adapter that hangs is reported by name', async (t) => {
  const folder = rootOfOwn(t);
  const relay = await Relay.start(t, { config: { providers: [nobody] }, policy: says('one'), env: { ...unbounded, CCRELAY_ROOT: folder } });
  writeFileSync(path.join(folder, 'providers/odd.lua'), hangs, { mode: 0o600 });
  await relay.printed(/reload refused[^]*providers\/odd\.lua: the file took longer than 5 s to load/, 45_000 * patience);
  assert.deepEqual(await answers(relay), ['one']);
  rmSync(path.join(folder, 'providers/odd.lua'));
  assert.ok(await until(async () => (await status(relay)).reloads.fault === undefined));
});

test('a save while another file hangs is taken over after it, and a worker that dies is replaced', async (t) => {
  const relay = await Relay.start(t, { env: unbounded, config: { providers: [nobody] }, policy: says('one') });
  await sleep(1100); // old enough to be replaced at once
  relay.savePolicy(hangs);
  assert.ok(await until(() => trials(relay).length === 1));
  process.kill((await status(relay)).workers[1].pid, 'SIGKILL');
  assert.ok(await until(async () => (await status(relay)).restarts === 1));
  assert.deepEqual(await answers(relay), ['one']);
  assert.equal(trials(relay).length, 1);
  relay.savePolicy(says('two'));
  await relay.printed(/generation 2 is in force/, 45_000 * patience);
  assert.deepEqual(await answers(relay), ['two']);
});

test('shutdown does not wait for a file that hangs', async (t) => {
  const relay = await Relay.start(t, { env: unbounded, config: { providers: [nobody] }, policy: says('one') });
  relay.savePolicy(hangs);
  assert.ok(await until(() => trials(relay).length === 1));
  const [pid] = trials(relay);
  const began = performance.now();
  relay.child.kill('SIGTERM');
  await relay.exited;
  assert.ok(performance.now() - began < 3000 * patience);
  assert.ok(await until(() => { try { process.kill(pid, 0); return false; } catch { return true; } }));
});

test('a crash while loading a file is reported with its signal', async (t) => {
  const relay = await Relay.start(t, { env: unbounded, config: { providers: [nobody] }, policy: says('one') });
  relay.savePolicy(hangs);
  assert.ok(await until(() => trials(relay).length === 1));
  await sleep(500 * patience); // it has reached the file by then
  process.kill(trials(relay)[0], 'SIGUSR1');
  await relay.printed(/policy\.lua: loading the file ended with signal 10/);
  assert.deepEqual(await answers(relay), ['one']);
});

test('a file that hangs is a fault at the start and for ccrelay check', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-hang-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'mine.lua');
  writeFileSync(file, hangs, { mode: 0o600 });
  for (const verb of ['run', 'check']) {
    const { code, output } = await run([verb, file], { HOME: folder, ...unbounded });
    assert.equal(code, 78);
    assert.match(output, /mine\.lua: the file took longer than 5 s to load/);
  }
});

test('a worker that does not answer makes the reload fail, and is replaced', async (t) => {
  const relay = await Relay.start(t, { config: { providers: [nobody] }, policy: says('one') });
  const { workers } = await status(relay);
  await sleep(1100); // old enough to be replaced at once
  process.kill(workers[0].pid, 'SIGSTOP');
  relay.savePolicy(says('two'));
  await relay.printed(/"level":"warn","message":"worker 0 has not answered a reload for 10 s/, 45_000 * patience);
  assert.ok(await until(async () => (await status(relay)).restarts === 1));
  const now = await status(relay);
  assert.equal(now.reloads.refused, 1);
  assert.match(now.reloads.fault, /worker 0 has not answered/);
  assert.deepEqual(await answers(relay), ['one']);
  relay.savePolicy(says('three'));
  await relay.printed(/generation 2 is in force/);
  assert.deepEqual(await answers(relay), ['three']);
});

test('files too large to be sent to workers are a fault, and the next save is taken over', async (t) => {
  const folder = rootOfOwn(t);
  const relay = await Relay.start(t, { config: { providers: [nobody] }, policy: says('one'), env: { CCRELAY_ROOT: folder } });
  const large = [1, 2, 3, 4, 5].map((n) => path.join(folder, `policies/large_${n}.lua`));
  for (const file of large) writeFileSync(file, `--${'x'.repeat(3_900_000)}\n`, { mode: 0o600 });
  await relay.printed(/reload refused[^]*too large/);
  assert.match((await status(relay)).reloads.fault, /the files are too large together/);
  for (const file of large) rmSync(file);
  relay.savePolicy(says('two'));
  await relay.printed(/generation \d is in force/);
  assert.ok(await until(async () => (await answers(relay)).join() === 'two'));
});

test('a forced reload during another one runs after it', async (t) => {
  const relay = await Relay.start(t, { config: { providers: [nobody] }, policy: says('one') });
  const { workers } = await status(relay);
  process.kill(workers[0].pid, 'SIGSTOP');
  relay.savePolicy(says('two'));
  await sleep(500 * patience);
  relay.child.kill('SIGHUP');
  await sleep(100);
  relay.savePolicy(says('two')); // no change, but the reload is still forced
  await sleep(500 * patience);
  process.kill(workers[0].pid, 'SIGCONT');
  await relay.printed(/generation 2 is in force/);
  await relay.printed(/generation 3 is in force/);
});

test('a worker forked while a policy is being put aside begins with the one in force', async (t) => {
  const up = await Upstream.start(t, 'up', healthy({ text: 'from above' }));
  const relay = await Relay.start(t, { config: { providers: [provider(up)] }, policy: "return function() error('on purpose') end\n" });
  relay.expectTraceback = true;
  await sleep(1100); // old enough to be replaced at once
  const { workers } = await status(relay);
  process.kill(workers[0].pid, 'SIGSTOP'); // keeps it open
  await answers(relay, 20, 500);
  await relay.printed(/fails again and again/);
  process.kill(workers[1].pid, 'SIGKILL');
  assert.ok(await until(async () => (await status(relay)).restarts === 1));
  await sleep(300);
  assert.deepEqual((await answers(relay, 20, 500)).sort(), [500, null]);
  process.kill(workers[0].pid, 'SIGCONT');
  await relay.printed(/generation 2 is in force/);
  assert.ok(await until(async () => (await answers(relay, 10)).every((text) => /from above/.test(text))));
});

test('a script that is not UTF-8 serves the same bytes after a reload', async (t) => {
  const script = (more) => Buffer.from(`return function(exchange) return exchange:respond { body = 'caf\xe9' } end -- ${more}\n`, 'latin1');
  const relay = await Relay.start(t, { config: { providers: [nobody] }, policy: script('first') });
  const bytes = async () => (await post(relay, ask())).bytes.toString('latin1');
  assert.equal(await bytes(), 'caf\xe9');
  relay.savePolicy(script('second'));
  await relay.printed(/generation 2 is in force/);
  for (let n = 0; n < 20; n += 1) assert.equal(await bytes(), 'caf\xe9');
});
