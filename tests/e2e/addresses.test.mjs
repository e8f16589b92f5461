// SPDX-License-Identifier: Apache-2.0
// Connects to hosts with several addresses, of which the first does not answer.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import { blackhole } from './support/blackhole.mjs';
import { Relay, ask, pair, post } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';

test('a provider with a dead IPv6 address is reached by another one', async (t) => {
  const [first, second] = [await Upstream.start(t, 'first', healthy()), await Upstream.start(t, 'second', healthy())];
  if (!(await blackhole(t, first.port))) return t.skip('no IPv6 on this machine');
  const providers = pair(first, second);
  providers[0].base_url = `http://localhost:${first.port}`;
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers } });
  for (let n = 1; n <= 3; n += 1) {
    const answer = await post(relay, ask());
    assert.equal(answer.status, 200, answer.text);
    assert.equal(first.requests.length, n);
  }
  assert.equal(second.requests.length, 0);
  return undefined;
});
