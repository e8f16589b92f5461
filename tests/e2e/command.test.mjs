// SPDX-License-Identifier: Apache-2.0
// Where `run` finds its configuration, and what its log options do.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from './support/test.mjs';
import { Relay, ask, get, post, prepared, provider, run, secret } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

const served = async (relay) => (await post(relay, ask())).status;

test('CC_RELAY_CONFIG names the configuration, and a wrong name is an error', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const relay = await prepared(t);
  relay.configPath = path.join(relay.folder, 'elsewhere.yaml');
  relay.configure({ providers: [provider(upstream)] });
  relay.spawn(['serve'], { CC_RELAY_CONFIG: relay.configPath });
  t.after(() => relay.stop());
  await relay.ready();
  assert.equal(await served(relay), 200);
  const { code, output } = await run(['check'], { CC_RELAY_CONFIG: '/none/relay.yaml' });
  assert.equal(code, 78);
  assert.match(output, /\/none\/relay.yaml: there is no such file/);
});

test('the configuration of cc-relay is found in its folder', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const relay = await prepared(t);
  const folder = path.join(relay.folder, '.config', 'cc-relay');
  mkdirSync(folder, { recursive: true });
  relay.configPath = path.join(folder, 'config.yaml');
  relay.configure({ providers: [provider(upstream)], grpc: { listen: '127.0.0.1:9090' } });
  relay.spawn(['serve'], {});
  t.after(() => relay.stop());
  await relay.ready();
  assert.equal(await served(relay), 200);
  assert.match(relay.output, /grpc: accepted for compatibility, not used/);
  const { data } = JSON.parse((await get(`${relay.url}/v1/providers`)).text);
  assert.deepEqual([data[0].base_url, data[0].active], [upstream.url, true]);
});

test('--log-format and --debug override the configuration', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const config = { providers: [provider(upstream)], logging: { level: 'error', format: 'text' } };
  const relay = await Relay.start(t, { config, args: ['--log-format', 'json', '--debug'] });
  assert.equal(await served(relay), 200);
  await relay.printed(/"message":"request body"|"body":/);
  const lines = relay.output.split('\n').filter((line) => line && !line.startsWith('warning: ')).map((line) => JSON.parse(line));
  assert.ok(lines.some((line) => line.level === 'debug'), relay.output);
  const { code, output } = await run(['serve', '--log-format', 'xml']);
  assert.deepEqual([code, /found "xml", expected text, json or pretty/.test(output)], [64, true], output);
});

test('run accepts a configuration, or the name of a strategy, in place of a policy', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  for (const words of [(path) => [path], (path) => ['round_robin', '--config', path]]) {
    const relay = await prepared(t);
    relay.configure({ providers: [provider(upstream)] });
    relay.spawn(['run', ...words(relay.configPath)], {});
    t.after(() => relay.stop());
    await relay.ready();
    assert.equal(await served(relay), 200);
    assert.equal((await relay.status()).policy, words('').length === 1 ? 'failover' : 'round_robin');
  }
  const { code, output } = await run(['run', 'failovr']);
  assert.equal(code, 64);
  assert.match(output, /"failovr" is neither a policy .*did you mean "failover"\?/);
});

test('status needs only the variables of the section admin', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const relay = await prepared(t);
  relay.configure({ providers: [provider(upstream, { key: '${RELAY_TEST_KEY}' })], server: { auth: { api_key: '${RELAY_TEST_OWN}' } } });
  relay.spawn(['run', '--config', relay.configPath], { RELAY_TEST_KEY: secret('one'), RELAY_TEST_OWN: secret('two') });
  t.after(() => relay.stop());
  await relay.ready();
  const { code, output } = await run(['status', '--config', relay.configPath]);
  assert.equal(code, 0, output);
  assert.match(output, /provider +only \(anthropic\), circuit closed/);
  assert.doesNotMatch(output, /warning|RELAY_TEST/);
});

test('the start prints which providers are tried in order, which are not and why, and what to type', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const providers = [
    provider(upstream, { name: 'second', priority: 1 }), provider(upstream, { name: 'first', priority: 2 }),
    provider(upstream, { name: 'keyless', key: '${RELAY_TEST_UNSET}', transparent: false }),
  ];
  const relay = await Relay.start(t, { config: { providers, logging: { format: 'text' } } });
  await relay.printed(/to use it: /);
  assert.match(relay.output, /tried for claude-sonnet-4-5, in this order: first, second\n/);
  assert.match(relay.output, /not tried for claude-sonnet-4-5: keyless \(all of its keys were skipped\)\n/);
  assert.ok(relay.output.includes(`to use it: ANTHROPIC_BASE_URL=${relay.url} claude\n`), relay.output);
});

test('with what config init writes, a subscription user without a key of an API is served', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const relay = await prepared(t);
  assert.equal((await run(['config', 'init', '--output', relay.configPath])).code, 0);
  const { code, output } = await run(['check', '--config', relay.configPath]);
  assert.equal(code, 0, output);
  assert.match(output, /claude-sonnet-4-5 +anthropic \(client's credential\)\n/);
  const text = readFileSync(relay.configPath, 'utf8').replace(/listen: "127.0.0.1:8787"/, `listen: "127.0.0.1:${relay.port}"`)
    .replace(/#base_url: "https:\/\/api.anthropic.com".*/, `base_url: "${upstream.url}"`).replace(/#transparent: false.*/, 'transparent: true');
  writeFileSync(relay.configPath, `${text}\nadmin: {listen: "127.0.0.1:${relay.adminPort}"}\n`);
  relay.spawn(['run', '--config', relay.configPath], {});
  t.after(() => relay.stop());
  await relay.ready();
  const token = `Bearer sk-ant-oat01-${secret('subscription')}`;
  assert.equal((await post(relay, ask(), { headers: { authorization: token } })).status, 200);
  assert.equal(upstream.requests[0].headers.authorization, token);
  assert.notEqual((await post(relay, ask())).status, 200);
  assert.equal(upstream.requests.length, 1);
});
