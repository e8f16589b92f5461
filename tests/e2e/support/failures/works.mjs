// SPDX-License-Identifier: Apache-2.0
// Section 3: what works directly works through the relay.
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import {
  answers, atFirst, atOnce, azure, bedrock, behind, every, faults, healthy, inTurn, kept, limited, refuses, secret, sleep, vertex,
} from './common.mjs';
import { blackhole } from '../blackhole.mjs';
import { ask } from '../relay.mjs';
import { bedrockFaults } from '../cloud/bedrock.mjs';
import { Refusal } from '../cloud/base.mjs';

const once = { retries: 0 };
const bothWays = async (client) => [await client.ask({ stream: true }), await client.ask()];
const list = () => answers.events({ text: 'the whole text of it', from: 'first' });

/** A 200 with this body, whatever the request. */
const says = (body, headers = {}) => async (request, reply) => {
  await reply.head(200, { ...headers, 'transfer-encoding': 'chunked' });
  await reply.chunk(body);
  await reply.finish();
};

/** A stream of `ms` with an event every `gap` ms. */
const flowing = (ms, gap) => () => healthy({ text: 'x'.repeat(9 * Math.ceil(ms / gap)), gap });

/** A stream that is silent for `ms` after its first content. */
const silent = (ms) => () => async (request, reply) => {
  const events = list();
  await reply.streamHead();
  for (const [at, text] of events.entries()) {
    if (at === 4) await sleep(ms);
    await reply.chunk(text);
  }
  await reply.finish();
};

/** Addresses the provider by a name whose IPv6 address never answers, if there is IPv6. */
const deadIPv6 = async (t, first) => ((await blackhole(t, first.port)) ? `http://localhost:${first.port}` : undefined);

const notMessages = {
  '{"error": ...}': { error: { code: '1302', message: 'High concurrency, slow down' } },
  '{"code": 500, "success": false}': { code: 500, msg: '404 NOT_FOUND', success: false },
  '{"base_resp": ...}': { base_resp: { status_code: 1004, status_msg: 'login fail' } },
  '{}': {},
};

const accountFaults = {
  'a credit balance that is too low': 'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.',
  'a usage limit': 'You have reached your specified API usage limits. You will regain access on 2027-01-01 at 00:00 UTC.',
  'a disabled organization': 'This organization has been disabled.',
};
const tooLong = refuses(400, 'invalid_request_error', 'prompt is too long: 212345 tokens > 200000 maximum');
const twoKeys = { keys: [{ key: secret('first'), priority: 9 }, { key: secret('spare'), priority: 8 }] };
const keyFails = (handler) => () => {
  const good = healthy();
  return (request, reply) => (request.headers['x-api-key'] === secret('spare') ? good : handler)(request, reply);
};

/** Refuses a request unless these betas came, each once and in this order. */
const needsBetas = (...wanted) => () => {
  const good = healthy();
  return (request, reply) => {
    const given = request.fields.filter(([name]) => name.toLowerCase() === 'anthropic-beta').flatMap(([, value]) => value.split(',').map((one) => one.trim()));
    const same = given.length === wanted.length && wanted.every((beta, at) => beta === given[at]);
    return (same ? good : refuses(400, 'invalid_request_error', `betas are ${given}`))(request, reply);
  };
};
const oat = secret('first').replace('api03', 'oat01');
const needsOauth = (...betas) => () => {
  const good = needsBetas(...betas)();
  return (request, reply) => (request.headers.authorization === `Bearer ${oat}` ? good : refuses(401, 'authentication_error', 'OAuth authentication is required'))(request, reply);
};

/** Accepts bodies in the encodings of the API. */
const decoding = () => {
  const good = healthy();
  const decoders = { gzip: zlib.gunzipSync, deflate: zlib.inflateSync, br: zlib.brotliDecompressSync };
  return (request, reply) => {
    const decode = decoders[request.headers['content-encoding']];
    return good(decode ? { ...request, body: decode(request.body) } : request, reply);
  };
};
const encoded = (name, encode) => async (client) => [await client.ask({ stream: true, bytes: encode(Buffer.from(JSON.stringify(ask({ stream: true })))), headers: { 'content-encoding': name } })];

