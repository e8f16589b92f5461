// SPDX-License-Identifier: Apache-2.0
// The client's address behind proxies: x-forwarded-for and the PROXY protocol, version 2, are believed only from trusted
// addresses.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { test } from './support/test.mjs';
import { Relay, ask, freePort, get, post, provider, until } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** A header of the PROXY protocol, version 2. */
function header({ version = 2, command = 1, family = 0x11, addresses = Buffer.from([203, 0, 113, 9, 192, 0, 2, 1, 0x30, 0x39, 0, 80]), more = Buffer.alloc(0), length } = {}) {
  const fixed = Buffer.from([version << 4 | command, family, 0, 0]);
  fixed.writeUInt16BE(length ?? addresses.length + more.length, 2);
  return Buffer.concat([signature, fixed, addresses, more]);
}

const body = JSON.stringify(ask());
const request = Buffer.from(`POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`
  + `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);

/** Sends pieces over one connection and resolves to all that comes back. */
function talk(port, pieces, { secure, wait = 5 } = {}) {
  return new Promise((done) => {
    const socket = net.connect(port, '127.0.0.1');
    let got = '';
    const listen = (stream) => {
      stream.on('data', (bytes) => { got += bytes; });
      stream.on('error', () => {});
    };
    socket.on('close', () => done(got));
    if (!secure) listen(socket); else socket.on('error', () => {});
    socket.on('connect', async () => {
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((next) => setTimeout(next, wait));
      }
      if (!secure) return;
      const inside = tls.connect({ socket, ...secure });
      listen(inside);
      inside.on('secureConnect', () => inside.write(request));
      inside.on('end', () => socket.destroy());
    });
  });
}

/** The log lines of exchanges, as objects. */
const lines = (relay) => relay.output.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}')).map((line) => JSON.parse(line)).filter((line) => line.peer !== undefined && line.path !== '/health');
async function last(relay, count) {
  assert.ok(await until(() => lines(relay).length >= count), relay.output);
  return lines(relay)[count - 1];
}

test('x-forwarded-for names the client if the peer is trusted, and goes to no upstream', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const relay = await Relay.start(t, {
    config: { server: { workers: 1, trusted_proxies: ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'] }, providers: [provider(upstream)] },
  });
  let count = lines(relay).length;
  const peer = async (value) => {
    assert.equal((await post(relay, ask(), { headers: value === undefined ? {} : { 'x-forwarded-for': value } })).status, 200);
    return (await last(relay, count += 1)).peer;
  };
  assert.equal(await peer(undefined), '127.0.0.1');
  assert.equal(await peer('203.0.113.9'), '203.0.113.9');
  assert.equal(await peer('198.51.100.1, 203.0.113.9, 10.1.2.3'), '203.0.113.9', 'what the client wrote itself stands left');
  assert.equal(await peer(['198.51.100.1', '203.0.113.9:4711', '[2001:db8::1]:80']), '203.0.113.9');
  assert.equal(await peer('10.9.9.9, 10.1.2.3'), '10.9.9.9', 'all are trusted');
  assert.equal(await peer('203.0.113.9, unknown, 10.1.2.3'), '10.1.2.3');
  assert.equal(await peer('not an address'), '127.0.0.1');
  for (const seen of upstream.requests) assert.equal(seen.headers['x-forwarded-for'], undefined);

  relay.configure({ server: { workers: 1, trusted_proxies: [] }, providers: [provider(upstream)] }); // in force without a restart
  await relay.generation(2);
  assert.equal(await peer('203.0.113.9'), '127.0.0.1', 'the header of a peer that is not trusted is ignored');
});

test('on a unix socket, trusted_proxies: unix', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-socket-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const socketPath = path.join(folder, 'relay');
  const upstream = await Upstream.start(t, 'only');
  const relay = await Relay.start(t, {
    config: { server: { listen: `unix:${socketPath}`, trusted_proxies: 'unix' }, providers: [provider(upstream)] }, ready: false,
  });
  await relay.printed(/listening on/);
  const status = (host) => new Promise((done, failed) => {
    http.get({ socketPath, path: '/v1/models', headers: { 'x-forwarded-for': '203.0.113.9', host } }, (answer) => {
      answer.resume();
      done(answer.statusCode);
    }).on('error', failed);
  });
  assert.equal(await status('localhost'), 200);
  assert.equal(await status('relay.test'), 403, 'a web page of another name (DNS rebinding)');
  assert.equal((await last(relay, 1)).peer, '203.0.113.9');
});

async function proxied(t, server = {}) {
  const upstream = await Upstream.start(t, 'only');
  const port = await freePort();
  const plain = await freePort();
  const relay = await Relay.start(t, {
    config: {
      server: { workers: 1, listen: [`127.0.0.1:${port} proxy_protocol`, `127.0.0.1:${plain}`], trusted_proxies: ['127.0.0.1'], ...server },
      providers: [provider(upstream)],
    }, ready: false,
  });
  relay.port = plain;
  await relay.printed(/listening on/);
  return { relay, upstream, port, plain };
}

test('the address in a PROXY protocol header is the peer', async (t) => {
  const { relay, port } = await proxied(t);
  const six = Buffer.concat([Buffer.from('20010db8000000000000000000000007', 'hex'), Buffer.alloc(16), Buffer.alloc(4)]);
  const cases = [
    [[header(), request], '203.0.113.9'],
    [[Buffer.concat([header(), request])], '203.0.113.9'],
    [[header({ family: 0x21, addresses: six }), request], '2001:db8::7'],
    [[header({ more: Buffer.alloc(300, 4) }), request], '203.0.113.9'],
    [[...header()].map((byte) => Buffer.from([byte])).concat([request]), '203.0.113.9'],
    [[header({ command: 0, family: 0, addresses: Buffer.alloc(0) }), request], '127.0.0.1'],
    [[header({ command: 0 }), request], '127.0.0.1'],
    [[header({ family: 0x31, addresses: Buffer.alloc(216, 65) }), request], '127.0.0.1'],
  ];
  let count = lines(relay).length;
  for (const [pieces, peer] of cases) {
    assert.match(await talk(port, pieces), /^HTTP\/1\.1 200 /);
    assert.equal((await last(relay, count += 1)).peer, peer);
  }
});

test('a connection without a valid header is closed without an answer, logged and counted', async (t) => {
  const { relay, port, plain } = await proxied(t);
  const cases = [
    [[request], 'CC_EPROXY_HEADER'],
    [['PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n', request], 'CC_EPROXY_VERSION'],
    [[header({ version: 1 })], 'CC_EPROXY_HEADER'],
    [[header({ command: 2 })], 'CC_EPROXY_HEADER'],
    [[header({ family: 0x41 })], 'CC_EPROXY_HEADER'],
    [[header({ length: 11 })], 'CC_EPROXY_HEADER'],
    [[header({ length: 65535 })], 'CC_EPROXY_HEADER'],
  ];
  let count = lines(relay).length;
  for (const [pieces, error] of cases) {
    assert.equal(await talk(port, pieces), '');
    const line = await last(relay, count += 1);
    assert.equal(line.error, error);
    assert.equal(line.peer, '127.0.0.1');
  }
  relay.port = plain;
  const { text } = await get(`http://127.0.0.1:${relay.adminPort}/metrics`);
  assert.equal(Number(/^ccrelay_malformed_total (\d+)$/m.exec(text)[1]), cases.length);
  assert.equal(Number(/^ccrelay_requests_total\{[^}]*cause="CC_EPROXY_VERSION"[^}]*\} (\d+)$/m.exec(text)?.[1]), 1, text);
  assert.equal((await post(relay, ask())).status, 200, 'the other listener takes plain connections');
});

