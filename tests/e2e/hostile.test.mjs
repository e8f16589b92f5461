// SPDX-License-Identifier: Apache-2.0
// Scripts that search, allocate, call or wait without end cost only the request they run for: no worker is lost, and
// other requests are served meanwhile and after.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import { Relay, ask, post, provider } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

const endless = 'function() while true do end end';

const loops = {
  'an empty loop': 'while true do end',
  'a numeric loop': 'for i = 1, 1e15 do end',
  'a loop by goto': '::again:: goto again',
  'a loop that catches its end': `while true do pcall(${endless}) end`,
  'a loop in the handler of its end': `while true do xpcall(${endless}, ${endless}) end`,
  'a loop in __index': `return setmetatable({}, { __index = ${endless} }).x`,
  'a loop in __tostring': `return tostring(setmetatable({}, { __tostring = ${endless} }))`,
  'a loop in __tostring, by format': `return string.format('%s', setmetatable({}, { __tostring = ${endless} }))`,
  'a loop in __tostring, by log': `relay.log(setmetatable({}, { __tostring = ${endless} }))`,
  'a loop in __len': `return e:respond { body = setmetatable({}, { __len = ${endless} }) }`,
  'a loop in gsub': `string.gsub('a', '.', ${endless})`,
  'a loop in sort': `table.sort({ 1, 2, 3 }, ${endless})`,
  'a loop in foreach': `(table.foreach or ${endless})({ 1 }, ${endless})`,
  'a loop in an iterator': `for _ in ${endless} do end`,
  'a loop that writes an answer': 'return e:stream(function() while true do end end)',
};

const searches = {
  'a plain find in a large body': "local b = e:body() while true do b:find(b:sub(1, #b / 2) .. 'b', 1, true) end",
  'a plain find, once': "local b = e:body() return e:respond { body = tostring(b:find(b:sub(2e6, 3e6) .. 'b', 1, true)) }",
  'a plain find of a pair': "local b = e:body() while true do string.find(b, 'ab', 1, true) end",
  'lazy repeats': "string.find(string.rep('a', 4000), string.rep('.-', 8) .. 'b')",
  'lazy repeats, as a method': "('a'):rep(4000):find(('.-'):rep(8) .. 'b')",
  'options': "return ('a'):rep(40):find(('a?'):rep(40) .. ('a'):rep(40))",
  'back references': "('a'):rep(4096):find('(a*)%1%1%1b')",
  'balanced texts': "while true do ('('):rep(4000):find('%b()%b()') end",
  'match in a loop': "local s = ('a'):rep(4096) while true do s:match('^a*$') end",
  'gmatch in a loop': "while true do for _ in ('a'):rep(4096):gmatch('.') do end end",
  'sort of long texts': "local a = ('a'):rep(1e6) local t = {} for i = 1, 5e4 do t[i] = i % 2 == 0 and a or a .. 'b' if i % 100 == 99 then a = a .. '' end end table.sort(t) while true do end",
  'table.insert far below': 'while true do table.insert({}, -2147483648, 1) end',
  'table.move far away': '(table.move or error)({}, 1, 1e15, 2)',
  'table.concat far away': "return table.concat({}, 'x', 1, 2e9)",
  'unpack far away': 'return unpack({}, 1, 2e9)',
};

const growth = {
  'a text that doubles': "local s = 'x' while true do s = s .. s end",
  'rep of a gigabyte': "return ('x'):rep(2 ^ 30)",
  'rep with a separator': "return ('x'):rep(1e6, ('y'):rep(1e6))",
  'format of long texts': "local s = ('x'):rep(2 ^ 20) while true do s = string.format('%s%s', s, s) end",
  'gsub that multiplies': "local s = ('x'):rep(4096) s = s:gsub('.', s) while true do s = s .. s end",
  'concat of one text, often': "local s, t = ('x'):rep(2 ^ 20), {} for i = 1, 500 do t[i] = s end return table.concat(t)",
  'a table that grows': 'local t = {} while true do t[#t + 1] = {} end',
  'a table of numbers': 'local t = {} for i = 1, 1e15 do t[i] = i end',
  'a table of names': 'local t = {} for i = 1, 1e15 do t[tostring(i)] = i end',
  'a chain of closures': 'local f = function() end while true do local g = f f = function() return g() end end',
  'growth that is caught': 'while true do pcall(function() local t = {} while true do t[#t + 1] = tostring(#t) end end) end',
  'recursion': 'local function f() return f() + 1 end f()',
  'recursion through pcall': 'local function f() return pcall(f) end f() while true do end',
  'recursion through gsub': "local t t = setmetatable({}, { __index = function() return (('a'):gsub('a', t)) end }) return t.a",
  'recursion through sort': 'local function f() table.sort({ 1, 2, 3 }, f) end f()',
  'recursion through format': "local t t = setmetatable({}, { __tostring = function() return string.format('%s', t) end }) return tostring(t)",
};