const stalling = (status, type) => () => async (request, reply) => {
  await reply.head(status, { 'content-type': 'application/json', 'content-length': 1000 });
  await reply.write(`{"type":"error","error":{"type":"${type}"`);
  await reply.stall();
};

const cloudy = (kind, fault) => async (t) => {
  const { provider: entry, env, mock } = await kind(t);
  if (fault) mock.fault(fault, { times: 99 });
  return { providers: [entry], env, mock };
};
const largeEvent = answers.event('content_block_delta', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'y'.repeat(20 << 20) } });
const betaMembers = {
  stream: true, speed: 'fast', mcp_servers: [{ type: 'url', url: 'https://mcp.example/sse', name: 'm' }], container: 'container_1', fallbacks: [{ model: 'claude-haiku-4-5' }],
  output_config: { effort: 'low', task_budget: { type: 'tokens', total: 64000 } }, tags: ['a'], cache_control: { type: 'ephemeral' }, context_management: { edits: [] },
  system: [{ type: 'text', text: 'You are brief.', cache_control: { type: 'ephemeral', scope: 'global' } }],
  headers: { 'anthropic-beta': 'fast-mode-2026-02-01,mcp-client-2025-11-20,code-execution-2025-08-25,server-side-fallback-2026-06-01,task-budgets-2026-03-13,'
    + 'prompt-caching-scope-2026-01-05,context-management-2025-06-27,request-tags-2026-08-01' },
};
const counting = (more) => async (client) => [await client.count(more)];
const counted = {
  tools: [], tags: ['a'], system: 'You are brief.', headers: { 'anthropic-beta': 'token-counting-2024-11-01,tool-search-tool-2025-10-19,web-search-2025-03-05' },
};

