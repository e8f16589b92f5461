// SPDX-License-Identifier: Apache-2.0
// ccrelay doctor finds each fault that is planted here, says where it is and what to do, and finds nothing else.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { test } from './support/test.mjs';
import { ask, binary, canary, freePort, post, prepared, provider, root, run, secret, until } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';
import { bedrock, clouds, environment, vertex } from './support/clouds.mjs';
import * as answers from './support/answers.mjs';

const certificates = mkdtempSync(path.join(tmpdir(), 'ccrelay-doctor-'));
before(() => execFileSync('sh', [path.join(root, 'tests/data/tls/make.sh'), certificates]));
after(() => rmSync(certificates, { recursive: true, force: true }));
const certificate = (name) => path.join(certificates, name);

const listen = (port) => `127.0.0.1:${port}`;

/** A provider that takes GET only, and refuses other keys in words that repeat them. */
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
  place.save = () => { // a running relay reloads a file that has changed
    const text = JSON.stringify(place.config, null, 1);
    if (text !== place.saved) place.file('config.yaml', text);
    place.saved = text;
    chmodSync(relay.configPath, place.mode);
  };
  place.start = async (t, args = [], wrap = []) => {
    place.save();
    relay.spawn(['run', ...args, '--config', relay.configPath], place.env, wrap);
    t.after(() => relay.stop());
    await relay.ready();
  };
  place.examine = async () => {
    place.save();
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
  await place.start(t);
  assert.deepEqual((await place.examine()).findings, []);
  const { code, output } = await run(['doctor', '--config', place.relay.configPath], place.env);
  assert.deepEqual([code, /no findings\n$/.test(output)], [0, true], output);
});

/** The provider of the place speaks TLS with a certificate of tests/data/tls/make.sh. */
async function overTls(place, t, name, ca = 'root') {
  const server = https.createServer({ cert: readFileSync(certificate(`${name}.pem`)), key: readFileSync(certificate(`${name}.key`)) },
    (request, reply) => { reply.setHeader('content-type', 'application/json'); reply.end('{"data":[]}'); });
  server.on('tlsClientError', () => {});
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => { server.closeAllConnections(); server.close(); });
  Object.assign(place.config.providers[0], { base_url: `https://127.0.0.1:${server.address().port}`, ...(ca && { ca_file: certificate(`${ca}.pem`) }) });
}

/** The provider of the place answers so. */
const answering = (place, handler) => { place.upstream.plan = [handler]; };

