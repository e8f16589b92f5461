// SPDX-License-Identifier: Apache-2.0
// A simulated provider on a raw socket. It records every request byte for byte, and answers as its handlers say, well or
// with a fault.
import net from 'node:net';
import tls from 'node:tls';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import * as answers from './answers.mjs';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Reads requests from a socket: `await next()` resolves to a request, or null at the end. */
class RequestReader {
  constructor(socket) {
    this.held = Buffer.alloc(0);
    this.chunks = socket[Symbol.asyncIterator]();
  }

  async more() {
    const { value, done } = await this.chunks.next().catch(() => ({ done: true }));
    if (done) return false;
    this.held = this.held.length ? Buffer.concat([this.held, value]) : value;
    return true;
  }

  async take(size) {
    const parts = [this.held];
    let have = this.held.length;
    while (have < size) {
      const { value, done } = await this.chunks.next().catch(() => ({ done: true }));
      if (done) return null;
      parts.push(value);
      have += value.length;
    }
    const all = Buffer.concat(parts);
    this.held = all.subarray(size);
    return all.subarray(0, size);
  }

  async until(mark) {
    for (;;) {
      const at = this.held.indexOf(mark);
      if (at >= 0) {
        const found = this.held.subarray(0, at);
        this.held = this.held.subarray(at + mark.length);
        return found;
      }
      if (!(await this.more())) return null;
    }
  }

  async chunked() {
    const parts = [];
    for (;;) {
      const line = await this.until('\r\n');
      if (line === null) return null;
      const size = parseInt(line.toString('latin1'), 16);
      const bytes = await this.take(size + 2);
      if (bytes === null) return null;
      if (size === 0) return Buffer.concat(parts);
      parts.push(bytes.subarray(0, size));
    }
  }

  async next() {
    const head = await this.until('\r\n\r\n');
    if (head === null) return null;
    const [first, ...lines] = head.toString('latin1').split('\r\n');
    const [method, target, version] = first.split(' ');
    const fields = lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
    const headers = Object.fromEntries(fields.map(([name, value]) => [name.toLowerCase(), value]));
    const size = Number(headers['content-length'] ?? 0);
    const body = /chunked/i.test(headers['transfer-encoding'] ?? '') ? await this.chunked() : await this.take(size);
    if (body === null) return null;
    return { method, target, version, fields, headers, head: head.toString('latin1'), body, sha256: sha256(body), at: performance.now() };
  }
}

/** What a handler answers with. Methods that end the connection tell the loop. */
class Reply {
  constructor(socket, from) {
    this.socket = socket;
    this.from = from;
    this.open = true;
  }

  write(bytes) {
    return new Promise((done) => {
      if (this.socket.destroyed) return done();
      this.socket.write(bytes, () => done());
    });
  }

