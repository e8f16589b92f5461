// SPDX-License-Identifier: Apache-2.0
// Batches and files: which paths reach a provider, where the addresses in a batch lead, whose key a file belongs to.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from './support/test.mjs';
import { Relay, provider, secret } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

/** One request with this target over a connection of its own, byte for byte: the status of its answer. */
function raw(relay, method, target, headers = '') {
  return new Promise((done, failed) => {
    const socket = net.connect(relay.port, '127.0.0.1');
    let text = '';
    socket.on('data', (bytes) => { text += bytes.toString('latin1'); });
    socket.on('error', failed);
    socket.on('close', () => done(Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])));
    socket.write(Buffer.from(`${method} ${target} HTTP/1.1\r\nhost: 127.0.0.1:${relay.port}\r\n${headers}connection: close\r\n\r\n`, 'latin1'));
  });
}

const hostile = [
  '/..', '/../messages', '/../../v1/messages', '/x/../../messages', '/./../messages', '/.', '/x/.', '/...', '/x.', '/.x',
  '/', '//', '//x', '/x/', '/x//y', '/%2e%2e/messages', '/%2E%2e/messages', '/.%2E/messages', '/%2e', '/%252e%252e/messages',
  '/%25252e%25252e/messages', '/x%2f..%2fmessages', '/x%2Fy', '/x%252fy', '/x%5c..%5cmessages', '/x%5Cy', '/..\\messages',
  '\\..\\messages', '/x;y', '/..;/messages', ';/../messages', '/x%3by', '/x%00', '/x%0d%0ax', '/%66ile', '/x:y', '/x@y',
  '%2f..%2fmessages', '/%c0%ae%c0%ae/messages', '/%u002e%u002e/messages', '/x\0', '/\x80', '/x\ty',
];

test('no spelling of a path leads out of batches and files', async (t) => {
  const upstream = await Upstream.start(t, 'main');
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(upstream)] } });
  for (const root of ['/v1/files', '/v1/messages/batches']) {
    for (const rest of hostile) {
      for (const [method, target] of [['GET', root + rest], ['POST', `${root}${rest}?beta=true`], ['DELETE', `http://127.0.0.1:${relay.port}${root}${rest}`]]) {
        assert.equal(await raw(relay, method, target, method === 'POST' ? 'content-length: 0\r\n' : ''), 400, `${method} ${target}`);
      }
    }
  }
  assert.deepEqual(upstream.requests.map(({ target }) => target), []);
  assert.equal(await raw(relay, 'GET', '/v1/files/file_1/content?x=/../y'), 404);
  assert.deepEqual(upstream.requests.map(({ target }) => target), ['/v1/files/file_1/content?x=/../y']);
  assert.equal(upstream.requests[0].headers['x-api-key'], secret('main'));
});
