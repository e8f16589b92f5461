// SPDX-License-Identifier: Apache-2.0
// Every use case in examples/: its configuration has no warning, and the relay starts with it and serves a request.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from './support/test.mjs';
import { ask, post, prepared, root, run, secret } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';

const folder = path.join(root, 'examples');
const cases = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory() && entry.name !== 'grafana').map((entry) => entry.name);

/** Who asks, for what, and what the provider must get, for each use case. */
const requests = {
  subscription: { client: 'sk-ant-oat01-of-the-client', provider: 'anthropic', model: 'claude-sonnet-4-5' },
  team: { client: secret('ALICE_KEY'), provider: 'anthropic', model: 'claude-sonnet-4-5' },
  company_cloud: { client: secret('PROXY_API_KEY'), provider: 'azure', model: 'my-sonnet' },
  side_work: { client: 'none', provider: 'zai', model: 'GLM-4.7-Flash', asked: 'claude-haiku-4-5', class: 'auxiliary' },
  offline: { client: 'none', provider: 'ollama', model: 'qwen3:8b' },
  own_policy: { client: 'none', provider: 'anthropic', model: 'claude-opus-4-5', asked: 'claude-opus-4-5' },
};

const files = (name) => {
  const policy = path.join(folder, name, 'policy.lua');
  const config = path.join(folder, name, 'config.yaml');
  return { config, policy: existsSync(policy) ? [policy] : [], text: readFileSync(config, 'utf8') };
};

// A canary for each variable that the configuration names.
const environment = (text) => Object.fromEntries([...text.matchAll(/\b([A-Z][A-Z0-9_]*_(?:KEY|KEY_\d|KEY_ID))\b/g)].map(([, name]) => [name, secret(name)]));

// The configuration with its ports, and every provider on this machine: { NAME: upstream }. Elsewhere than at Anthropic a
// provider must be told that it may have clients' own credentials.
function here(text, relay, upstreams) {
  let name;
  const passing = text.includes('transparent: false') ? [] : ['    transparent: true'];
  const lines = text.split('\n').filter((line) => !/^ +base_url:/.test(line)).flatMap((line) => {
    name = /- name: (\w+)/.exec(line)?.[1] ?? name;
    const type = /^ +type: (\w+)/.exec(line)?.[1];
    return type ? [line, `    base_url: "${upstreams[name].url}"`, ...(type === 'anthropic' ? passing : [])] : [line];
  });
  const moved = lines.join('\n').replaceAll('127.0.0.1:8787', `127.0.0.1:${relay.port}`);
  return `${moved}\nadmin: {listen: "127.0.0.1:${relay.adminPort}"}\n`;
}

// Azure has the API below a path of its own.
const serve = healthy();
const wherever = (request, reply) => serve({ ...request, target: request.target.replace(/^\/anthropic/, '') }, reply);

test('each use case is tested and listed in README.md', () => {
  assert.deepEqual(cases.toSorted(), Object.keys(requests).toSorted());
  const readme = readFileSync(path.join(folder, 'README.md'), 'utf8');
  for (const name of cases) assert.ok(readme.includes(`\n| [${name}](${name}/config.yaml) |`), `${name} is not listed`);
});

for (const name of cases) {
  test(`${name}: the configuration has no warning and says how to start it`, async () => {
    const { config, policy, text } = files(name);
    const { code, output } = await run(['check', ...policy, '--config', config], environment(text));
    assert.equal(code, 0, output);
    assert.doesNotMatch(output, /warning|skipped/i);
    assert.ok(text.includes(`ccrelay run ${policy.length ? `examples/${name}/policy.lua ` : ''}--config examples/${name}/config.yaml`));
  });

  test(`${name}: the relay serves a request`, async (t) => {
    const { policy, text } = files(name);
    const want = requests[name];
    const upstreams = {};
    for (const [, provider] of text.matchAll(/- name: (\w+)/g)) upstreams[provider] = await Upstream.start(t, provider, wherever);
    const relay = await prepared(t);
    writeFileSync(relay.configPath, here(text, relay, upstreams), { mode: 0o600 });
    relay.spawn(['run', ...policy, '--config', relay.configPath], environment(text));
    t.after(() => relay.stop());
    await relay.ready();
    const hint = want.class && { 'x-claude-code-request-class': want.class };
    const answer = await post(relay, ask({ model: want.asked ?? 'claude-sonnet-4-5' }), { headers: { authorization: `Bearer ${want.client}`, ...hint } });
    assert.equal(answer.status, 200, `${answer.text}\n${relay.output}`);
    const sent = upstreams[want.provider].requests.filter(({ method }) => method === 'POST');
    assert.equal(sent.length, 1);
    assert.equal(JSON.parse(sent[0].body).model, want.model);
  });
}

test('the configuration in compose.yaml has no warning', async (t) => {
  const relay = await prepared(t);
  const [, content] = /^ {4}content: \|\n((?: {6}.*\n)+)/m.exec(readFileSync(path.join(root, 'compose.yaml'), 'utf8'));
  const text = content.replaceAll(/^ {6}/gm, '').replaceAll('$$', () => '$');
  writeFileSync(relay.configPath, text, { mode: 0o600 });
  const { code, output } = await run(['check', '--config', relay.configPath], environment(text));
  assert.equal(code, 0, output);
  assert.doesNotMatch(output, /warning|skipped/i);
});

test('the tests of the policy pass', async () => {
  const { code, output } = await run(['test', path.join(folder, 'own_policy/policy_test.lua')]);
  assert.equal(code, 0, output);
});
