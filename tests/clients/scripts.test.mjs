// SPDX-License-Identifier: Apache-2.0
// A mistake in a policy costs the exchange it is made in: 500 for that client, the worker lives and
// serves the next.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import { Relay, ask, get, post, provider } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

const forever = 'function() while true do end end';
const mistakes = {
  'a loop': 'while true do end',
  'a loop after a wait': 'e:sleep(1) while true do end',
  'a loop that catches its end': `while true do pcall(${forever}) end`,
  'a loop in the handler of its end': `while true do xpcall(${forever}, ${forever}) end`,
  'a loop after a caught error of the library': 'pcall(e.try, e, nil) while true do end',
  'a loop in the handler of an error of the library': `xpcall(e.try, ${forever}, e, nil)`,
  'a loop in gsub': `string.gsub('a', '.', ${forever})`,
  'a table without end': 'local t = {} while true do t[#t + 1] = {} end',
  'a text without end': "local s = 'x' while true do s = s .. s end",
  'a recursion without end': 'local function f() return f() + 1 end f()',
  'a table thrown': 'error({})',
  'nothing thrown': 'error(nil)',
  'an answer that is no number': 'return 0 / 0',
  'an answer of loops': `return setmetatable({}, { __index = ${forever} })`,
  'nothing to respond with': 'return e:respond()',
  'a status that is no number': 'return e:respond { status = 0 / 0 }',
  'a body within itself': 'local t = {} t.t = t return e:respond { body = t }',
  'a header of two lines': "return e:respond { headers = { ['x-a'] = 'a\\r\\nb: c' } }",
  'a header of a megabyte': "return e:respond { headers = { ['x-a'] = string.rep('x', 1000000) } }",
  'a try at itself': 'return e:try(e)',
  'a wait for ever': 'e:sleep(1 / 0)',
};

test('a mistake in a policy costs its exchange alone', async (t) => {
  const up = await Upstream.start(t, 'up');
  const cases = Object.entries(mistakes).map(([name, words]) => `cases[${JSON.stringify(name)}] = function(e) ${words} end`);
  const policy = `local cases = {}\n${cases.join('\n')}\nreturn function(e) return cases[e.header['x-case']](e) end\n`;
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(up)] }, policy });
  relay.expectTraceback = true;
  for (const name of Object.keys(mistakes)) {
    await t.test(name, async () => {
      const answer = await post(relay, ask(), { headers: { 'x-case': name } });
      assert.equal(answer.status, 500, answer.raw);
      assert.equal(JSON.parse(answer.text).error.type, 'api_error');
      assert.equal(answer.headers['x-a'], undefined);
    });
  }
  const status = JSON.parse((await get(`http://127.0.0.1:${relay.adminPort}/status`)).text);
  assert.equal(status.restarts, 0, relay.output);
  assert.equal(status.counters.script_errors, Object.keys(mistakes).length);
});
