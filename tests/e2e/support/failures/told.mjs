// SPDX-License-Identifier: Apache-2.0
// Section 2: what the client is told is true.
import assert from 'node:assert/strict';
import { atFirst, bedrock, every, healthy, inTurn, limited, overloaded, refuses, sdks, secret, vertex } from './common.mjs';

const once = { retries: 0 };
const bothWays = async (client) => [await client.ask({ stream: true }), await client.ask()];

const statuses = [
  [400, 'invalid_request_error'], [401, 'authentication_error'], [402, 'billing_error'], [403, 'permission_error'], [404, 'not_found_error'], [408, 'timeout_error'],
  [409, 'conflict_error'], [413, 'request_too_large'], [422, 'invalid_request_error'], [429, 'rate_limit_error'], [500, 'api_error'], [502, 'api_error'],
  [503, 'api_error'], [504, 'timeout_error'], [529, 'overloaded_error'],
];

const spent = { type: 'error', error: { type: 'rate_limit_error', message: 'Your tier has reached its spend limit.', details: { error_code: 'enforced_spend_limit_reached' } } };

const capped = (per_day) => ({
  server: { auth: { clients: [{ name: 'alice', key: secret('first'), budget_per_day: per_day }] } },
  routing: { strategy: 'budget', prices: { 'claude-*': { input: 3, output: 15 } } },
});

const safeguards = [{ type: 'dangerous_tool_use', classifier_context: {} }];
const cloudy = (kind) => async (t) => {
  const { provider: entry, env, mock } = await kind(t);
  return { providers: [entry], env, mock };
};
const guarded = async (client) => [await client.ask({ stream: true, safeguards })];

const refusing = `local relay = require 'ccrelay'
return function(exchange)
  return exchange:refuse 'Opus is not for use here. Choose another model with /model.'
end
`;

export const told = [
  ...statuses.map(([status, type]) => (
    { section: 2, name: `${status} whatever it says`, clients: every, client: once, first: () => refuses(status, type, `the words of ${status}`), run: bothWays })),
  ...[403, 413, 422].map((status) => (
    { section: 2, name: `${status} and its sentence`, clients: ['claude'], first: () => refuses(status, statuses.find(([one]) => one === status)[1], `the words of ${status}`) })),
  ...['7', '61', '10800', '124633', 'Fri, 31 Dec 2027 23:59:59 GMT', 'soon'].map((time) => (
    { section: 2, name: `429 with retry-after ${time}`, clients: every, client: once, first: () => limited({ 'retry-after': time }) })),
  { section: 2, name: '529 with retry-after 600', clients: every, client: once, first: () => refuses(529, 'overloaded_error', 'Overloaded', { 'retry-after': '600' }) },
  { section: 2, name: '429 with retry-after-ms 1500, then 200', clients: sdks, first: () => atFirst(1, limited({ 'retry-after-ms': '1500' })), expect: { ok: true } },
  { section: 2, name: '429 without a time, then 200', clients: [...sdks, 'claude'], first: () => atFirst(1, limited()), expect: { ok: true } },
  { section: 2, name: '429 without a time, for ever', clients: sdks, first: () => limited() },
  { section: 2, name: '429 with retry-after 10800 for a key of the relay', clients: ['claude'], first: () => limited({ 'retry-after': '10800' }), expect: { message: /exceed your rate limit/ } },
  { section: 2, name: '429 of a spending limit has no time', clients: ['raw'], first: () => (request, reply) => reply.json(429, spent), expect: { retryAfter: undefined } },
  ...[['false', 500], ['true', 400]].map(([advice, status]) => (
    { section: 2, name: `${status} with x-should-retry: ${advice}`, clients: [...every, ...(status === 500 ? ['claude'] : [])],
      first: () => refuses(status, 'api_error', 'as it says', { 'x-should-retry': advice }) })),
  { section: 2, name: 'every answer tells proxies to hold nothing back', clients: ['raw'], first: () => healthy(), run: bothWays,
    check({ records }) {
      for (const { headers } of records) assert.deepEqual([headers['x-accel-buffering'], headers['x-request-id']], ['no', headers['request-id']]);
      assert.match(records[0].headers['cache-control'], /no-cache, no-transform/);
    } },
  { section: 2, name: 'the quota headers of a provider', clients: ['raw'],
    first: () => refuses(400, 'invalid_request_error', 'no', { 'anthropic-ratelimit-unified-status': 'allowed', 'anthropic-organization-id': 'org-1', 'x-brand-new': 'yes' }),
    check({ records: [{ headers }] }) {
      assert.deepEqual([headers['anthropic-ratelimit-unified-status'], headers['anthropic-organization-id'], headers['x-brand-new']], ['allowed', 'org-1', 'yes']);
    } },

  { section: 2, name: 'a budget that is spent', clients: [...every, 'claude'], direct: false, client: once, first: () => healthy(), config: capped(0.00001), run: inTurn(2),
    expect: { ok: false, message: /"alice" .*budget/ },
    check({ name, records }) {
      if (name !== 'claude') assert.deepEqual([records[1].status, records[1].type, records[1].shouldRetry], [429, 'billing_error', 'false']);
    } },
  { section: 2, name: 'a policy that refuses a model', clients: [...every, 'claude'], direct: false, first: () => healthy(), policy: refusing,
    expect: { ok: false, message: /Opus is not for use here/ },
    check({ name, records: [record] }) {
      if (name !== 'claude') assert.deepEqual([record.status, record.type, record.shouldRetry, record.tries], [400, 'policy_blocked', 'false', 1]);
    } },
  { section: 2, name: 'a model that serves leaves out', clients: every, direct: false, first: () => healthy(), entry: { serves: ['claude-haiku-*'] },
    expect: { status: 400, type: 'invalid_request_error', message: /claude-test-1/ } },
  { section: 2, name: 'a model that nobody has', clients: every, first: () => refuses(404, 'not_found_error', 'model: gpt-nobody-has'), run: async (client) => [await client.ask({ model: 'gpt-nobody-has', stream: true })],
    expect: { status: 404, type: 'not_found_error', message: /gpt-nobody-has/ } },

  ...[['Bedrock', bedrock], ['Vertex', vertex]].map(([what, kind]) => (
    { section: 2, name: `safeguards, and only ${what}, which cannot`, clients: every, direct: false, others: cloudy(kind), run: guarded,
      expect: { status: 400, type: 'invalid_request_error', message: /safeguards/ } })),
  { section: 2, name: 'safeguards, and Bedrock before a provider that can', clients: every, first: () => healthy(), run: guarded,
    async others(t) {
      const scene = await cloudy(bedrock)(t);
      return { ...scene, providers: scene.providers.map((entry) => ({ ...entry, keys: [{ key: 'slot', priority: 10 }] })) };
    },
    expect: { ok: true, text: 'served by first' } },
  ...[['529', overloaded], ['429', limited({ 'retry-after': '90' })]].map(([what, handler]) => (
    { section: 2, name: `safeguards, ${what} of the provider that can, and Bedrock, which cannot`, clients: ['raw'], first: () => handler, others: cloudy(bedrock), run: guarded, expect: { ok: false } })),
];
