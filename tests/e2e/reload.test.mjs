// SPDX-License-Identifier: Apache-2.0
// A saved policy serves the next request and disturbs no running one. A broken one changes nothing and is reported with
// its line.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { test } from './support/test.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Relay, ask, binary, get, patience, post, provider, reloadsKept, root } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';

const run = promisify(execFile);

const only = (name) => `local relay = require 'ccrelay'

return function(exchange)
  return exchange:first(relay.upstreams(exchange, {provider = '${name}'}))
end
`;

/** pace.gap: ms between the events of a stream; may be changed later. */
async function set(t, pace = { gap: 0 }) {
  const a = await Upstream.start(t, 'alpha', healthy(() => ({ text: 'served by alpha '.repeat(20), gap: pace.gap })));
  const b = await Upstream.start(t, 'beta', healthy(() => ({ text: 'served by beta '.repeat(20), gap: pace.gap })));
  const relay = await Relay.start(t, { config: { providers: [provider(a), provider(b)] }, policy: only('alpha') });
  return { a, b, relay };
}

const served = async (relay) => JSON.parse((await post(relay, ask())).text).content[0].text.match(/alpha|beta/)[0];

/** Milliseconds until `count` requests in a row are served by `name`. */
async function until(relay, name, limit, count = 8) {
  const start = performance.now();
  let row = 0;
  let first = 0;
  while (performance.now() - start < limit) {
    if ((await served(relay)) === name) {
      if (row === 0) first = performance.now() - start;
      row += 1;
      if (row === count) return first;
    } else row = 0;
  }
  return Infinity;
}

for (const how of ['written', 'renamed over']) {
  test(`a policy that is ${how} is in force at once, 100 streams go on`, async (t) => {
    const { relay } = await set(t, { gap: 60 });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });
    t.after(() => agent.destroy());
    const streams = Array.from({ length: 100 }, () => post(relay, ask({ stream: true }), { agent }));
    await sleep(500);
    if (how === 'written') relay.savePolicy(only('beta'));
    else {
      writeFileSync(`${relay.policyPath}.new`, only('beta'), { mode: 0o600 });
      renameSync(`${relay.policyPath}.new`, relay.policyPath);
    }
    const took = await until(relay, 'beta', 5000 * patience);
    t.diagnostic(`in force after ${took.toFixed(0)} ms`);
    assert.ok(took < 1500 * patience, `the new policy was in force after ${took} ms`);
    for (const answer of await Promise.all(streams)) {
      assert.equal(answer.status, 200);
      assert.match(answer.text, /alpha/);
      assert.ok(answer.text.endsWith('data: {"type":"message_stop"}\n\n'));
    }
  });
}

test('a saved file is in force within 500 ms, also while a log is written in the same folder', async (t) => {
  const { relay } = await set(t);
  const log = setInterval(() => appendFileSync(`${relay.folder}/relay.log`, 'a line\n'), 10);
  t.after(() => clearInterval(log));
  const took = [];
  for (const name of ['beta', 'alpha', 'beta', 'alpha', 'beta']) {
    await sleep(200);
    relay.savePolicy(only(name));
    took.push(Math.round(await until(relay, name, 5000 * patience)));
  }
  t.diagnostic(`in force after ${took.join(', ')} ms`);
  assert.ok(Math.max(...took) < 500 * patience, `in force after ${took.join(', ')} ms`);
});