export const works = [
  ...['application/json', 'text/plain; charset=utf-8', 'application/octet-stream', undefined].map((label) => (
    { section: 3, name: `a stream labelled ${label ?? 'with nothing'}`, clients: [...every, ...(label?.startsWith('text/plain') ? ['claude'] : [])],
      first: () => says(list().join(''), label ? { 'content-type': label } : {}), expect: { ok: true } })),
  { section: 3, name: 'a last event without its blank line', clients: [...every, 'claude'], first: () => says(list().join('').slice(0, -1), { 'content-type': 'text/event-stream' }), expect: { ok: true } },
  { section: 3, name: 'a last event without a line end', clients: every, first: () => says(list().join('').slice(0, -2), { 'content-type': 'text/event-stream' }), expect: { ok: true } },
  { section: 3, name: 'a last event that is cut inside its JSON', clients: every, client: once,
    first: () => says(list().join('').slice(0, -4), { 'content-type': 'text/event-stream' }), expect: { ok: false } },
  { section: 3, name: 'a stream of data lines only', clients: every, first: () => says(list().join('').replace(/^event: .*\n/gm, ''), { 'content-type': 'text/event-stream' }), expect: { ok: true } },
  { section: 3, name: 'an event of 20 MiB', clients: ['raw', 'sdk1'], alone: true, first: () => says([...list().slice(0, 4), largeEvent, ...list().slice(4)].join(''), { 'content-type': 'text/event-stream' }),
    expect: { ok: true } },
  ...['reset', 'close', 'clean'].map((how) => (
    { section: 3, name: `a stream that ends in its middle (${how})`, clients: every, client: once, first: () => faults.cut(5, how), expect: { ok: false } })),
  { section: 3, name: 'a stream that dies in its middle, then a whole one', clients: ['claude'], first: () => atFirst(1, faults.cut(5, 'reset', { text: 'a text that is never finished' })), expect: { ok: true } },
  ...Object.entries(notMessages).flatMap(([what, body]) => [
    { section: 3, name: `a success of ${what}`, clients: every, client: once, first: () => says(JSON.stringify(body), { 'content-type': 'application/json' }), run: bothWays,
      expect: { ok: false, status: 502, type: 'api_error', message: /./ } },
    { section: 3, name: `a success of ${what}, and a healthy provider`, clients: ['raw'], first: () => says(JSON.stringify(body), { 'content-type': 'application/json' }), run: bothWays,
      others: (t) => behind(t, 'second', healthy()), expect: { ok: true, text: 'served by second' } },
  ]),
  { section: 3, name: 'a success of {"error": ...}, then a message', clients: ['claude'], first: () => atFirst(1, says(JSON.stringify(notMessages['{"error": ...}']), { 'content-type': 'application/json' })) },
  { section: 3, name: 'a Bedrock chunk without type', clients: every, direct: false, others: cloudy(bedrock, bedrockFaults.typeless()), expect: { ok: true } },

  { section: 3, name: 'a host whose IPv6 address is dead', clients: every, first: () => healthy(), reach: deadIPv6, run: inTurn(3), expect: { ok: true } },
  { section: 3, name: 'a host whose IPv6 address is dead, and a second provider', clients: ['raw'], first: () => healthy(), reach: deadIPv6, run: inTurn(3),
    others: (t) => behind(t, 'second', healthy()), expect: { ok: true, text: 'served by first' } },
  { section: 3, name: 'a stream that flows longer than server.timeout_ms', clients: [...every, 'claude'], first: flowing(4000, 100), config: { server: { timeout_ms: 1500 } }, expect: { ok: true } },
  { section: 3, name: 'a stream that is silent for longer than server.timeout_ms', clients: every, first: silent(2500), config: { server: { timeout_ms: 1500 } }, expect: { ok: true } },

  ...Object.entries(accountFaults).flatMap(([what, words]) => [
    { section: 3, name: `${what}, told as 400, and a second key`, clients: every, entry: twoKeys, first: keyFails(refuses(400, 'invalid_request_error', words)), expect: { ok: true },
      run: inTurn(2), check: ({ first }) => assert.equal(first.requests.length, 3) },
    { section: 3, name: `${what}, told as 400`, clients: ['raw', 'sdk1', ...(what.includes('credit') ? ['claude'] : [])], first: () => refuses(400, 'invalid_request_error', words), run: inTurn(2) },
  ]),
  { section: 3, name: 'a prompt that is too long, and a second provider', clients: [...every, 'claude'], first: () => tooLong, others: (t) => behind(t, 'second', healthy()),
    expect: { ok: false, message: /too long/ }, check: ({ second }) => assert.equal(second.requests.length, 0) },
  { section: 3, name: 'a 403 that is a page of a firewall', clients: every, client: once, first: () => faults.html(403) },
  { section: 3, name: 'a 403 that is a page of a firewall, as a sentence', clients: ['claude'], first: () => faults.html(403), expect: { message: /^Failed to authenticate\. API Error: 403 \w/ } },
  { section: 3, name: 'a 403 that is a page of a firewall, then an answer of the same key', clients: every, first: () => atFirst(1, faults.html(403)), run: inTurn(2), expect: { ok: true } },
  { section: 3, name: 'a 403 that is a page of a firewall, and a second provider', clients: ['raw'], first: () => atFirst(1, faults.html(403)), others: (t) => behind(t, 'second', healthy()), run: inTurn(2),
    expect: { ok: true, text: 'served by first' } },

  { section: 3, name: 'several lines of anthropic-beta', clients: ['raw'], first: needsBetas('one-2026-01-01', 'two-2026-01-01', 'three-2026-01-01'), expect: { ok: true },
    run: async (client) => [await client.ask({ stream: true, headers: { 'anthropic-beta': ['one-2026-01-01', 'two-2026-01-01, three-2026-01-01'] } })] },
  { section: 3, name: 'a subscription key of the configuration, its beta sent by the client', clients: ['raw'], client: { key: oat }, entry: { keys: [{ key: oat }] },
    first: needsOauth('one-2026-01-01', 'oauth-2025-04-20', 'two-2026-01-01'), expect: { ok: true },
    run: async (client) => [await client.ask({ stream: true, headers: { 'anthropic-beta': 'one-2026-01-01,oauth-2025-04-20,two-2026-01-01' } })] },
  { section: 3, name: 'a subscription key of the configuration, its beta not sent by the client', clients: every, direct: false, entry: { keys: [{ key: oat }] },
    first: needsOauth('oauth-2025-04-20'), expect: { ok: true } },
  { section: 3, name: 'a subscription key of the configuration and other betas', clients: ['raw'], direct: false, entry: { keys: [{ key: oat }] },
    first: needsOauth('one-2026-01-01', 'oauth-2025-04-20'), expect: { ok: true }, run: async (client) => [await client.ask({ stream: true, headers: { 'anthropic-beta': 'one-2026-01-01' } })] },
  ...[['Bedrock', bedrock], ['Vertex', vertex]].flatMap(([what, kind]) => [
    { section: 3, name: `betas and their members for ${what}`, clients: ['raw'], direct: false, others: cloudy(kind), expect: { ok: true }, run: async (client) => [await client.ask(betaMembers)] },
    { section: 3, name: `count_tokens at ${what}`, clients: ['raw'], direct: false, others: cloudy(kind), expect: { ok: true }, run: counting(counted) },
  ]),
  { section: 3, name: 'count_tokens at Azure', clients: ['raw'], direct: false, others: cloudy(azure), expect: { ok: true }, run: counting({ system: 'You are brief.' }) },
  { section: 3, name: 'a count_tokens that Vertex refuses', clients: ['raw'], direct: false, expect: { ok: true }, run: counting({}),
    others: cloudy(vertex, () => { throw new Refusal(400, 'invalid_request_error', 'count-tokens is not supported for this model'); }) },
  { section: 3, name: 'the size refusal of Vertex', clients: every, direct: false, expect: { status: 400, message: 'Input is too long.' },
    others: cloudy(vertex, () => { throw new Refusal(400, 'INVALID_ARGUMENT', 'The request message size 35651584 exceeds the limit of 30MB.', { google: true }); }) },

  ...[['gzip', zlib.gzipSync], ['deflate', zlib.deflateSync], ['br', zlib.brotliCompressSync]].map(([name, encode]) => (
    { section: 3, name: `a request body in ${name}`, clients: ['raw'], first: decoding, run: encoded(name, encode), expect: { ok: true } })),
  { section: 3, name: 'a request body in an encoding that nobody knows', clients: ['raw'], direct: false, first: decoding, run: encoded('compress', (bytes) => bytes), expect: { status: 415 },
    check: ({ records: [{ body }] }) => assert.doesNotMatch(JSON.parse(body).request_id ?? '', /^req_/) },

  ...[[529, 'overloaded_error'], [500, 'api_error'], [429, 'rate_limit_error'], [401, 'authentication_error']].map(([status, type]) => (
    { section: 3, name: `a head of ${status} whose body stalls, and a healthy provider`, clients: every, direct: () => healthy(), ...(status === 401 ? { grace: 2000 } : {}), first: stalling(status, type),
      others: (t) => behind(t, 'second', healthy()), expect: { ok: true, text: 'served by second' } })),

  { section: 3, name: '40 first requests of a model at once, and a limit of tokens that is far away', clients: ['raw'], sum: true, client: kept, first: () => healthy(), run: atOnce(40),
    entry: { keys: [{ key: secret('first'), tpm_limit: 100_000_000 }] } },
  { section: 3, name: 'a queue that cannot serve in time', clients: ['raw'], direct: () => [healthy(), limited({ 'retry-after': '60' })], first: () => healthy(), run: inTurn(2),
    entry: { keys: [{ key: secret('first'), rpm_limit: 1 }] }, config: { routing: { queue_ms: 8000 } },
    expect: { status: 429, type: 'rate_limit_error', message: /limit/, retryAfter: /^(5\d|60)$/ } },
  { section: 3, name: '300 streams at once and 256 descriptors', clients: ['raw'], sum: true, alone: true, client: kept, wrap: ['prlimit', '--nofile=256:4096'],
    first: () => healthy({ text: 'x'.repeat(90), gap: 100 }), run: atOnce(300) },
  { section: 3, name: '100 streams at once and 128 descriptors at most', clients: ['raw'], alone: true, direct: false, client: kept, wrap: ['prlimit', '--nofile=128:128'],
    first: () => healthy({ text: 'x'.repeat(90), gap: 100 }), run: atOnce(100),
    check: ({ records }) => assert.ok(records.filter((record) => record.ok).length >= 40, `${records.filter((record) => record.ok).length} of 100`) },
];
