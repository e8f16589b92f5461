// SPDX-License-Identifier: Apache-2.0
// Setting up: the settings of Claude Code, a first configuration, completion and the manual page.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from './support/test.mjs';
import { run, secret } from './support/relay.mjs';

/** A folder with a configuration and, in `claude`, the settings of Claude Code. */
function place(t, server, settings) {
  const folder = mkdtempSync(path.join(tmpdir(), "ccrelay-setup it's-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const here = { folder, config: path.join(folder, 'config.yaml'), settings: path.join(folder, 'claude', 'settings.json') };
  writeFileSync(here.config, JSON.stringify({ server, providers: [{ name: 'one', type: 'anthropic' }] }), { mode: 0o600 });
  mkdirSync(path.dirname(here.settings));
  if (settings) writeFileSync(here.settings, settings);
  here.read = () => JSON.parse(readFileSync(here.settings, 'utf8'));
  here.cc = (args, env = {}) => run(['config', 'cc', ...args], { CLAUDE_CONFIG_DIR: path.dirname(here.settings), ...env });
  return here;
}

test('config cc init writes the address, and remove restores the file', async (t) => {
  const text = '{"model":"opus", "env":{"A":"1"}}';
  const here = place(t, { listen: ['unix:/tmp/x.sock', '0.0.0.0:9123'], auth: { api_key: 'k', allow_subscription: true } }, text);
  const { code, output } = await here.cc(['init', '--config', here.config]);
  assert.equal(code, 0, output);
  assert.deepEqual(here.read(), { model: 'opus', env: { A: '1', ANTHROPIC_BASE_URL: 'http://127.0.0.1:9123' } });
  assert.equal((await here.cc(['remove'])).code, 0);
  assert.equal(readFileSync(here.settings, 'utf8'), text);
  assert.match((await here.cc(['remove'])).output, /nothing to remove/);
});

test('config cc init names a command for the key, never the key', async (t) => {
  const here = place(t, { auth: { api_key: '${RELAY_TEST_OWN}', clients: [{ name: 'alice', key: 'key-of-alice' }] } });
  const env = { RELAY_TEST_OWN: 'key-of-all' };
  const init = await here.cc(['init', '--config', here.config], { ...env, ANTHROPIC_API_KEY: 'other' });
  assert.equal(init.code, 0, init.output);
  assert.match(init.output, /ANTHROPIC_API_KEY is set in this environment/);
  writeFileSync(here.settings, '{"env":{"ANTHROPIC_AUTH_TOKEN":"other"}}');
  const { output: warned } = await here.cc(['init', '--config', here.config], env);
  assert.match(warned, /ANTHROPIC_AUTH_TOKEN is set in .*settings\.json; Claude Code uses it/);
  rmSync(here.settings);
  for (const [more, key] of [[[], 'key-of-all'], [['--client', 'alice'], 'key-of-alice']]) {
    const { code, output } = await here.cc(['init', '--config', here.config, '--url', 'https://relay.example/', ...more], env);
    assert.equal(code, 0, output);
    const { env: { ANTHROPIC_BASE_URL }, apiKeyHelper } = here.read();
    assert.equal(ANTHROPIC_BASE_URL, 'https://relay.example');
    const printed = execFileSync('/bin/sh', ['-c', apiKeyHelper], { env: { PATH: process.env.PATH, ...env }, cwd: '/', encoding: 'utf8' });
    assert.equal(printed, `${key}\n`);
    for (const name of ['', '.ccrelay']) assert.doesNotMatch(readFileSync(here.settings + name, 'utf8'), /key-of/);
  }
  assert.equal((await here.cc(['remove'])).code, 0);
  assert.equal(existsSync(here.settings), false);
});

test('config cc init leaves a subscription its own credential, unless told otherwise', async (t) => {
  const here = place(t, { auth: { api_key: 'key-of-all', allow_subscription: true } });
  const { code, output } = await here.cc(['init', '--config', here.config]);
  assert.deepEqual([code, Object.keys(here.read())], [0, ['env']], output);
  assert.match(output, /its own credential/);
  await here.cc(['init', '--config', here.config, '--key', 'yes']);
  assert.deepEqual(Object.keys(here.read()), ['env', 'apiKeyHelper']);
  await here.cc(['init', '--config', here.config, '--key', 'no']);
  assert.deepEqual(Object.keys(here.read()), ['env']);
});

test('config cc refuses what it cannot do, and says where', async (t) => {
  const here = place(t, { listen: 'unix:/tmp/x.sock', auth: { clients: [{ name: 'a', key: 'k1' }, { name: 'b', key: 'k2' }] } }, '{\n "a": 1,\n}');
  const refused = async (args, expected, message) => {
    const { code, output } = await here.cc(args);
    assert.deepEqual([code, message.test(output)], [expected, true], output);
    assert.equal(readFileSync(here.settings, 'utf8'), '{\n "a": 1,\n}');
  };
  await refused(['init', '--config', here.config], 64, /no address with a port; give one with --url/);
  await refused(['init', '--config', here.config, '--url', 'relay'], 64, /must begin with http/);
  await refused(['init', '--config', here.config, '--url', 'http://r'], 64, /choose with --client/);
  await refused(['init', '--config', here.config, '--url', 'http://r', '--client', 'c'], 64, /has no "c"/);
  await refused(['init', '--config', here.config, '--url', 'http://r', '--client', 'a'], 1, /settings\.json:3: this is not valid JSON; unexpected "}"/);
  await refused(['init', '--config', '/none.yaml'], 78, /no such file/);
});

test('config init writes the providers that the environment has, without a secret', async (t) => {
  const here = place(t, {});
  const env = { ZAI_API_KEY: secret('zai'), AWS_PROFILE: 'work' };
  const file = path.join(here.folder, 'new.yaml');
  const { code, output } = await run(['config', 'init', '--output', file], env); // fails if it prints a secret
  assert.deepEqual([code, output], [0, 'found ZAI_API_KEY: zai\nAWS_PROFILE is set, but bedrock is left out: set AWS_REGION too\n']);
  assert.match(readFileSync(file, 'utf8'), /name: zai\n.*\n.*\n.*key: "\$\{ZAI_API_KEY\}"/);
  assert.equal((await run(['config', 'validate', '--config', file], env)).code, 0);
});

test('the program prints completion scripts and its manual page', async () => {
  for (const [shell, expected] of [['bash', /\ncomplete -o default -F _ccrelay ccrelay\n$/], ['zsh', /^#compdef ccrelay\n/], ['fish', /\ncomplete -c ccrelay /]]) {
    const { code, output } = await run(['completion', shell]);
    assert.deepEqual([code, expected.test(output)], [0, true], output);
  }
  const page = await run(['help', '--man']);
  assert.equal(page.code, 0);
  assert.match(page.output, /\n\.TH CCRELAY 1 [^]*\n\.SS run\n[^]*\n\.SS version\n/);
  for (const words of [['completion'], ['completion', 'tcsh']]) {
    const { code, output } = await run(words);
    assert.deepEqual([code, /bash, zsh or fish/.test(output)], [64, true], output);
  }
});
