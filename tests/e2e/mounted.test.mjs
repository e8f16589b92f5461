// SPDX-License-Identifier: Apache-2.0
// Files that change while the relay runs: a mounted ConfigMap, whose links are swapped, and a renewed certificate.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { test } from './support/test.mjs';
import { ask, patience, post, prepared, provider, status, until, version } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';

const refused = async (relay) => (await status(relay)).reloads;

// ---- ConfigMaps ----------------------------------------------------------------------------------

const says = (word) => `return function(exchange) return exchange:respond { body = '${word}' } end\n`;
const nobody = [provider({ url: 'http://127.0.0.1:1' })];

/** A volume as kubelet mounts it: NAME -> ..data/NAME, ..data -> ..NUMBER; an update swaps ..data. */
class Volume {
  constructor(relay) {
    this.relay = relay;
    this.folder = path.join(relay.folder, 'mount');
    this.count = 0;
    mkdirSync(this.folder);
    chmodSync(this.folder, 0o1777);
    for (const name of ['config.yaml', 'policy.lua']) symlinkSync(`..data/${name}`, path.join(this.folder, name));
  }

  update({ word, providers = nobody, mode = 0o644 }) {
    const old = path.join(this.folder, `..${this.count}`);
    this.count += 1;
    this.now = path.join(this.folder, `..${this.count}`);
    mkdirSync(this.now);
    this.relay.configPath = path.join(this.now, 'config.yaml');
    this.relay.configure({ providers });
    writeFileSync(path.join(this.now, 'policy.lua'), says(word));
    chmodSync(path.join(this.now, 'policy.lua'), 0o640);
    chmodSync(this.relay.configPath, mode);
    symlinkSync(`..${this.count}`, path.join(this.folder, '..data_tmp'));
    renameSync(path.join(this.folder, '..data_tmp'), path.join(this.folder, '..data'));
    rmSync(old, { recursive: true, force: true });
  }
}

test('a mounted ConfigMap is accepted, its swaps are noticed, and a refusal says what is wrong', async (t) => {
  const relay = await prepared(t);
  const volume = new Volume(relay);
  volume.update({ word: 'one' });
  mkdirSync(path.join(relay.folder, 'etc'));
  const [policy, config] = ['policy.lua', 'config.yaml'].map((name) => path.join(relay.folder, 'etc', name));
  for (const file of [policy, config]) symlinkSync(`../mount/${path.basename(file)}`, file);
  relay.spawn(['run', policy, '--config', config], {});
  t.after(() => relay.stop());
  await relay.ready();
  const answer = async () => (await post(relay, ask())).text;
  assert.equal(await answer(), 'one');
  for (const word of ['two', 'three', 'four']) {
    volume.update({ word });
    assert.ok(await until(async () => (await answer()) === word, 5000 * patience), `${word} is not in force`);
  }
  writeFileSync(path.join(volume.now, 'policy.lua'), says('four, edited in place'));
  assert.ok(await until(async () => (await answer()) === 'four, edited in place', 5000 * patience));
  volume.update({ word: 'five', mode: 0o666 });
  assert.ok(await until(async () => (await refused(relay)).refused === 1, 5000 * patience));
  const { fault } = await refused(relay);
  assert.match(fault, /etc\/config\.yaml: refused: everybody may write to it/);
  assert.ok(fault.includes('--insecure-permissions') && fault.includes(`a link to ${volume.now}/config.yaml`), fault);
  assert.equal(await answer(), 'four, edited in place');
  volume.update({ word: 'six' });
  assert.ok(await until(async () => (await answer()) === 'six', 5000 * patience));
  assert.equal((await refused(relay)).fault, undefined);
});

// ---- server.tls ----------------------------------------------------------------------------------

function certificate(folder, name) {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '9',
    '-keyout', path.join(folder, `${name}.key`), '-out', path.join(folder, `${name}.pem`), '-subj', `/CN=${name}`], { stdio: 'pipe' });
}

