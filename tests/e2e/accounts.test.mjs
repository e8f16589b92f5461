// SPDX-License-Identifier: Apache-2.0
// Faults of an account whose status blames the request, and other faults whose status blames the key.
import assert from 'node:assert/strict';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { test } from './support/test.mjs';
import { Relay, ask, pair, post, provider } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';

const refusing = (status, message, type = 'invalid_request_error') => (request, reply) => reply.json(status, answers.error(type, message));
const page = (request, reply) => reply.body(403, '<!DOCTYPE html><html><title>Access denied</title></html>', { 'content-type': 'text/html; charset=UTF-8' });

const faults = {
  'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.': 'credit balance is too low',
  'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.': 'usage limits are reached',
  'This organization has been disabled.': 'organization has been disabled',
};

async function two(t, handler) {
  const first = await Upstream.start(t, 'first', handler);
  const second = await Upstream.start(t, 'second', healthy());
  return { first, second, relay: await Relay.start(t, { config: { providers: pair(first, second) } }) };
}

for (const [message, reason] of Object.entries(faults)) {
  test(`the next key serves, and the first is suspended: ${reason}`, async (t) => {
    const { first, second, relay } = await two(t, refusing(400, message));
    for (let n = 0; n < 3; n++) assert.equal((await post(relay, ask())).status, 200);
    assert.deepEqual([first.requests.length, second.requests.length], [1, 3]);
    await relay.printed(new RegExp(`"message":"key suspended".*"reason":"${reason}"`));
  });

  for (const [name, SDK] of [['0.x', SDK0], ['1.x', SDK1]]) {
    test(`with one key, SDK ${name} gets the error of Anthropic: ${reason}`, async (t) => {
      const upstream = await Upstream.start(t, 'only', refusing(400, message));
      const relay = await Relay.start(t, { config: { providers: [provider(upstream)] } });
      const told = async (baseURL) => {
        const failure = await new SDK({ apiKey: 'any', baseURL, maxRetries: 2 }).messages.create(ask()).catch((error) => error);
        return [failure.status, failure.error];
      };
      assert.deepEqual(await told(relay.url), await told(upstream.url));
    });
  }
}

test('a prompt that is too long is not tried elsewhere', async (t) => {
  const { first, second, relay } = await two(t, refusing(400, 'prompt is too long: 250000 tokens > 200000 maximum'));
  for (let n = 0; n < 3; n++) assert.equal((await post(relay, ask())).status, 400);
  assert.deepEqual([first.requests.length, second.requests.length], [3, 0]);
});

test('an HTML page of a firewall fails over to another key and suspends none', async (t) => {
  const { first, second, relay } = await two(t, page);
  for (let n = 0; n < 8; n++) assert.equal((await post(relay, ask())).status, 200);
  assert.deepEqual([first.requests.length, second.requests.length], [8, 8]);
  first.plan = [healthy()];
  assert.match((await post(relay, ask())).text, /served by first/);
});
