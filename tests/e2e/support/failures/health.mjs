// SPDX-License-Identifier: Apache-2.0
// Section 1: health tracking never refuses a request for which no other candidate is left, and a fallback never makes the answer worse.
import assert from 'node:assert/strict';
import {
  Upstream, answers, atFirst, atRate, behind, cannotServe, every, everyNth, failing, faults, healthy, inTurn, kept, limited, overloaded, provider, refuses,
  saying, sdks, secret, sleep,
} from './common.mjs';

/** Serves `width` requests at a time, `ms` each, and answers others with 429 without a retry-after. */
const narrow = (width, ms) => () => {
  let busy = 0;
  const good = healthy();
  return async (request, reply) => {
    if (busy >= width) return limited()(request, reply);
    busy += 1;
    await sleep(ms);
    busy -= 1;
    return good(request, reply);
  };
};

const turnsOf = (people, turns) => async (_, start) => {
  const talk = async () => {
    const client = start();
    const records = [];
    for (let turn = 0; turn < turns; turn += 1) records.push(await client.ask({ stream: true }));
    return records;
  };
  return (await Promise.all(Array.from({ length: people }, talk))).flat();
};

/** A stream that ends with an error after its first content. */
const breaking = (type) => async (request, reply) => reply.stream([...answers.events({ from: reply.from }).slice(0, 4), answers.event('error', answers.error(type, `the words of ${type}`, 'req_first'))]);

/** Answers 500 to requests that contain the word "poison". */
const poisonable = () => {
  const good = healthy();
  return (request, reply) => (request.body.includes('poison') ? failing : good)(request, reply);
};

const poison = (words) => async (client) => {
  const records = [];
  for (const text of [...words, 'a fair question']) records.push(await client.ask(saying(text, { stream: true })));
  return records;
};

/** Sends the head of its answer after `ms`. */
const slowly = (ms) => async (request, reply) => {
  await sleep(ms);
  return healthy()(request, reply);
};

/** Sends `count` requests, all different. */
const different = (count) => async (client) => {
  const records = [];
  for (let n = 0; n < count; n += 1) records.push(await client.ask(saying(`question ${n}`, { stream: true })));
  return records;
};

/** An SDK that is told to wait for hours does wait, so here it tries once. */
const once = { retries: 0 };

const subscription = {
  client: { key: secret('first').replace('api03', 'oat01'), ...once },
  entry: { keys: undefined, transparent: true },
  config: { server: { auth: { allow_subscription: true } } },
};
const now = Math.floor(Date.now() / 1000);
const hitLimit = (seconds) => () => refuses(429, 'rate_limit_error', "This request would exceed your account's rate limit. Please try again later.", {
  'retry-after': String(seconds), 'anthropic-ratelimit-unified-status': 'rejected', 'anthropic-ratelimit-unified-representative-claim': 'five_hour',
  'anthropic-ratelimit-unified-reset': String(now + seconds), 'anthropic-ratelimit-unified-overage-status': 'rejected',
  'anthropic-ratelimit-unified-overage-disabled-reason': 'org_level_disabled',
});

/** The relay has no key; clients' own keys go to the provider. */
const passing = { entry: { keys: undefined, transparent: true }, config: { server: { auth: undefined } } };

/** One client sends `count` requests, then another client one with its own key. */
const thenAnother = (count) => async (client, again) => [...await inTurn(count)(client), await again({ key: secret('spare') }).ask({ stream: true })];

const firsts = {
  '429 with a time': () => limited({ 'retry-after': '10800' }),
  '429 without a time': () => limited(),
  529: () => overloaded,
  500: () => failing,
  400: () => refuses(400, 'invalid_request_error', 'messages: text content blocks must be non-empty'),
};

/** Answers by key: `table[n]` for the n-th key. */
const byKey = (...table) => () => (request, reply) => {
  const key = request.headers['x-api-key'] ?? request.headers.authorization?.slice(7);
  const at = ['first', 'spare'].findIndex((name) => key === secret(name));
  return (table[at] ?? table[0])(request, reply);
};
const twoKeys = { keys: [{ key: secret('first'), priority: 9 }, { key: secret('spare'), priority: 8 }] };