const calls = {
  'upstreams': 'for i = 1, 1e9 do relay.upstreams(e) end',
  'upstreams that are kept': 'local t = {} for i = 1, 1e9 do t[i] = relay.upstreams(e) end',
  'upstreams with filters': "for i = 1, 1e9 do relay.upstreams(e, { provider = 'up', wait = false }) end",
  'the body': 'local t = {} for i = 1, 1e9 do t[i] = e:body() end',
  'the body, each time another': 'for i = 1, 1e9 do local b = e:body() .. i end',
  'fields': "while true do e:field('messages.0.content') end",
  'fields that are kept': "local t = {} for i = 1, 1e9 do t[i] = e:field('messages') .. i end",
  'sets': "for i = 1, 1e9 do e:set('x' .. i, i) end",
  'sets of one name': "for i = 1, 1e9 do e:set('x', ('y'):rep(i % 1000)) end",
  'removes': "for i = 1, 1e9 do e:remove('x' .. i) end",
  'rewrites': "for i = 1, 1e9 do e:rewrite('system', '\"' .. i .. '\"') end",
  'estimates': 'while true do e:estimate() end',
  'tries': 'while true do e:try(relay.upstreams(e)[1]) end',
  'log lines': "while true do relay.log('debug', 'again') end",
  'long log lines': "local s = ('x'):rep(2 ^ 20) while true do relay.log('debug', s) end",
  'cells': "for i = 1, 1e9 do pcall(function() relay.cell('of a hostile script ' .. i):get() end) end",
  'hashes': 'local b = e:body() while true do relay.hash(b) end',
  'JSON without end': 'local t = {} t.t = t return relay.json.encode(t)',
  'JSON of shared tables': "local t = { 1 } for i = 1, 90 do t = { t, t } end return e:respond { body = t }",
  'JSON of a long list': "local s = ('1,'):rep(5e5) local t = relay.json.decode('[' .. s .. s .. s .. s .. '1]') while true do e:set('metadata', t) end",
  'a costly pattern': "local s = '' for i = 1, 255 do local c = string.char(i) if not c:find('[%p%d]') then s = s .. c .. '*' end end s = 'a' .. s:rep(16):sub(1, 4000) .. '$' while true do s = s:sub(2) pcall(string.find, 'a', s) end",
  'a member of shared tables': "local t = { x = 1 } for i = 1, 90 do t = { a = t, b = t } end e:set('metadata', t)",
  'headers of shared tables': "local t = { x = '1' } for i = 1, 90 do t = { a = t, b = t } end return e:respond { headers = t }",
  'JSON that unfolds': "local s = ('[],'):rep(3e5) s = '[' .. s .. s .. s .. '[]]' local t = {} for i = 1, 1e9 do t[i] = relay.json.decode(s) end",
  'JSON that unfolds far': "local s = ('[],'):rep(3e5) s = s .. s .. s .. s s = '[' .. s .. s .. s .. s .. '[]]' local t = {} for i = 1, 1e9 do pcall(function() t[i] = relay.json.decode(s) end) end",
  'waits of nothing': 'while true do e:sleep(0) end',
  'waits that keep something': "local t = {} while true do for i = 1, 100 do t[#t + 1] = ('x'):rep(1000) .. #t end e:sleep(0) end",
  'pieces of an answer': "return e:stream(function(w) local s = ('x'):rep(2 ^ 20) while true do w:write(s) end end)",
  'a huge answer': "local s = ('x'):rep(2 ^ 20) while true do s = s .. s pcall(e.respond, e, { body = s, status = 0 / 0 }) end",
  'headers of the request': "local t = {} for i = 1, 1e9 do t[i] = e.header['x-case'] .. i end",
  'exchanges that are kept': 'kept[#kept + 1] = e for i = 1, #kept do pcall(kept[i].sleep, kept[i], 0) pcall(relay.upstreams, kept[i]) end while true do relay.upstreams(kept[1]) end',
};

const errors = {
  'a table thrown': 'error({})',
  'a function thrown': 'error(error)',
  'a handle thrown': 'error(e)',
  'a long text thrown': "error(('x'):rep(2 ^ 20))",
  'a table with a looping __tostring thrown': `error(setmetatable({}, { __tostring = ${endless} }))`,
  'nothing thrown': 'error(nil)',
  'an answer of loops': `return setmetatable({}, { __index = ${endless} })`,
};

const cases = { ...loops, ...searches, ...growth, ...calls, ...errors };
// Cases that end well: the answer is the requested one.
const harmless = new Set(['a plain find, once']);

