// SPDX-License-Identifier: Apache-2.0
// A mistake in a policy costs only its exchange: the client gets a 500, and the worker serves the next request.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, get, post, provider, secret } from './support/relay.mjs';
import { Upstream, faults } from './support/upstream.mjs';

const forever = 'function() while true do end end';
const mistakes = {
  'a loop': 'while true do end',
  'a loop after a wait': 'e:sleep(1) while true do end',
  'a loop that catches its end': `while true do pcall(${forever}) end`,
  'a loop in the handler of its end': `while true do xpcall(${forever}, ${forever}) end`,
  'a loop after a caught error of the library': 'pcall(e.try, e, nil) while true do end',
  'a loop in the handler of an error of the library': `xpcall(e.try, ${forever}, e, nil)`,
  'a loop in gsub': `string.gsub('a', '.', ${forever})`,
  'a slow pattern': "string.find(string.rep('a', 4000), string.rep('.-', 8) .. 'b')",
  'a slow pattern, as a method': "('a'):rep(4000):find(('.-'):rep(8) .. 'b')",
  'a pattern of options': "local n = 40 return ('a'):rep(n):find(('a?'):rep(n) .. ('a'):rep(n))",
  'a pattern with a back reference': "('a'):rep(4096):find('(a*)%1%1%1b')",
  'a finaliser': "getmetatable(newproxy(true)).__gc = function() while true do end end",
  'a table without end': 'local t = {} while true do t[#t + 1] = {} end',
  'a text without end': "local s = 'x' while true do s = s .. s end",
  'a recursion without end': 'local function f() return f() + 1 end f()',
  'a recursion without end through sort': 'local function f() table.sort({ 1, 2, 3 }, f) end f()',
  'a recursion without end through gsub': "local t t = setmetatable({}, { __index = function() return (('a'):gsub('a', t)) end }) return t.a",
  'a table thrown': 'error({})',
  'a secret thrown': `error('not with ${secret('up')}')`,
  'nothing thrown': 'error(nil)',
  'an answer that is not a number': 'return 0 / 0',
  'an answer of loops': `return setmetatable({}, { __index = ${forever} })`,
  'nothing to respond with': 'return e:respond()',
  'a status that is not a number': 'return e:respond { status = 0 / 0 }',
  'a body within itself': 'local t = {} t.t = t return e:respond { body = t }',
  'a header of two lines': "return e:respond { headers = { ['x-a'] = 'a\\r\\nb: c' } }",
  'a header of a megabyte': "return e:respond { headers = { ['x-a'] = string.rep('x', 1000000) } }",
  'a try at itself': 'return e:try(e)',
  'a wait for ever': 'e:sleep(1 / 0)',
};

test('a mistake in a policy costs only its exchange', async (t) => {
  const up = await Upstream.start(t, 'up');
  const cases = Object.entries(mistakes).map(([name, words]) => `cases[${JSON.stringify(name)}] = function(e) ${words} end`);
  const policy = `local cases = {}\n${cases.join('\n')}\nreturn function(e) return cases[e.header['x-case']](e) end\n`;
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(up)] }, policy, env: { CCRELAY_SCRIPT_FAULTS: '0' } });
  relay.expectTraceback = true;
  for (const name of Object.keys(mistakes)) {
    await t.test(name, async () => {
      const answer = await post(relay, ask(), { headers: { 'x-case': name } });
      assert.equal(answer.status, 500, answer.raw);
      assert.equal(JSON.parse(answer.text).error.type, 'api_error');
      assert.ok(!answer.text.includes(secret('up')), 'the words of the script went to the client');
      assert.equal(answer.headers['x-a'], undefined);
    });
  }
  const status = JSON.parse((await get(`http://127.0.0.1:${relay.adminPort}/status`)).text);
  assert.equal(status.restarts, 0, relay.output);
  assert.equal(status.counters.script_errors, Object.keys(mistakes).length);
});

const held = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/)[1]) / 1024;