const broken = {
  'a syntax error': ["local relay = require 'ccrelay'\nreturn function(exchange\n", /policy\.lua:[23]/],
  'an error while loading': ["\n\nerror('on purpose')\n", /policy\.lua:3/],
  'a loop while loading': ["local relay = require 'ccrelay'\nwhile true do end\n", /policy\.lua:2/],
  'no end to what it takes while loading': ["local s = 'x'\nwhile true do s = s .. s end\n", /policy\.lua: ?(2:)?.*not enough memory|policy\.lua:2/],
  'half of its text': [only('beta').slice(0, -30), /policy\.lua:\d/],
  'no function': ['return 42\n', /policy\.lua/],
  'an empty file': ['', /policy\.lua/],
  'a table that runs code': ["return setmetatable({ route = function() end }, { __index = function(_, k) error('no ' .. k) end })\n", /policy\.lua: a policy has a metatable/],
  'a name that runs code': ["return { route = function() end, [setmetatable({}, { __tostring = error })] = 1 }\n", /policy\.lua: a policy has a key that is a table/],
  'a function for a key': ["local relay = require 'ccrelay'\nrelay.provider { name = 'x', type = 'anthropic', keys = { { key = tostring } } }\nreturn function() end\n", /policy\.lua: providers\[0\]\.keys\[0\]\.key: a function cannot be/],
  'null for a key': ["local relay = require 'ccrelay'\nrelay.provider { name = 'x', type = 'anthropic', keys = { { key = relay.json.null } } }\nreturn function() end\n", /policy\.lua: providers\[0\]\.keys\[0\]\.key: a userdata cannot be/],
};
for (const [what, [text, place]] of Object.entries(broken)) {
  test(`an edit with ${what} changes nothing and is reported`, async (t) => {
    const { relay } = await set(t);
    assert.equal(await served(relay), 'alpha');
    relay.expectTraceback = true;
    const mark = relay.output.length;
    relay.savePolicy(text);
    const seen = performance.now() + 5000 * patience;
    while (!place.test(relay.output.slice(mark))) {
      assert.ok(performance.now() < seen, `${place} was not printed\n${relay.output.slice(mark)}`);
      await sleep(20);
    }
    for (let n = 0; n < 8; n += 1) assert.equal(await served(relay), 'alpha');
    const status = await run(binary, ['status', '--config', relay.configPath], { env: { ...process.env, HOME: relay.folder, CCRELAY_ROOT: root } })
      .catch((error) => error);
    assert.match(`${status.stdout}${status.stderr}`, place);
    relay.savePolicy(only('beta'));
    assert.ok((await until(relay, 'beta', 5000 * patience)) < Infinity, 'a good edit after a bad one is not taken');
  });
}

const turned = {
  'is removed': [(file) => rmSync(file), /policy\.lua: .*(no such|not found|not exist|cannot)/i],
  'may be written by everybody': [(file) => chmodSync(file, 0o666), /policy\.lua: .*writ/],
  'becomes a FIFO': [(file) => { rmSync(file); execFileSync('mkfifo', ['-m', '600', file]); }, /policy\.lua: .*regular file/],
  'becomes a folder': [(file) => { rmSync(file); mkdirSync(file, 0o700); }, /policy\.lua: .*regular file/],
  'becomes a device': [(file) => { rmSync(file); symlinkSync('/dev/zero', file); }, /policy\.lua: /],
};
for (const [what, [turn, words]] of Object.entries(turned)) {
  test(`a policy file that ${what} changes nothing, under load`, async (t) => {
    const { relay } = await set(t);
    let over = false;
    const asked = Array.from({ length: 8 }, async () => {
      let count = 0;
      for (; !over; count += 1) assert.equal(await served(relay), 'alpha');
      return count;
    });
    const mark = relay.output.length;
    turn(relay.policyPath);
    const end = performance.now() + 5000 * patience;
    while (!/reload refused/.test(relay.output.slice(mark)) && performance.now() < end) await sleep(20);
    const status = JSON.parse((await get(`http://127.0.0.1:${relay.adminPort}/status`)).text);
    over = true;
    for (const count of await Promise.all(asked)) assert.ok(count > 0);
    assert.match(status.reloads.fault, words);
    assert.equal(status.reloads.refused, 1);
    assert.equal(status.restarts, 0);
    rmSync(relay.policyPath, { recursive: true, force: true });
    relay.savePolicy(only('beta'));
    assert.ok((await until(relay, 'beta', 5000 * patience)) < Infinity, 'a good file after it is not taken');
  });
}

test('a policy that throws costs one exchange only', async (t) => {
  const { relay } = await set(t);
  relay.expectTraceback = true;
  relay.savePolicy(`local relay = require 'ccrelay'
return function(exchange)
  if exchange.header['x-throw'] then error('on purpose ' .. exchange.header['x-throw']) end
  return exchange:first(relay.upstreams(exchange, {provider = 'beta'}))
end
`);
  assert.ok((await until(relay, 'beta', 5000 * patience)) < Infinity);
  const answer = await post(relay, ask(), { headers: { 'x-throw': 'here' } });
  assert.equal(answer.status, 500);
  assert.equal(JSON.parse(answer.text).error.type, 'api_error');
  assert.ok(!answer.text.includes('on purpose'), 'the words of the script went to the client');
  await relay.printed(/policy\.lua:3/);
  assert.equal(await served(relay), 'beta');
});