const policyOf = () => {
  const members = Object.entries(cases).map(([name, words]) => `cases[${JSON.stringify(name)}] = function(e) ${words} end`);
  return `local relay = require 'ccrelay'
local cases, kept = {}, {}
${members.join('\n')}
return function(e)
  local case = cases[e.header['x-case']]
  if case then return case(e) end
  return e:first(relay.upstreams(e))
end
`;
};

test('more than 60 hostile scripts cost their requests, and no worker', async (t) => {
  const up = await Upstream.start(t, 'up');
  const keys = Array.from({ length: 100 }, (_, index) => ({ key: `key-${index}-of-a-hundred`, priority: 0 }));
  const relay = await Relay.start(t, {
    config: {
      server: { workers: 2, timeout_ms: 12_000 },
      providers: [provider(up), { ...provider(up), name: 'many', keys }],
      logging: { level: 'warn', format: 'json', output: 'stderr' },
    },
    policy: policyOf(), env: { CCRELAY_SCRIPT_FAULTS: '0' },
  });
  relay.expectTraceback = true;
  const workers = relay.processes().slice(1);
  let stop = false;
  const beside = { ok: 0, others: [] };
  const client = async () => {
    while (!stop) {
      const answer = await post(relay, ask()).catch((error) => ({ status: error.message }));
      if (answer.status === 200) beside.ok += 1;
      else beside.others.push(answer.status);
    }
  };
  const clients = [client(), client()];
  const large = { ...ask(), messages: [{ role: 'user', content: 'a'.repeat(4e6) }] };
  const statuses = {};
  let received = 0;
  const onData = (bytes, request) => {
    received += bytes.length;
    if (received > 64e6) request.destroy();
  };
  for (const name of Object.keys(cases)) {
    await t.test(name, async () => {
      const since = performance.now();
      received = 0;
      const answer = await post(relay, large, { headers: { 'x-case': name }, onData }).catch((error) => ({ status: error.message }));
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
      t.diagnostic(`${name}: ${answer.status} after ${(performance.now() - since).toFixed(0)} ms, ${(relay.resident() / 1024).toFixed(0)} MiB`);
      assert.deepEqual(relay.processes().slice(1), workers, `a worker was lost\n${relay.output.slice(-4000)}`);
      if (harmless.has(name)) assert.equal(answer.status, 200);
      assert.equal((await post(relay, ask())).status, 200, 'the next request');
    });
  }
  stop = true;
  await Promise.all(clients);
  t.diagnostic(`${Object.keys(cases).length} scripts: ${JSON.stringify(statuses)}; beside them ${beside.ok} requests were served`);
  assert.deepEqual(beside.others, []);
  assert.equal((await relay.status()).restarts, 0);
});

// Once 20 others have been served it holds 240 MiB of the 256 that scripts may hold, until 20 more have been. What those
// leave is more than the rest until it is collected, so that memory can end before.
const HOARDER = `local relay = require 'ccrelay'
local count, served = 0, 0
local function half_a_mebibyte()
  count = count + 1
  return string.char(1 + count % 255, 1 + math.floor(count / 255)):rep(2 ^ 18)
end

return function(e)
  if not e.header['x-hoard'] then
    for _ = 1, 4 do half_a_mebibyte() end
    served = served + 1
    return e:first(relay.upstreams(e))
  end
  repeat e:sleep(10) until served > 20
  local kept = {}
  for i = 1, 480 do
    kept[i] = half_a_mebibyte()
    if i % 16 == 0 then e:sleep(0) end
  end
  local before = served
  repeat e:sleep(10) until served - before > 20
  for i = 1, 480 do
    kept[i] = kept[i] .. half_a_mebibyte()
    if i % 16 == 0 then e:sleep(0) end
  end
  return e:respond { body = tostring(#kept) }
end
`;

test('an exchange that holds all memory of scripts while it waits fails, other exchanges do not', async (t) => {
  const up = await Upstream.start(t, 'up');
  const relay = await Relay.start(t, {
    config: { server: { workers: 1 }, providers: [provider(up)], logging: { level: 'warn', format: 'json', output: 'stderr' } },
    policy: HOARDER, env: { CCRELAY_SCRIPT_FAULTS: '0' },
  });
  relay.expectTraceback = true;
  let stop = false;
  const beside = [];
  const client = async () => {
    while (!stop) beside.push((await post(relay, ask())).status);
  };
  const clients = [client(), client()];
  const hoard = await post(relay, ask(), { headers: { 'x-hoard': '1' } });
  stop = true;
  await Promise.all(clients);
  t.diagnostic(`${hoard.status} ${hoard.text}; ${beside.length} requests were served beside it, ${(relay.resident() / 1024).toFixed(0)} MiB`);
  assert.ok(beside.length > 20);
  assert.deepEqual(beside.filter((status) => status !== 200), []);
  assert.equal(hoard.status, 500);
});
