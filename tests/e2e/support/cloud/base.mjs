// SPDX-License-Identifier: Apache-2.0
// The base of all cloud mocks: a server that accepts a request or refuses it with the message of the real service,
// counts what it accepted, and answers well or with the fault that the test has ordered.
import { setTimeout as sleep } from 'node:timers/promises';
import { Upstream } from '../upstream.mjs';

const reasons = { 200: 'OK', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 429: 'Too Many Requests', 503: 'Service Unavailable' };

/** Thrown by a mock that refuses a request; `type` is the provider's own name of the error. */
export class Refusal extends Error {
  constructor(status, type, message, more = {}) {
    super(message);
    Object.assign(this, { status, type, more });
  }
}

export class Cloud extends Upstream {
  /** Starts a mock; it is closed when the test ends. */
  static async start(t, options = {}) {
    const mock = new this(options);
    await new Promise((done) => mock.server.listen(0, '127.0.0.1', done));
    mock.port = mock.server.address().port;
    mock.url = `http://127.0.0.1:${mock.port}`;
    t?.after(() => mock.stop());
    return mock;
  }

  constructor(options, kind) {
    super(options.name ?? kind, null);
    this.options = options;
    this.skew = 0;
    this.delay = 0;
    this.counts = {};
    this.refusals = [];
    this.ordered = [];
    this.serial = 0;
  }

  /** The mock's clock in ms: `skew` moves it. Dates of answers, ages of tokens and signatures follow. */
  now() {
    return Date.now() + this.skew;
  }

  /** Orders a fault for the next `times` accepted requests, or only for those to the operation `on`. */
  fault(handler, { times = 1, on } = {}) {
    this.ordered.push({ handler, left: times, on });
  }

  heal() {
    this.ordered = [];
    this.delay = 0;
  }

  take(operation) {
    const found = this.ordered.find((order) => !order.on || order.on === operation);
    if (!found) return null;
    found.left -= 1;
    if (found.left <= 0) this.ordered = this.ordered.filter((order) => order !== found);
    return found.handler;
  }

  count(operation) {
    return this.counts[operation] ?? 0;
  }

  /** `admit(request)` of a mock throws a Refusal or returns { operation, run(reply) }. Its refusals are recorded, ordered faults are not. */
  async answer(request, reply) {
    try {
      const job = await this.admit(request).catch((error) => this.record(request, error));
      request.operation = job.operation;
      this.counts[job.operation] = this.count(job.operation) + 1;
      if (this.delay) await sleep(this.delay);
      const fault = this.take(job.operation);
      await (fault ? fault(request, reply, this, job) : job.run(reply));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      await this.refuse(reply, error);
    }
  }

  record(request, error) {
    request.refused = error;
    this.refusals.push(`${error.status} ${error.type}: ${error.message}`);
    throw error;
  }

  head(reply, status, headers) {
    this.serial += 1;
    const all = { date: new Date(this.now()).toUTCString(), ...this.marks(), ...headers };
    const lines = Object.entries(all).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}\r\n`);
    return reply.write(`HTTP/1.1 ${status} ${reasons[status] ?? 'Some'}\r\n${lines.join('')}\r\n`);
  }

  /** Headers on every answer of this provider. */
  marks() {
    return {};
  }

  async say(reply, status, text, headers = {}) {
    await this.head(reply, status, { 'content-type': 'application/json', ...headers, 'content-length': Buffer.byteLength(text) });
    await reply.write(text);
  }

  json(reply, status, value, headers) {
    return this.say(reply, status, JSON.stringify(value), headers);
  }

  async stream(reply, parts, headers, gap = 0) {
    await this.head(reply, 200, { ...headers, 'transfer-encoding': 'chunked' });
    for (const part of parts) {
      await reply.chunk(part);
      if (gap) await sleep(gap);
    }
    await reply.finish();
  }
}

/** Faults of any cloud mock; those of ../upstream.mjs (reset, close, stall, html, garbage ...) work too. */
export const faults = {
  slow: (ms) => async (request, reply, mock, job) => {
    await sleep(ms);
    await job.run(reply);
  },
  /** The provider's own error, as if the request had been refused. */
  refuse: (status, type, message, more) => () => { throw new Refusal(status, type, message, more); },
  raw: (status, text, headers) => (request, reply, mock) => mock.say(reply, status, text, headers),
};

export function parseForm(request, refuse) {
  if (!/^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? '')) refuse('the content type is not that of a form');
  const pairs = [...new URLSearchParams(request.body.toString())];
  const form = Object.fromEntries(pairs);
  if (Object.keys(form).length !== pairs.length) refuse('a parameter is included more than once');
  return form;
}

export function split(target) {
  const at = target.indexOf('?');
  return at < 0 ? { path: target, query: new URLSearchParams() } : { path: target.slice(0, at), query: new URLSearchParams(target.slice(at + 1)) };
}

export const bearerOf = (request) => /^Bearer ([^\s]+)$/.exec(request.headers.authorization ?? '')?.[1];