test('a header from an address that is not trusted closes the connection', async (t) => {
  const { relay, port } = await proxied(t, { trusted_proxies: ['192.0.2.0/24'] });
  assert.equal(await talk(port, [header(), request]), '');
  assert.equal((await last(relay, 1)).error, 'CC_EUNTRUSTED');
});

test('x-forwarded-for counts behind the PROXY protocol if the address in it is trusted too', async (t) => {
  const { relay, port } = await proxied(t, { trusted_proxies: ['127.0.0.1', '203.0.113.9'] });
  const forwarded = Buffer.from(request.toString().replace('\r\n', '\r\nX-Forwarded-For: 198.51.100.4\r\n'));
  assert.match(await talk(port, [header(), forwarded]), /^HTTP\/1\.1 200 /);
  assert.equal((await last(relay, 1)).peer, '198.51.100.4');
});

test('TLS begins behind the PROXY protocol header', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-tls-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [cert, key] = [path.join(folder, 'own.pem'), path.join(folder, 'own.key')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '9',
    '-subj', '/CN=relay.test', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  chmodSync(key, 0o600);
  const { relay, port } = await proxied(t, { tls: { cert, key } });
  const secure = { rejectUnauthorized: false, servername: 'relay.test' };
  assert.match(await talk(port, [header()], { secure }), /^HTTP\/1\.1 200 /);
  assert.equal((await last(relay, 1)).peer, '203.0.113.9');
  assert.match(await talk(port, [header()], { secure, wait: 0 }), /^HTTP\/1\.1 200 /, 'header and ClientHello together');
  assert.equal(await talk(port, [], { secure }), '', 'TLS without the header');
  assert.ok(await until(() => lines(relay).some((line) => line.error === 'CC_EPROXY_HEADER')), relay.output);
});

test('proxy_protocol without trusted_proxies, and for the admin listener, is refused', async (t) => {
  const refused = async (config, pattern) => {
    const relay = await Relay.start(t, { config, ready: false });
    relay.expectedCode = 78;
    assert.ok(await until(() => relay.ended), relay.output);
    assert.match(relay.output, pattern);
  };
  const port = await freePort();
  await refused({ server: { listen: `127.0.0.1:${port} proxy_protocol` } }, /proxy_protocol needs server\.trusted_proxies/);
  await refused({ admin: { listen: `127.0.0.1:${port} proxy_protocol` } }, /admin\.listen: found/);
  await refused({ server: { trusted_proxies: ['10.0.0.0/33'] } }, /server\.trusted_proxies\[0\]: found the string "10\.0\.0\.0\/33", expected unix or an IP address, or a range/);
});