test('the memory of a policy is bounded in each call and is released', async (t) => {
  const policy = `local kept = {}
local cases = {
  take = function() local t = {} while true do t[#t + 1] = {} end end,
  catch = function() while true do pcall(function() local t = {} while true do t[#t + 1] = string.rep('x', 1000) .. #t end end) end end,
  join = function() local s = string.rep('x', 2^20) local t = {} for i = 1, 500 do t[i] = s end s = table.concat(t) end,
  replace = function() local s = string.rep('x', 4096) s = s:gsub('.', s) s = s .. s .. s .. s .. s .. s .. s .. s end,
  keep = function() for i = 1, 20 do kept[#kept + 1] = string.rep('x', 2^20) .. #kept end end,
  forget = function() kept = {} end,
}
return function(exchange)
  cases[exchange.header['x-case']]()
  return exchange:respond { body = 'fine' }
end
`;
  const config = { server: { workers: 1 }, providers: [provider({ url: 'http://127.0.0.1:1' })] };
  const relay = await Relay.start(t, { config, policy, env: { CCRELAY_SCRIPT_MS: '5000', CCRELAY_SCRIPT_FAULTS: '0' } });
  relay.expectTraceback = true;
  const run = async (name) => (await post(relay, ask(), { headers: { 'x-case': name } })).status;
  for (let n = 0; n < 50; n += 1) await run('forget');
  const [, pid] = relay.processes();
  const before = held(pid);
  for (const name of ['take', 'catch', 'join', 'replace', 'take']) {
    assert.equal(await run(name), 500, name);
    assert.ok(held(pid) - before < 120, `${name}: ${held(pid)} MiB after ${before}`);
    assert.equal(await run('forget'), 200, `after ${name}`);
  }
  assert.match(relay.output, /script error: [^"]*not enough memory[^"]*".*policy\.lua:\d+:/);
  let kept = 0;
  while (await run('keep') === 200) kept += 20;
  assert.ok(kept > 100 && kept <= 256, `kept ${kept} MiB`);
  assert.equal((await get(`${relay.url}/health`)).status, 200);
  for (const [name, status] of [['forget', 200], ['take', 500], ['forget', 200]]) assert.equal(await run(name), status);
  assert.ok(held(pid) - before < 100, `${held(pid)} MiB in the end, ${before} before`);
  t.diagnostic(`${before.toFixed(0)} MiB before, ${held(pid).toFixed(0)} in the end, ${kept} kept`);
  assert.deepEqual(relay.processes().slice(1), [pid], 'the worker was replaced');
});

for (const [most, status] of [[undefined, 200], ['8', 500], ['200', 200]]) {
  test(`20 MiB in a policy with a limit of ${most ?? 'the usual'} MiB`, async (t) => {
    const policy = `return function(exchange)
  local t = {} for i = 1, 20 do t[i] = string.rep('x', 2^20) .. i end
  return exchange:respond { body = 'fine' }
end
`;
    const config = { server: { workers: 1 }, providers: [provider({ url: 'http://127.0.0.1:1' })] };
    const relay = await Relay.start(t, { config, policy, env: { CCRELAY_SCRIPT_MB: most, CCRELAY_SCRIPT_MS: '5000' } });
    relay.expectTraceback = true;
    assert.equal((await post(relay, ask())).status, status);
  });
}

test('an upstream that a policy keeps never gets another client\'s credential', async (t) => {
  const up = await Upstream.start(t, 'up');
  const policy = `local relay = require 'ccrelay'
local kept
return function(exchange)
  kept = kept or relay.upstreams(exchange)[1]
  return exchange:try(kept)
end
`;
  const auth = { api_key: 'the-relays-own-key', allow_subscription: true };
  const relay = await Relay.start(t, { config: { server: { workers: 1, auth }, providers: [provider(up, { transparent: true })] }, policy });
  relay.expectTraceback = true;
  const asking = (token) => post(relay, ask(), { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await asking('sk-ant-oat01-abc')).status, 200);
  assert.equal((await asking('the-relays-own-key')).status, 500);
  assert.equal(up.requests.length, 1);
  assert.equal(up.requests[0].headers.authorization, 'Bearer sk-ant-oat01-abc');
});

test('a writer that a policy keeps does not work in another exchange', async (t) => {
  const up = await Upstream.start(t, 'up');
  const policy = `local kept
return function(exchange)
  if not kept then
    return exchange:stream(function(writer) kept = writer writer:write('a') writer:sleep(600) writer:write('b') end)
  end
  return exchange:respond { body = tostring(pcall(kept.sleep, kept, 50)) }
end
`;
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(up)] }, policy });
  const first = post(relay, ask());
  await sleep(200);
  assert.equal((await post(relay, ask())).text, 'false');
  assert.equal((await first).text, 'ab');
});

test('the log line of an exchange counts attempts that were cut short, and bytes that were sent', async (t) => {
  const up = await Upstream.start(t, 'up', faults.stall());
  const relay = await Relay.start(t, { config: { server: { timeout_ms: 500 }, providers: [provider(up)] } });
  assert.equal((await post(relay, ask())).status, 504);
  await relay.printed(/"path":"\/v1\/messages".*"status":504,"attempts":1,/);
  const answer = await fetch(`${relay.url}/api/hello`, { method: 'HEAD' });
  assert.equal(answer.status, 200);
  await relay.printed(/"method":"HEAD".*"response_bytes":0[,}]/);
});