/** A port that leads to another one. */
async function forward(t, port) {
  const server = net.createServer((from) => {
    const to = net.connect(port, '127.0.0.1');
    for (const [one, other] of [[from, to], [to, from]]) { one.on('error', () => other.destroy()); one.pipe(other); }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => server.close());
  return server.address().port;
}

/** The place has a policy of its own. */
const policy = (place, text) => { place.args = [place.file('policy.lua', `local relay = require 'ccrelay'\nreturn function(exchange)\n${text}\nend\n`)]; };
const serve = 'return exchange:first(relay.upstreams(exchange))';

/** The place has adapters of its own. */
function adapter(place, name, text) {
  const own = path.join(place.relay.folder, 'root');
  mkdirSync(own);
  for (const folder of ['lua', 'policies']) symlinkSync(path.join(root, folder), path.join(own, folder));
  cpSync(path.join(root, 'providers'), path.join(own, 'providers'), { recursive: true });
  writeFileSync(path.join(own, 'providers', `${name}.lua`), text);
  place.env.CCRELAY_ROOT = own;
}

test('the second relay asks no provider, also none that a policy declares, and writes no file', async (t) => {
  const place = await healthy(t);
  policy(place, serve);
  place.env.STATE_DIRECTORY = path.join(place.relay.folder, 'state');
  mkdirSync(place.env.STATE_DIRECTORY);
  place.file('policy.lua', `local relay = require 'ccrelay'
    relay.provider { name = 'declared', type = 'anthropic', base_url = '${place.upstream.url}', transparent = false, keys = { { key = '${secret('alpha')}' } } }
    return function(exchange) ${serve} end`);
  const { code, findings, checks } = await place.examine();
  assert.deepEqual([code, findings], [0, []]);
  assert.equal(checks.find(({ name }) => name === 'contract').skipped, undefined);
  assert.deepEqual(readdirSync(place.env.STATE_DIRECTORY), []);
  assert.deepEqual(place.upstream.requests.map(({ method, target }) => `${method} ${target}`), ['GET /v1/models?limit=1']);
});

test('doctor --offline asks nobody, and skips the checks that would', async (t) => {
  const place = await healthy(t);
  place.args = ['--offline'];
  const { findings, checks } = await place.examine();
  assert.deepEqual(findings, []);
  assert.equal(place.upstream.connections, 0);
  assert.deepEqual(checks.filter(({ skipped }) => skipped).map(({ name }) => name), ['reachability', 'keys', 'clock', 'loop']);
});

test('doctor leaves no process', async (t) => {
  const place = await healthy(t);
  place.save();
  const child = spawn(binary, ['doctor', '--offline', '--config', place.relay.configPath], { detached: true, stdio: 'ignore',
    env: { PATH: process.env.PATH, CCRELAY_ROOT: root, ...place.env } });
  const [code] = await once(child, 'exit');
  const groups = () => execFileSync('ps', ['-eo', 'pgid='], { encoding: 'utf8' }).split('\n').map(Number);
  assert.deepEqual([code, await until(() => !groups().includes(child.pid))], [0, true]);
});

test('doctor tells of wrong use', async () => {
  const { code, output } = await run(['doctor', '--ofline']);
  assert.deepEqual([code, /did you mean --offline/.test(output)], [64, true], output);
});

test('doctor finds nothing on a healthy relay with clouds, TLS and clients, of which Claude Code is one', async (t) => {
  const place = await healthy(t);
  const scenes = await Promise.all(Object.values(clouds).map((start) => start(t)));
  place.config.providers.push(...scenes.map((scene) => scene.provider));
  Object.assign(place.env, environment(scenes), { ALICE_KEY: secret('alice'), ANTHROPIC_AUTH_TOKEN: secret('alice'), SSL_CERT_FILE: certificate('root.pem') });
  place.config.server.auth = { clients: [{ name: 'alice', key: '${ALICE_KEY}', rpm_limit: 1, budget_per_week: 0.000001 }, { name: 'bob', key: secret('bob') }] };
  place.config.routing = { strategy: 'budget', prices: { '*': { input: 5, output: 5 } } };
  place.config.server.tls = { cert: place.file('own.pem', readFileSync(certificate('address.pem'))), key: place.file('own.key', readFileSync(certificate('address.key'))) };
  place.settings.env.ANTHROPIC_BASE_URL = place.relay.url.replace('http:', 'https:');
  const { findings, checks } = await place.examine();
  assert.deepEqual(findings, []);
  assert.deepEqual(checks.filter(({ skipped }) => skipped), []);
  const [aws, google, azure] = scenes.map(({ mock }) => mock.counts);
  assert.deepEqual([aws, google, azure], [{ 'count-tokens': 1 }, { 'count-tokens': 1 }, { count_tokens: 1 }]);
});

test('doctor finds nothing on a relay whose sockets the service manager has passed', async (t) => {
  const place = await healthy(t);
  const port = await freePort();
  place.save();
  place.relay.port = port;
  await place.start(t, [], ['perl', path.join(root, 'tests/e2e/support/activation.pl'), '1', `ccrelay.socket,127.0.0.1,${port}`, '--']);
  place.settings.env.ANTHROPIC_BASE_URL = place.relay.url;
  assert.deepEqual((await place.examine()).findings, []);
});

/** [what is planted, how, the check that finds it, where, what, cure, how many findings] */
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
  ['a key that the provider refuses', (place) => { place.env.ALPHA_KEY = secret('old'); },
    'keys', /providers\.alpha\/1/, /does not accept the key \(401\)/, /replace the key/],
  ['a provider that nobody listens for', async (place) => { place.config.providers[0].base_url = `http://127.0.0.1:${await freePort()}`; },
    'reachability', /providers\.alpha/, /cannot be reached: .*refused/, /start the server at 127\.0\.0\.1:\d+, or correct base_url/],
  ['a provider whose name does not exist', (place) => { place.config.providers[0].base_url = 'https://nobody.invalid'; },
    'reachability', /nobody\.invalid/, /could not be resolved/, /correct base_url or the region, or the DNS/],
  ['a provider with an error', (place) => answering(place, (request, reply) => reply.json(503, answers.error('api_error', 'down'))),
    'reachability', /providers\.alpha/, /it answers 503/, /status page/],
  ['a provider that redirects', (place) => answering(place, (request, reply) => reply.body(301, '', { location: 'https://elsewhere.example/' })),
    'reachability', /providers\.alpha/, /301, a redirect/, /base_url/],
  ['a base_url with a wrong path', (place) => answering(place, (request, reply) => reply.json(404, {})),
    'reachability', /providers\.alpha/, /answers 404/, /correct base_url/],
  ['a certificate of an unknown CA', (place, t) => overTls(place, t, 'address', null),
    'reachability', /providers\.alpha/, /not signed by a trusted CA/, /ca_file/],
  ['an expired certificate', (place, t) => overTls(place, t, 'expiredaddress'),
    'reachability', /providers\.alpha/, /certificate has expired/, /renewed, or set the clock/],
  ['a certificate for another name', (place, t) => overTls(place, t, 'otheraddress'),
    'reachability', /providers\.alpha/, /another name/, /base_url/],
  ['a certificate that expires soon', (place, t) => overTls(place, t, 'soon'),
    'certificates', /providers\.alpha/, /expires in 3 days/, /renewed/],
  ['a clock that is off', (place) => answering(place, free({ headers: { date: new Date(Date.now() + 3_600_000).toUTCString() } })),
    'clock', /this machine/, /3(59\d|600) s behind the clock of alpha/, /synchronize it/],
  ['a proxy that is not there', async (place) => {
    place.config.providers[0].base_url = 'https://provider.example';
    place.env.HTTPS_PROXY = `http://127.0.0.1:${await freePort()}`;
  }, 'reachability', /provider\.example/, /by way of the proxy 127\.0\.0\.1/, /correct HTTPS_PROXY/],
  ['a proxy of a kind that is not supported', (place) => {
    place.config.providers[0].base_url = 'https://provider.example';
    place.env.HTTPS_PROXY = 'socks5://127.0.0.1:1080';
  }, 'configuration', /providers\.alpha/, /only http proxies/, /HTTP proxy/],
  ['a region that the credentials are not for', async (place, t) => {
    const cloud = await bedrock(t);
    place.config.providers.push({ ...cloud.provider, aws_region: 'eu-west-1' });
    Object.assign(place.env, cloud.env);
  }, 'keys', /providers\.bedrock/, /another region than aws_region/, /correct aws_region/],
  ['a clock that AWS refuses', async (place, t) => {
    const cloud = await bedrock(t);
    cloud.mock.skew = 600_000;
    place.config.providers.push(cloud.provider);
    Object.assign(place.env, cloud.env);
  }, 'clock', /this machine/, /behind the clock of bedrock/, /synchronize/],
  ['a project of Google Cloud that may not be used', async (place, t) => {
    const cloud = await vertex(t);
    place.config.providers.push({ ...cloud.provider, gcp_project_id: 'not-this-one' });
    Object.assign(place.env, cloud.env);
  }, 'keys', /providers\.vertex/, /403/, /gcp_project_id/],
  ['a private key that everybody can read', (place) => {
    const [cert, key] = [certificate('address.pem'), place.file('own.key', readFileSync(certificate('address.key')), 0o644)];
    place.config.server.tls = { cert, key };
    place.settings = '';
  }, 'permissions', /own\.key/, /every user can read the private key/, /chmod o-r/],
  ['a provider that leads back to the relay', async (place, t) => {
    place.config.providers[0].base_url = `http://127.0.0.1:${await forward(t, place.relay.port)}`;
    await place.start(t);
  }, 'loop', /providers\.alpha/, /leads back to this relay/, /the provider itself/],
  ['a key that the running relay has suspended', async (place, t) => {
    answering(place, (request, reply) => request.method === 'POST' ? reply.json(401, answers.error('authentication_error', 'invalid x-api-key')) : free()(request, reply));
    await place.start(t);
    await post(place.relay, ask());
  }, 'running', /running relay: alpha\/1/, /the key is suspended \(unauthorized/, /replace the key/],
  ['a listener that the running relay does not have', async (place, t) => {
    await place.start(t);
    place.config.server.listen = [listen(place.relay.port), listen(await freePort())];
  }, 'running', /running relay/, /does not listen on 127\.0\.0\.1/, /restart it/],
  ['a log in a folder that is not there', (place) => { place.config.logging = { output: '/nowhere/at/all.log' }; },
    'permissions', /logging\.output/, /its folder does not exist/, /create \/nowhere\/at/],
  ['a folder for usage that is not there', (place) => { place.config.server.state_dir = '/nowhere/at/all'; },
    'permissions', /server\.state_dir/, /does not exist/, /create/],
  ['an address of Claude Code that is none', (place) => { place.settings.env.ANTHROPIC_BASE_URL = `http://me:${canary}@127.0.0.1`; },
    'claude_code', /ANTHROPIC_BASE_URL/, /no http or https address/, /config cc init/],
  ['a reload that was refused', async (place, t) => {
    place.args = [place.file('policy.lua', 'return function(exchange) return nil end')];
    await place.start(t, place.args);
    place.file('policy.lua', 'return 1');
    await place.relay.printed(/reload/);
    place.args = [];
  }, 'running', /running relay/, /last reload was refused: .*policy\.lua/, /correct the file/],
  ['an adapter that drops the betas', (place) => adapter(place, 'anthropic', "return { defaults = { base_url = 'https://api.anthropic.com' }, "
    + "check = function() return { path = '/v1/models' } end, prepare = function(request) request:pass() request:header('anthropic-beta', '') end }"),
  'contract', /anthropic-beta arrive byte for byte/, /anthropic-beta arrived as nothing/, /adapter in providers/, 2],
  ['a policy that removes the member of a beta', (place) => policy(place, `exchange:remove('context_management') ${serve}`),
    'contract', /a beta and its member/, /beta arrives without its member context_management/, /policy\.lua/],
  ['a policy that changes the system prompt', (place) => policy(place, `exchange:rewrite('system', '[]') ${serve}`),
    'contract', /byte for byte/, /system is changed/, /policy\.lua/],
  ['a policy that removes safeguards', (place) => policy(place, `exchange:remove('safeguards') ${serve}`),
    'contract', /safeguards/, /safeguards are removed/, /policy\.lua/],
  ['a policy that words errors anew', (place) => policy(place, `local outcome = exchange:first(relay.upstreams(exchange))
    if outcome and outcome.status == 400 then return exchange:respond{ status = 400, body = { oops = true } } end return outcome`),
  'contract', /errors of the provider/, /body of an error is changed/, /policy\.lua/],
  ['a policy that shortens retry-after', (place) => policy(place, `local outcome = exchange:first(relay.upstreams(exchange))
    if outcome and outcome.status == 429 then return exchange:respond{ status = 429, headers = { ['retry-after'] = '5' }, body = {} } end return outcome`),
  'contract', /retry-after/, /retry-after 10800 arrives as 5/, /policy\.lua/],
];

for (const [name, plant, check, where, what, cure, count = 1] of faults) {
  test(`doctor finds ${name}`, async (t) => {
    const place = await healthy(t);
    await plant(place, t);
    const { code, findings } = await place.examine();
    assert.equal(code, 1);
    assert.equal(findings.length, count, JSON.stringify(findings, null, 1));
    const [found] = findings;
    assert.equal(found.check, check, JSON.stringify(found));
    assert.match(found.where, where);
    assert.match(found.what, what);
    assert.match(found.cure, cure);
  });
}
