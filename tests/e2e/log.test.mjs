// SPDX-License-Identifier: Apache-2.0
// What operators learn from the log and the metrics: the reason of a TLS failure, requests that could not be read,
// and lines that fit a terminal.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from './support/test.mjs';
import { Relay, ask, get, pair, patience, post, provider, until } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

// ---- TLS failures --------------------------------------------------------------------------------

/** An https server on loopback with a self-signed certificate: { url, cert }. */
async function secureServer(t, name, days = '9') {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', days,
    '-subj', '/CN=test', '-addext', `subjectAltName=DNS:${name}`, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const server = https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, answer) => answer.end('{}'));
  server.on('tlsClientError', () => {});
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  t.after(() => server.close());
  return { url: `https://localhost:${server.address().port}`, cert };
}

/** The log's line about the exchange that was answered last. */
const lastLine = (relay) => relay.output.split('\n').filter((line) => line.includes('"message":"exchange"') && line.includes('/v1/messages'))
  .map((line) => JSON.parse(line)).at(-1);

for (const [what, { name = 'localhost', trusted, reason }] of Object.entries({
  'a certificate for another name': { name: 'other.example', trusted: true, reason: /for another name/ },
  'a certificate that nobody trusts': { trusted: false, reason: /not trusted|unknown|self-signed|not signed/ },
})) {
  test(`the log gives the reason of a TLS failure: ${what}`, async (t) => {
    const server = await secureServer(t, name);
    const bad = { ...provider({ name: 'bad', url: server.url }, { priority: 2 }), ...(trusted && { ca_file: server.cert }) };
    const next = await Upstream.start(t, 'next');
    for (const providers of [[bad], [bad, provider(next, { priority: 1 })]]) {
      const relay = await Relay.start(t, { config: { providers } });
      const answer = await post(relay, ask());
      assert.equal(answer.status, providers.length === 1 ? 502 : 200, answer.text);
      assert.ok(await until(() => lastLine(relay)));
      const line = lastLine(relay);
      assert.match(line.tried, /^bad\/1:CC_ETLS/);
      assert.match(line.detail, reason);
      if (providers.length === 1) assert.match(answer.text, reason);
      await relay.stop();
    }
  });
}

// ---- Counters ------------------------------------------------------------------------------------

/** What the relay answers to these bytes on a connection of their own. */
const raw = (relay, bytes) => new Promise((done) => {
  let text = '';
  const socket = net.connect(relay.port, '127.0.0.1', () => socket.end(bytes));
  socket.on('data', (part) => { text += part; });
  socket.on('error', () => {});
  socket.on('close', () => done(text));
});

test('ccrelay_malformed_total counts requests that could not be read, and no others; the log has the request-id of each', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const relay = await Relay.start(t, { config: { server: { max_body_bytes: 4096 }, providers: [provider(upstream)] } });
  const counted = async (name) => {
    const page = (await get(`http://127.0.0.1:${relay.adminPort}/metrics`)).text;
    return Number(new RegExp(`^ccrelay_${name}_total (\\d+)$`, 'm').exec(page)?.[1] ?? 0);
  };
  const malformed = {
    'no JSON': () => post(relay, '{"model":'),
    'a large body': () => post(relay, ask({ system: 'x'.repeat(5000) })),
    'an unknown encoding': () => post(relay, ask(), { headers: { 'content-encoding': 'x-unknown' } }),
    'a header without a name': () => raw(relay, 'POST /v1/messages HTTP/1.1\r\nhost: x\r\n: y\r\n\r\n'),
  };
  let count = 0;
  for (const [what, send] of Object.entries(malformed)) {
    const answer = await send();
    const [, id] = /"request_id":"(?:req_)?ccr_([0-9a-f]{16})"/.exec(answer.text ?? answer);
    await relay.printed(new RegExp(`"id":"${id}"`));
    count += 1;
    assert.ok(await until(async () => await counted('malformed') === count, 2000 * patience), `${what}: ${await counted('malformed')}`);
  }
  assert.equal((await post(relay, ask())).status, 200);
  assert.equal((await get(`${relay.url}/nothing`)).status, 404);
  assert.ok(await until(async () => await counted('exchanges') >= 2));
  assert.deepEqual([await counted('malformed'), await counted('refused')], [count, 0]);
});

// ---- Terminals -----------------------------------------------------------------------------------

test('on a terminal no line of the log is wider than 120 columns, in a pipe it is whole', async (t) => {
  const upstreams = [await Upstream.start(t, 'first-of-two-with-a-long-name'), await Upstream.start(t, 'second-of-two-with-a-long-name')];
  const config = { providers: pair(...upstreams).map((one) => ({ ...one, transparent: false })), logging: { format: 'text', level: 'debug' } };
  const model = `claude-${'long-'.repeat(40)}name`;
  const piped = await Relay.start(t, { config });
  await post(piped, ask({ model }));
  await piped.printed(/model=.*\n/);
  assert.ok(piped.output.split('\n').some((line) => line.length > 200), piped.output);
  await piped.stop();
  // script (of bsdutils) runs it on a pseudo terminal.
  const relay = await Relay.start(t, { config, wrap: ['bash', '-c', 'exec script -qefc "${*@Q}" /dev/null', 'bash'] });
  await post(relay, ask({ model }));
  await relay.printed(/model=[^]*id=[0-9a-f]{16}/);
  const master = relay.processes().find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('ccrelay: master'));
  assert.ok(master, relay.commandLines());
  process.kill(master, 'SIGTERM');
  await relay.exited;
  const rows = relay.output.replace(/\x1b\[\d+m/g, '').split(/\r?\n/);
  assert.deepEqual(rows.filter((row) => row.length > 120), []);
  assert.ok(rows.join('').replace(/ {4}/g, '').includes(model.slice(-60)), relay.output);
  assert.match(relay.output, /\x1b\[32minfo /);
});
