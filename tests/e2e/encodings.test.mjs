// SPDX-License-Identifier: Apache-2.0
// Compressed request bodies: decoded once and sent on uncompressed, or refused with an error that the SDKs know.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import zlib from 'node:zlib';
import SDK1 from 'sdk1';
import { test } from './support/test.mjs';
import { Relay, ask, post, provider, secret, send } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const MIB = 1 << 20;

// Encodes Zstandard (RFC 8878) without compression, for Node before 22.15: raw blocks, and blocks of one repeated byte
// for zeros.
const block = (last, type, size, content) => Buffer.concat([Buffer.from([(size << 3 | type << 1 | last) & 255, size >> 5 & 255, size >> 13]), content]);
const frame = (blocks) => Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58]), ...blocks]);

function zstdRaw(bytes) {
  const blocks = [];
  for (let at = 0; at < bytes.length || at === 0; at += 65536) {
    const part = bytes.subarray(at, at + 65536);
    blocks.push(block(at + 65536 >= bytes.length ? 1 : 0, 0, part.length, part));
  }
  return frame(blocks);
}

const zstdZeros = (size) => frame(Array.from({ length: size / 131072 }, (_, i, all = size / 131072) => block(i === all - 1 ? 1 : 0, 1, 131072, Buffer.from([0]))));

const encoders = {
  gzip: zlib.gzipSync,
  'x-gzip': zlib.gzipSync,
  GZIP: zlib.gzipSync,
  deflate: zlib.deflateSync,
  'deflate, identity': zlib.deflateRawSync,
  br: (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } }),
  zstd: zlib.zstdCompressSync ?? zstdRaw,
  identity: (bytes) => bytes,
};

const bombs = { gzip: zlib.gzipSync, deflate: zlib.deflateSync, br: encoders.br, zstd: (bytes) => zstdZeros(bytes.length) };

async function set(t, server = {}, more = {}) {
  const upstream = await Upstream.start(t, 'main');
  const relay = await Relay.start(t, { config: { server: { workers: 1, ...server }, providers: [provider(upstream, more)] } });
  return { upstream, relay };
}

const body = (filler) => Buffer.from(JSON.stringify({ ...ask(), filler }));

test('bodies in every encoding arrive decoded, with a length and without the header', async (t) => {
  const { upstream, relay } = await set(t);
  const texts = [body('x'), body(randomBytes(400_000).toString('hex'))];
  for (const [name, encode] of Object.entries(encoders)) {
    for (const text of texts) {
      for (const more of [{}, { 'transfer-encoding': 'chunked', 'content-length': undefined }]) {
        const answer = await post(relay, encode(text), { headers: { 'content-encoding': name, ...more } });
        assert.equal(answer.status, 200, `${name}: ${answer.text}`);
        const seen = upstream.requests.at(-1);
        assert.equal(seen.sha256, sha256(text), name);
        assert.equal(seen.headers['content-length'], String(text.length), name);
        assert.ok(!('content-encoding' in seen.headers), name);
      }
    }
  }
});

test('a decoded body is edited and counted like an uncompressed one', async (t) => {
  const { upstream, relay } = await set(t, {}, { model_mapping: { 'claude-*': 'mapped' } });
  const text = body('x');
  await post(relay, zlib.gzipSync(text), { headers: { 'content-encoding': 'gzip' } });
  assert.equal(JSON.parse(upstream.requests[0].body).model, 'mapped');
  const counted = await send(`${relay.url}/v1/messages/count_tokens`, {
    method: 'POST', headers: { 'content-type': 'application/json', 'content-encoding': 'br' }, body: encoders.br(text),
  });
  assert.equal(counted.status, 200, counted.text);
  await relay.printed(new RegExp(`"path":"/v1/messages".*"request_bytes":${text.length}\\b`));
});

function fault(answer, status, type, code, what) {
  assert.equal(answer.status, status, `${what}: ${answer.text}`);
  const told = JSON.parse(answer.text);
  assert.deepEqual([told.type, told.error.type, told.error.details.error_code], ['error', type, code], what);
  assert.ok(told.error.message.startsWith(`${code}: `), told.error.message);
  assert.equal(told.request_id, answer.headers['request-id'], what);
  return told;
}