async function secured(t, names, { args = [], reply = healthy({ text: 'hello' }) } = {}) {
  const relay = await prepared(t);
  for (const name of names) certificate(relay.folder, name);
  relay.tls = { cert: path.join(relay.folder, 'own.pem'), key: path.join(relay.folder, 'own.key') };
  relay.show = (cert, key = cert) => {
    copyFileSync(path.join(relay.folder, `${cert}.pem`), relay.tls.cert);
    copyFileSync(path.join(relay.folder, `${key}.key`), relay.tls.key);
  };
  relay.show(names[0]);
  relay.configure({ server: { tls: relay.tls }, providers: [provider(await Upstream.start(t, 'alpha', reply))] });
  relay.spawn(['run', '--config', relay.configPath, ...args], {});
  t.after(() => relay.stop());
  assert.ok(await until(async () => (await shown(relay).catch(() => null))?.status === 200), relay.output);
  return relay;
}

/** One request: its status, its text, and the name in the certificate of the connection it went over. */
function shown(relay, { agent = false, body, onData } = {}) {
  const options = {
    port: relay.port, host: '127.0.0.1', rejectUnauthorized: false, agent, path: body ? '/v1/messages' : '/health',
    method: body ? 'POST' : 'GET', headers: body ? version : {},
  };
  return new Promise((done, failed) => {
    const request = https.request(options, (answer) => {
      const { CN } = answer.socket.getPeerCertificate().subject;
      let text = '';
      answer.on('data', (bytes) => { text += bytes; onData?.(); });
      answer.on('error', failed);
      answer.on('end', () => done({ status: answer.statusCode, name: CN, text }));
    });
    request.on('error', failed);
    request.end(body && JSON.stringify(body));
  });
}

/** The names that new connections see, over both workers. */
async function names(relay) {
  const all = await Promise.all(Array.from({ length: 12 }, () => shown(relay)));
  return [...new Set(all.map(({ name }) => name))];
}

const showing = (relay, name) => until(async () => (await names(relay)).join() === name, 5000 * patience);

test('new connections get a renewed certificate, and open ones go on', async (t) => {
  const relay = await secured(t, ['first', 'second'], { reply: healthy({ text: 'hello '.repeat(40), gap: 60 }) });
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  let stream;
  await new Promise((onData) => { stream = shown(relay, { agent, body: ask({ stream: true }), onData }); });
  relay.show('second');
  assert.ok(await showing(relay, 'second'), relay.output);
  const answer = await stream;
  assert.equal(answer.name, 'first');
  assert.ok(answer.text.endsWith('data: {"type":"message_stop"}\n\n'));
  assert.equal((await shown(relay, { agent })).name, 'first');
  assert.deepEqual(await names(relay), ['second']);
  const { workers } = await status(relay);
  process.kill(workers[0].pid, 'SIGKILL');
  assert.ok(await until(async () => (await status(relay)).restarts === 1));
  assert.ok(await showing(relay, 'second'), 'a new worker shows another certificate');
});

test('a certificate that cannot be used changes nothing and is reported', async (t) => {
  const relay = await secured(t, ['first', 'second', 'third']);
  const faults = [
    [() => relay.show('second', 'third'), /server\.tls: .*own\.key is not the key of .*own\.pem/],
    [() => { relay.show('second'); truncateSync(relay.tls.cert, 300); }, /server\.tls: .*own\.pem: /],
    [() => { relay.show('second'); rmSync(relay.tls.key); }, /server\.tls: .*own\.key: No such file/],
    [() => { relay.show('second'); rmSync(relay.tls.cert); execFileSync('mkfifo', [relay.tls.cert]); }, /server\.tls: .*own\.pem: not a regular file/],
  ];
  for (const [spoil, words] of faults) {
    const before = (await refused(relay)).refused;
    spoil();
    assert.ok(await until(async () => words.test((await refused(relay)).fault ?? ''), 5000 * patience), `${words}\n${relay.output}`);
    assert.ok((await refused(relay)).refused > before);
    assert.deepEqual(await names(relay), ['first']);
    rmSync(relay.tls.cert);
    relay.show('first');
    assert.ok(await until(async () => !(await refused(relay)).fault, 5000 * patience));
  }
  relay.show('second');
  assert.ok(await showing(relay, 'second'), relay.output);
});

test('SIGHUP reads the certificate again if files are not watched', async (t) => {
  const relay = await secured(t, ['first', 'second'], { args: ['--watch', 'no'] });
  relay.show('second');
  assert.deepEqual(await names(relay), ['first']);
  process.kill(relay.child.pid, 'SIGHUP');
  assert.ok(await showing(relay, 'second'), relay.output);
});