  head(status, headers) {
    const lines = Object.entries({ 'request-id': `req_${this.from}`, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    return this.write(`HTTP/1.1 ${status} Some\r\n${lines.join('')}\r\n`);
  }

  async body(status, text, headers = {}) {
    await this.head(status, { 'content-type': 'application/json', ...headers, 'content-length': Buffer.byteLength(text) });
    await this.write(text);
  }

  json(status, value, headers) {
    return this.body(status, JSON.stringify(value), headers);
  }

  streamHead(headers = {}) {
    return this.head(200, { 'content-type': 'text/event-stream; charset=utf-8', ...headers, 'transfer-encoding': 'chunked' });
  }

  chunk(text) {
    const bytes = Buffer.from(text);
    return this.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
  }

  finish() {
    return this.write('0\r\n\r\n');
  }

  async stream(list, { gap = 0 } = {}) {
    await this.streamHead();
    for (const text of list) {
      await this.chunk(text);
      if (gap) await sleep(gap);
    }
    await this.finish();
  }

  reset() {
    this.open = false;
    this.socket.resetAndDestroy();
  }

  close() {
    this.open = false;
    this.socket.destroy();
  }

  /** Sends nothing more and keeps the connection open until the peer closes it. */
  async stall() {
    this.open = false;
    if (!this.socket.destroyed) await new Promise((gone) => this.socket.once('close', gone));
  }
}

/** A healthy provider: answers with text, or with what `spec` says, and the provider's name. */
export function healthy(spec = {}) {
  return async (request, reply) => {
    let asked = {};
    try {
      asked = JSON.parse(request.body.toString());
    } catch { /* bodies of other endpoints */ }
    const path = request.target.split('?')[0];
    if (path === '/v1/messages/count_tokens') return reply.json(200, { input_tokens: 42 });
    if (path !== '/v1/messages') return reply.json(404, answers.error('not_found_error', `no ${path}`));
    const whole = { text: `served by ${reply.from}`, from: reply.from, model: asked.model, ...(typeof spec === 'function' ? spec(asked) : spec) };
    if (asked.stream === true) return reply.stream(answers.events(whole), { gap: whole.gap });
    return reply.json(200, answers.message(whole));
  };
}

/** Faults by name. */
export const faults = {
  status: (status, type, headers = {}) => (request, reply) =>
    reply.json(status, answers.error(type, `refused by ${reply.from}`, `req_${reply.from}`), headers),
  reset: () => (request, reply) => reply.reset(),
  close: () => (request, reply) => reply.close(),
  errorEvent: (type = 'overloaded_error') => async (request, reply) => {
    await reply.stream([answers.event('error', answers.error(type, `refused by ${reply.from}`))]);
  },
  stall: () => (request, reply) => reply.stall(),
  stallAfterStart: () => async (request, reply) => {
    await reply.streamHead();
    await reply.chunk(answers.events({ from: reply.from })[0]);
    await reply.stall();
  },
  empty: () => (request, reply) => reply.body(200, '', { 'content-type': 'text/event-stream' }),
  html: (status = 200) => (request, reply) => reply.body(status, '<html><body>Gateway of the first</body></html>', { 'content-type': 'text/html' }),
  garbage: () => async (request, reply) => {
    await reply.write('SSH-2.0-first\r\n\r\n');
    reply.close();
  },
  redirect: (location) => (request, reply) => reply.body(302, '', { location }),
  /** The stream's first `count` events, then an end: 'reset', 'close', or 'clean' (a final chunk). */
  cut: (count, how = 'reset', spec = {}) => async (request, reply) => {
    await reply.streamHead();
    for (const text of answers.events({ from: reply.from, ...spec }).slice(0, count)) await reply.chunk(text);
    await sleep(30);
    if (how === 'clean') return reply.finish();
    return how === 'reset' ? reply.reset() : reply.close();
  },
};

export class Upstream {
  /**
   * `handler(request, reply)`, or a list of handlers: one for each request, the last for all further ones. With
   * `security` (key and certificate as in tls.createServer) it speaks TLS.
   */
  static async start(t, name, handler = healthy(), port = 0, security = null) {
    const upstream = new Upstream(name, handler, security);
    await new Promise((done) => upstream.server.listen(port, '127.0.0.1', done));
    upstream.port = upstream.server.address().port;
    upstream.url = `${security ? 'https' : 'http'}://127.0.0.1:${upstream.port}`;
    t?.after(() => upstream.stop());
    return upstream;
  }

  constructor(name, handler, security) {
    this.name = name;
    this.plan = [handler].flat();
    this.requests = [];
    this.sockets = new Set();
    this.connections = 0;
    this.cancelled = 0;
    const serve = (socket) => this.serve(socket);
    this.server = security ? tls.createServer({ noDelay: true, ...security }, serve) : net.createServer({ noDelay: true }, serve);
  }

  async serve(socket) {
    this.connections += 1;
    this.sockets.add(socket);
    socket.setMaxListeners(0);
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
    const gone = new Promise((done) => socket.once('close', () => done(performance.now())));
    const reader = new RequestReader(socket);
    for (;;) {
      const request = await reader.next();
      if (request === null) break;
      this.requests.push(request);
      const reply = new Reply(socket, this.name);
      request.gone = gone;
      await this.answer(request, reply);
      if (!reply.open) break;
    }
    if (!socket.destroyed) socket.end();
  }

  answer(request, reply) {
    const handler = this.plan.length > 1 ? this.plan.shift() : this.plan[0];
    return handler(request, reply);
  }

  async stop() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((done) => this.server.close(done));
  }
}

/** An address on which nothing listens. */
export async function refusing() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return { port, url: `http://127.0.0.1:${port}`, requests: [] };
}