test('an unknown encoding, or more than one, is 415 with an id that is not one of Anthropic\'s', async (t) => {
  const { upstream, relay } = await set(t);
  for (const name of ['compress', 'gzip, br', 'gzip, gzip', 'gzip;q=1', 'aes128gcm', '*']) {
    const answer = await post(relay, zlib.gzipSync(body('x')), { headers: { 'content-encoding': name } });
    const told = fault(answer, 415, 'invalid_request_error', 'request_body_encoding_unsupported', name);
    assert.match(told.request_id, /^ccr_\w+$/, name);
    assert.equal(answer.headers['accept-encoding'], 'gzip, deflate, br, zstd');
    assert.doesNotMatch(JSON.stringify(answer.headers), /"req_/, name);
    assert.ok(told.error.message.includes(`"${name}"`), told.error.message);
  }
  const large = await post(relay, randomBytes(3 * MIB), { headers: { 'content-encoding': 'compress' } });
  assert.equal(large.status, 415);
  assert.equal(upstream.requests.length, 0);
});

test('a body with a wrong encoding, a missing end or further bytes is 400, and the connection can be reused', async (t) => {
  const { upstream, relay } = await set(t);
  const text = body(randomBytes(200_000).toString('hex'));
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  for (const name of ['gzip', 'deflate', 'br', 'zstd']) {
    const good = encoders[name](text);
    const wrong = {
      plain: text, empty: Buffer.alloc(0), cut: good.subarray(0, good.length - 1), half: good.subarray(0, good.length >> 1),
      longer: Buffer.concat([good, Buffer.from('\n')]), 'followed by JSON': Buffer.concat([good, text]),
    };
    for (const [what, bytes] of Object.entries(wrong)) {
      const answer = await post(relay, bytes, { headers: { 'content-encoding': name }, agent });
      fault(answer, 400, 'invalid_request_error', 'request_body_encoding_invalid', `${name} ${what}`);
      assert.notEqual(answer.headers.connection, 'close', `${name} ${what}`);
    }
  }
  assert.equal((await post(relay, zlib.gzipSync('[]'), { headers: { 'content-encoding': 'gzip' } })).status, 400);
  assert.equal(upstream.requests.length, 0);
});

const memory = (relay) => Math.max(...relay.processes().map((pid) => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024));

test('a decompression bomb is refused at the limit, without using the memory of its full size', async (t) => {
  const { upstream, relay } = await set(t, { max_body_bytes: 4 * MIB });
  const before = memory(relay);
  for (const [name, encode] of Object.entries(bombs)) {
    const bytes = encode(Buffer.alloc(256 * MIB));
    assert.ok(bytes.length < 4 * MIB, `${name}: ${bytes.length}`);
    const answer = await post(relay, bytes, { headers: { 'content-encoding': name } });
    const told = fault(answer, 413, 'request_too_large', 'request_body_too_large_after_decoding', name);
    assert.match(told.error.message, /4194304 bytes \(server\.max_body_bytes\)/);
  }
  const grown = memory(relay) - before;
  t.diagnostic(`${grown.toFixed(1)} MiB more at the peak`);
  assert.ok(grown < 100, `${grown} MiB`);
  assert.equal(upstream.requests.length, 0);
});

test('the limit applies to the encoded size too, and a body of exactly the limit is served', async (t) => {
  const limit = 300_000;
  const { upstream, relay } = await set(t, { max_body_bytes: limit });
  const empty = body('').length;
  for (const name of ['gzip', 'deflate', 'br', 'zstd']) {
    const headers = { 'content-encoding': name };
    const most = await post(relay, encoders[name](body('a'.repeat(limit - empty))), { headers });
    if (name !== 'zstd' || zlib.zstdCompressSync) assert.equal(most.status, 200, `${name}: ${most.text}`);
    const over = await post(relay, encoders[name](body('a'.repeat(limit - empty + 1))), { headers });
    assert.equal(over.status, 413, `${name}: ${over.text}`);
  }
  const noise = await post(relay, randomBytes(limit + 1), { headers: { 'content-encoding': 'gzip' } });
  assert.equal(noise.status, 413);
  assert.ok(!('details' in JSON.parse(noise.text).error), noise.text);
  assert.ok(upstream.requests.length >= 3);
});

test('files are passed on encoded; batches are decoded, as their requests are counted', async (t) => {
  const { upstream, relay } = await set(t);
  const [plain, bytes] = [body('x'), encoders.br(body('x'))];
  for (const [path, encoding, sent] of [['/v1/files', 'br', bytes], ['/v1/messages/batches', undefined, plain]]) {
    await send(`${relay.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', 'content-encoding': 'br' }, body: bytes });
    const seen = upstream.requests.at(-1);
    assert.equal(seen.target, path);
    assert.equal(seen.headers['content-encoding'], encoding);
    assert.equal(seen.sha256, sha256(sent));
  }
});

test('the SDK raises its own classes for these errors', async (t) => {
  const { relay } = await set(t, { max_body_bytes: MIB });
  const sending = (encoding, bytes) => new SDK1({
    baseURL: relay.url, apiKey: secret('client'), maxRetries: 0,
    fetch: (url, options) => fetch(url, { ...options, body: bytes, headers: new Headers([...new Headers(options.headers), ['content-encoding', encoding]]) }),
  }).messages.create(ask()).then(() => null, (error) => error);
  const good = await sending('gzip', zlib.gzipSync(body('x')));
  assert.equal(good, null);
  const invalid = await sending('gzip', body('x'));
  assert.deepEqual([invalid.constructor.name, invalid.errorCode], ['RequestBodyEncodingInvalidError', 'request_body_encoding_invalid']);
  const large = await sending('gzip', zlib.gzipSync(Buffer.alloc(2 * MIB)));
  assert.deepEqual([large.constructor.name, large.errorCode], ['RequestBodyTooLargeAfterDecodingError', 'request_body_too_large_after_decoding']);
  const unknown = await sending('compress', body('x'));
  assert.equal(unknown.status, 415);
});
