// SPDX-License-Identifier: Apache-2.0
// ccrelay doctor finds each fault that is planted here, says where it is and what to do, and finds nothing else.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from './support/test.mjs';
import { canary, prepared, provider, run, secret } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';

const listen = (port) => `127.0.0.1:${port}`;

/** A provider that charges for every request but GET. */
const free = ({ key, headers = {} } = {}) => (request, reply) => {
  if (request.method !== 'GET') throw new Error(`the doctor sent ${request.method} ${request.target}`);
  if (key && request.headers['x-api-key'] !== key) return reply.json(401, answers.error('authentication_error', `invalid x-api-key ${request.headers['x-api-key']}`), headers);
  return reply.json(200, { data: [], has_more: false }, { date: new Date().toUTCString(), ...headers });
};

/** A healthy place: a configuration, an upstream, a home with settings of Claude Code. Faults change it. */
async function healthy(t) {
  const relay = await prepared(t);
  const upstream = await Upstream.start(t, 'alpha', free({ key: secret('alpha') }));
  const home = path.join(relay.folder, 'home');
  mkdirSync(path.join(home, '.claude'), { recursive: true });
  const place = {
    relay, upstream, args: [], env: { HOME: home, ALPHA_KEY: secret('alpha') }, mode: 0o600,
    settings: { env: { ANTHROPIC_BASE_URL: relay.url } },
    config: {
      server: { listen: listen(relay.port), workers: 1 }, admin: { listen: listen(relay.adminPort) },
      providers: [provider(upstream, { key: '${ALPHA_KEY}', transparent: false })],
    },
  };
  place.file = (name, text, mode = 0o600) => {
    const file = path.join(relay.folder, name);
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
  };
  place.examine = async () => {
    place.file('config.yaml', typeof place.config === 'string' ? place.config : JSON.stringify(place.config, null, 1), place.mode);
    writeFileSync(path.join(home, '.claude', 'settings.json'), typeof place.settings === 'string' ? place.settings : JSON.stringify(place.settings));
    const { code, output } = await run(['doctor', ...place.args, '--config', relay.configPath, '--json'], place.env);
    assert.ok(output.startsWith('{'), output);
    return { code, ...JSON.parse(output) };
  };
  return place;
}

test('doctor finds nothing on a healthy relay, running or not', async (t) => {
  const place = await healthy(t);
  const before = await place.examine();
  assert.deepEqual([before.code, before.healthy, before.findings], [0, true, []]);
  place.relay.spawn(['run', '--config', place.relay.configPath], place.env);
  t.after(() => place.relay.stop());
  await place.relay.ready();
  assert.deepEqual((await place.examine()).findings, []);
  const { code, output } = await run(['doctor', '--config', place.relay.configPath], place.env);
  assert.deepEqual([code, /no findings\n$/.test(output)], [0, true], output);
});

/** [what is planted, how, the check that finds it, where, what, cure] */
const faults = [
  ['a configuration that others may write to', (place) => { place.mode = 0o602; },
    'permissions', /config\.yaml$/, /everybody may write to it/, /chmod o-w/],
  ['a key written out in a file that everybody can read', (place) => { place.mode = 0o644; place.config.providers[0].keys[0].key = secret('alpha'); },
    'configuration', /keys\[0\]\.key/, /a secret in a file that everybody can read/, /chmod o-r/],
  ['a mistyped key of the configuration', (place) => { place.config.routing = { strategi: 'failover' }; },
    'configuration', /config\.yaml:\d+: routing/, /there is no such key/, /"strategy"/],
  ['an unset variable', (place) => { place.config.providers[0].keys.push({ key: '${NOWHERE_SET}' }); },
    'configuration', /keys\[1\]/, /NOWHERE_SET is not set/, /set NOWHERE_SET where the relay starts/],
  ['a base_url that ends with /v1', (place) => { place.config.providers[0].base_url += '/v1'; place.args = ['--offline']; },
    'configuration', /base_url/, /\/v1\/v1\/messages/, /remove "\/v1"/],
  ['a base_url that is the relay itself', (place) => { place.config.providers[0].base_url = place.relay.url; },
    'configuration', /base_url/, /the address of this relay itself/, /the address of the provider/],
  ['a region that does not exist', (place) => {
    place.config.providers.push({ name: 'bedrock', type: 'bedrock', aws_region: 'us-esat1', aws_access_key_id: 'AKIDEXAMPLE', aws_secret_access_key: `x${canary}` });
  }, 'configuration', /bedrock/, /us-esat1/, /region/],
  ['a policy with a fault', (place) => { place.args = [place.file('policy.lua', 'return function(exchange)\n  return exchange:first(\nend\n')]; },
    'configuration', /policy\.lua:3/, /unexpected symbol/, /correct the script/],
  ['a port that another program has', async (place, t) => {
    const server = net.createServer().listen(place.relay.port, '127.0.0.1');
    t.after(() => server.close());
    await new Promise((done) => server.once('listening', done));
  }, 'addresses', /server\.listen 127\.0\.0\.1:\d+/, /in use/, /another port/],
  ['settings of Claude Code for another address', (place) => { place.settings.env.ANTHROPIC_BASE_URL = 'http://127.0.0.1:1'; },
    'claude_code', /settings\.json: ANTHROPIC_BASE_URL/, /not the address of this relay/, /config cc init/],
  ['settings of Claude Code that are no JSON', (place) => { place.settings = '{"env": {,}'; },
    'claude_code', /settings\.json/, /not valid JSON/, /correct it/],
  ['Claude Code set to a cloud', (place) => { place.settings.env.CLAUDE_CODE_USE_BEDROCK = '1'; },
    'claude_code', /CLAUDE_CODE_USE_BEDROCK/, /directly and not the relay/, /remove CLAUDE_CODE_USE_BEDROCK/],
  ['a key of Claude Code that the relay does not know', (place) => {
    place.config.server.auth = { api_key: '${OWN_KEY}' };
    place.env.OWN_KEY = secret('own');
    place.env.ANTHROPIC_AUTH_TOKEN = secret('other');
  }, 'claude_code', /environment: ANTHROPIC_AUTH_TOKEN/, /does not accept this key/, /config cc init/],
];

for (const [name, plant, check, where, what, cure] of faults) {
  test(`doctor finds ${name}`, async (t) => {
    const place = await healthy(t);
    await plant(place, t);
    const { code, findings } = await place.examine();
    assert.equal(code, 1);
    assert.equal(findings.length, 1, JSON.stringify(findings, null, 1));
    const [found] = findings;
    assert.equal(found.check, check, JSON.stringify(found));
    assert.match(found.where, where);
    assert.match(found.what, what);
    assert.match(found.cure, cure);
  });
}