test('a policy that loops for ever costs one exchange only', async (t) => {
  const { relay } = await set(t);
  relay.expectTraceback = true;
  relay.savePolicy(`local relay = require 'ccrelay'
return function(exchange)
  while exchange.header['x-loop'] do end
  return exchange:first(relay.upstreams(exchange, {provider = 'beta'}))
end
`);
  assert.ok((await until(relay, 'beta', 5000 * patience)) < Infinity);
  const answer = await post(relay, ask(), { headers: { 'x-loop': '1' } });
  assert.equal(answer.status, 500, answer.text);
  for (let n = 0; n < 8; n += 1) assert.equal(await served(relay), 'beta');
});

test('a changed configuration is in force for the next request', async (t) => {
  const a = await Upstream.start(t, 'alpha');
  const b = await Upstream.start(t, 'beta');
  const relay = await Relay.start(t, { config: { providers: [provider(a)] } });
  assert.equal(await served(relay), 'alpha');
  relay.configure({ providers: [provider(b)] });
  assert.ok((await until(relay, 'beta', 5000 * patience)) < Infinity);
  relay.configure({ providers: [{ ...provider(a), colour: 'blue' }] });
  await relay.printed(/colour/);
  for (let n = 0; n < 8; n += 1) assert.equal(await served(relay), 'beta');
});

// Fills the pools of both workers with more connections to each provider than the load needs later, so that only a leak
// adds descriptors.
async function fillPools(relay, pace) {
  pace.gap = 30;
  for (const [index, name] of ['beta', 'alpha'].entries()) {
    relay.savePolicy(only(name));
    await relay.generation(index + 2);
    await Promise.all(Array.from({ length: 24 }, () => post(relay, ask({ stream: true }))));
  }
  pace.gap = 0;
  return 3;
}

test('120 reloads under load lose no request and leak no descriptor', async (t) => {
  const pace = {};
  const { relay } = await set(t, pace);
  const first = await fillPools(relay, pace);
  const reloads = 120;
  let going = true;
  let count = 0;
  const load = Promise.all([1, 2, 3, 4].map(async () => {
    while (going) {
      const answer = await post(relay, ask({ stream: true }));
      assert.equal(answer.status, 200);
      assert.match(answer.text, /message_stop/);
      count += 1;
    }
  }));
  const descriptors = [];
  for (let n = 1; n <= reloads; n += 1) {
    relay.savePolicy(`${only(n % 2 ? 'alpha' : 'beta')}-- ${n}\n`);
    await relay.generation(first + n);
    assert.equal(await served(relay), n % 2 ? 'alpha' : 'beta');
    descriptors.push(relay.descriptors());
  }
  going = false;
  await load;
  const now = await relay.status();
  assert.equal(now.generation.number, first + reloads);
  const { done, refused, fault } = now.reloads;
  assert.deepEqual({ done, refused, fault }, { done: first - 1 + reloads, refused: 0, fault: undefined });
  assert.equal(now.restarts, 0);
  await sleep(300);
  const [early, late] = [Math.max(...descriptors.slice(0, 20)), Math.max(...descriptors.slice(reloads / 2))];
  t.diagnostic(`${count} exchanges meanwhile, at most ${early} descriptors early, ${late} late, ${relay.descriptors()} afterwards`);
  assert.ok(count > reloads);
  assert.ok(late <= early + 4 && relay.descriptors() <= early, `descriptors ${descriptors}, ${relay.descriptors()} afterwards`);
});

test('300 reloads leak no memory', async (t) => {
  if (process.env.ASAN_OPTIONS) return t.skip('what a sanitizer keeps is not the memory of the relay');
  const { relay } = await set(t);
  const { early, late, most } = await reloadsKept(relay, 300, () => served(relay));
  t.diagnostic(`${early} KiB after 10 reloads, ${late} after 300, at most ${most}`);
  assert.ok(late - early < 2 * 1024, `${early} KiB after 10 reloads, ${late} after 300`);
});