export const health = [
  { section: 1, name: 'three requests of 500 ms at a time, 429 without a time for more; six people with four turns', clients: sdks, alone: true, sum: true,
    client: { retries: 20 }, first: narrow(3, 500), run: turnsOf(6, 4) },
  { section: 1, name: '529, 529, 200', clients: [...sdks, 'claude'], first: () => atFirst(2, overloaded), expect: { ok: true } },
  { section: 1, name: '529, 529, 200 for who asks at 0, 0.6 and 1.2 s', clients: ['raw'], first: () => atFirst(2, overloaded), run: inTurn(3, 600), expect: { ok: true } },
  { section: 1, name: 'ten times 529, then 200', clients: ['raw'], first: () => atFirst(10, overloaded), run: inTurn(11, 50), expect: { ok: true } },
  { section: 1, name: 'ten times 500, then 200', clients: ['raw'], first: () => atFirst(10, failing), run: inTurn(11, 50), expect: { ok: true } },
  { section: 1, name: 'ten resets, then 200', clients: ['raw'], first: () => atFirst(10, faults.reset()), run: inTurn(11, 50), expect: { ok: true } },
  { section: 1, name: 'ten times 429 without a time, then 200', clients: ['raw'], first: () => atFirst(10, limited()), run: inTurn(11, 50), expect: { ok: true } },
  { section: 1, name: 'ten streams that begin with overloaded_error, then a whole one', clients: ['raw'], first: () => atFirst(10, faults.errorEvent()),
    run: inTurn(11, 50), expect: { ok: true } },
  { section: 1, name: 'ten streams that break off with overloaded_error, then a whole one', clients: ['raw'], first: () => atFirst(10, breaking('overloaded_error')),
    run: inTurn(11, 50), expect: { ok: true } },
  ...['overloaded_error', 'rate_limit_error', 'api_error'].map((type) => (
    { section: 1, name: `a stream that breaks off with ${type}`, clients: every, client: once, first: () => breaking(type), expect: { ok: false } })),
  { section: 1, name: 'the only key is refused with 401, then taken', clients: ['raw'], first: () => atFirst(2, refuses(401, 'authentication_error', 'invalid x-api-key')),
    run: inTurn(3, 50), expect: { ok: true } },
  { section: 1, name: 'the only key is refused with 403, then taken', clients: ['raw'], first: () => atFirst(2, refuses(403, 'permission_error', 'not allowed')),
    run: inTurn(3, 50), expect: { ok: true } },
  { section: 1, name: 'every 50th of 400 answers is 529', clients: ['raw'], sum: true, client: kept, first: () => everyNth(50, overloaded), run: atRate(400, 25, { stream: true }) },
  { section: 1, name: 'every 50th of 400 answers of two providers is 529', clients: ['raw'], sum: true, client: kept, first: () => everyNth(50, overloaded),
    others: (t) => behind(t, 'second', everyNth(50, overloaded, 25)), run: atRate(400, 25, { stream: true }),
    check: ({ records }) => assert.deepEqual(records.filter((record) => !record.ok), []) },
  { section: 1, name: 'one poisoned prompt gets 500 six times, then another person asks', clients: ['raw'], first: poisonable, run: poison(Array(6).fill('poison')), expect: { ok: true } },
  { section: 1, name: 'six poisoned prompts get 500, then another person asks', clients: ['raw'], first: poisonable,
    run: poison([1, 2, 3, 4, 5, 6].map((n) => `poison ${n}`)), expect: { ok: true } },
  { section: 1, name: 'one poisoned prompt gets 500 at two providers, then another person asks', clients: ['raw'], first: poisonable,
    others: (t) => behind(t, 'second', poisonable()), run: poison(Array(8).fill('poison')), expect: { ok: true, text: 'served by first' } },
  { section: 1, name: '429 with a time is repeated with the seconds that remain', clients: ['raw'],
    first: () => limited({ 'retry-after': '20', 'anthropic-ratelimit-requests-limit': '50', 'anthropic-ratelimit-requests-remaining': '0' }), run: inTurn(2, 1100),
    expect: { retryAfter: /^1[89]$/ },
    check: ({ records, first }) => {
      for (const { headers } of records) assert.equal(headers['anthropic-ratelimit-requests-limit'], '50');
      assert.equal(first.requests.length, 1);
    } },

  ...Object.entries({
    'retry-after 0': { 'retry-after': '0' }, 'retry-after-ms 200': { 'retry-after-ms': '200' },
    'the reset of a limit that was not hit': { 'anthropic-ratelimit-unified-status': 'allowed', 'anthropic-ratelimit-unified-reset': String(now + 10_800) },
  }).map(([what, headers]) => (
    { section: 1, name: `429 with ${what}, then 200 for who asks 0.3 s later`, clients: ['raw'], first: () => atFirst(1, limited(headers)), run: inTurn(2, 300), expect: { ok: true } })),
  { section: 1, name: 'a provider that takes longer to its head than failover_timeout, and a second that fails', clients: every, first: () => slowly(1500), grace: 2000,
    config: { routing: { failover_timeout: 500 } }, others: (t) => behind(t, 'second', failing), run: inTurn(2), expect: { ok: true, text: 'served by first' } },
  { section: 1, name: 'the same in a race', clients: ['raw'], first: () => slowly(1500), grace: 2000,
    config: { routing: { failover_timeout: 500, strategy: 'race' } }, others: (t) => behind(t, 'second', failing), run: inTurn(2), expect: { ok: true, text: 'served by first' } },
  { section: 1, name: 'a first that hangs, left out by now, while the second is overloaded for a moment', clients: ['raw'], first: () => faults.stall(), grace: 3000,
    direct: () => [...Array(6).fill(healthy()), overloaded], config: { routing: { failover_timeout: 300 } },
    others: (t) => behind(t, 'second', [...Array(6).fill(healthy()), overloaded]), run: different(7), expect: { status: 529 } },
  ...[[401, 'authentication_error'], [402, 'billing_error']].flatMap(([status, type]) => [
    { section: 1, name: `${status} eight times until somebody has acted, and no Ollama`, clients: ['raw'], first: () => atFirst(8, refuses(status, type, 'no')),
      others: cannotServe['an Ollama that does not run'], run: different(9), expect: { ok: true, text: 'served by first' } },
    { section: 1, name: `${status} eight times until somebody has acted, and a second that fails`, clients: ['raw'], sum: true, first: () => atFirst(8, refuses(status, type, 'no')),
      others: (t) => behind(t, 'second', failing), run: different(9), expect: { ok: true, text: 'served by first' } },
  ]),

  { section: 1, name: "a client's own key: 529, 529, 200", clients: sdks, first: () => atFirst(2, overloaded), ...passing, expect: { ok: true } },
  { section: 1, name: "a client's own key: ten times 429 without a time, then 200", clients: ['raw'], first: () => atFirst(10, limited()), run: inTurn(11, 50), ...passing, expect: { ok: true } },
  { section: 1, name: "a client's own key: 401 twice, then taken", clients: ['raw'], first: () => atFirst(2, refuses(401, 'authentication_error', 'invalid x-api-key')), run: inTurn(3, 50), ...passing,
    expect: { ok: true } },
  ...Object.entries({
    '401': refuses(401, 'authentication_error', 'invalid x-api-key'), '403': refuses(403, 'permission_error', 'not allowed'), '429 with a time': limited({ 'retry-after': '600' }),
    '429 without a time': limited(), 'no credit': refuses(400, 'invalid_request_error', 'Your credit balance is too low to access the Anthropic API.'),
  }).map(([what, handler]) => (
    { section: 1, name: `${what} for one person's own key six times, then another person asks`, clients: ['raw', 'sdk1'], client: once, first: byKey(handler, healthy()), run: thenAnother(6), ...passing,
      expect: { ok: true } })),

  ...[10_800, 124_633].flatMap((seconds) => Object.entries({
    'no Ollama': cannotServe['an Ollama that does not run'],
    'an Ollama without the model': cannotServe['an Ollama without the model'],
  }).map(([what, others]) => ({
    section: 1, name: `a subscription at its limit for ${seconds} s and ${what}`, clients: ['raw', ...sdks, 'claude'], first: hitLimit(seconds), others, ...subscription,
    expect: { ok: false, message: /hit your .*limit|exceed your account's rate limit/ },
  }))),
  { section: 1, name: 'a subscription at its limit and an Ollama that lists other models', clients: ['raw', 'claude'], first: hitLimit(10_800), ...subscription,
    async others(t) {
      const list = (request, reply) => reply.json(200, { models: [{ name: 'qwen3-coder:30b', model: 'qwen3-coder:30b' }] });
      const ollama = await Upstream.start(t, 'ollama', (request, reply) => (request.target === '/api/tags' ? list : refuses(404, 'not_found_error', 'model not found'))(request, reply));
      return { ollama, providers: [{ name: 'ollama', type: 'ollama', base_url: ollama.url, keys: [{ key: 'ollama', priority: 0 }] }] };
    },
    expect: { ok: false, message: /hit your .*limit|exceed your account's rate limit/ },
    check: ({ ollama }) => assert.equal(ollama.requests.filter((request) => request.method === 'POST').length, 0) },

  { section: 1, name: 'an Ollama that maps claude-*, and a provider of Claude that names nothing', clients: ['raw'], first: () => healthy(),
    others: cannotServe['an Ollama that does not run'], expect: { ok: true, text: 'served by first' } },

  ...Object.entries(firsts).flatMap(([first, handler]) => Object.entries(cannotServe).map(([second, others]) => ({
    section: 1, name: `${first}, and behind it ${second}`, clients: first === '529' ? ['raw', 'sdk1'] : ['raw'], first: handler, others, run: inTurn(2), expect: { ok: false },
  }))),
  { section: 1, name: 'two fallbacks that cannot serve, then one that can', clients: every, first: () => overloaded, expect: { ok: true, text: 'served by third' },
    async others(t) {
      const scenes = [await cannotServe['a provider that answers 404 for the model'](t), await cannotServe['a Bedrock that does not know the model'](t)];
      const third = await Upstream.start(t, 'third');
      return { env: scenes[1].env, providers: [...scenes.flatMap((scene) => scene.providers), provider(third, { priority: 0 })] };
    } },
  { section: 1, name: 'a fallback that does not know the model is asked for it once', clients: ['raw'], first: () => overloaded,
    others: cannotServe['a provider that answers 404 for the model'], config: { server: { workers: 1 } }, run: inTurn(4), expect: { status: 529 }, check: ({ second }) => assert.equal(second.requests.length, 1) },
  ...[[401, 'authentication_error'], [403, 'permission_error']].map(([status, type]) => (
    { section: 1, name: `429 for the first key, ${status} for the second`, clients: every, client: once, entry: twoKeys, run: inTurn(2),
      first: byKey(limited({ 'retry-after': '10800' }), refuses(status, type, 'no such key')), expect: { status: 429, message: /exceed your rate limit/ } })),
  { section: 1, name: '529 is the provider: its second key is not asked', clients: ['raw'], entry: twoKeys, first: byKey(overloaded, overloaded), expect: { status: 529 },
    check: ({ first }) => assert.equal(first.requests.length, 1) },
  { section: 1, name: '429 with a time for the first key, the second key is free', clients: every, client: once, entry: twoKeys,
    first: byKey(limited({ 'retry-after': '10800' }), healthy()), expect: { ok: true } },
  { section: 1, name: 'a provider that answers 200 with an error in its stream, and a healthy one', clients: every,
    first: () => faults.errorEvent(), others: (t) => behind(t, 'second', healthy()), expect: { ok: true, text: 'served by second' } },
];
