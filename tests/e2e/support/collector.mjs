// SPDX-License-Identifier: Apache-2.0
// A collector for OTLP over HTTP in JSON. It refuses whatever the specification does not allow, as a strict one would.
import http from 'node:http';
import { canary } from './relay.mjs';

const KINDS = { stringValue: 'string', boolValue: 'boolean', intValue: 'string', doubleValue: 'number' };

function check(condition, what) {
  if (!condition) throw new Error(what);
}

function only(object, names, what) {
  for (const name of Object.keys(object)) check(names.includes(name), `${what} has a member ${name}`);
}

function attributes(list) {
  check(Array.isArray(list), 'attributes are no array');
  const found = {};
  for (const entry of list) {
    only(entry, ['key', 'value'], 'an attribute');
    check(typeof entry.key === 'string' && entry.key && !(entry.key in found), `the key ${entry.key}`);
    const [[kind, value], ...more] = Object.entries(entry.value);
    check(!more.length && typeof value === KINDS[kind], `the value of ${entry.key}: ${JSON.stringify(entry.value)}`);
    if (kind === 'intValue') check(/^-?\d+$/.test(value), `the integer ${value}`);
    found[entry.key] = kind === 'intValue' ? Number(value) : value;
  }
  return found;
}

const MEMBERS = ['traceId', 'spanId', 'parentSpanId', 'kind', 'name', 'startTimeUnixNano', 'endTimeUnixNano', 'attributes', 'status'];

function span(given) {
  only(given, MEMBERS, 'a span');
  check(/^[0-9a-f]{32}$/.test(given.traceId) && !/^0+$/.test(given.traceId), `traceId ${given.traceId}`);
  check(/^[0-9a-f]{16}$/.test(given.spanId) && !/^0+$/.test(given.spanId), `spanId ${given.spanId}`);
  if (given.parentSpanId !== undefined) check(/^[0-9a-f]{16}$/.test(given.parentSpanId), `parentSpanId ${given.parentSpanId}`);
  check(Number.isInteger(given.kind) && given.kind >= 1 && given.kind <= 5, `kind ${given.kind}`);
  check(typeof given.name === 'string' && given.name, 'a span without a name');
  for (const name of ['startTimeUnixNano', 'endTimeUnixNano']) check(/^\d{19}$/.test(given[name]), `${name} ${given[name]}`);
  check(BigInt(given.startTimeUnixNano) <= BigInt(given.endTimeUnixNano), 'a span that ends before it starts');
  if (given.status) only(given.status, ['code', 'message'], 'a status');
  if (given.status) check([0, 1, 2].includes(given.status.code), `status ${given.status.code}`);
  return { ...given, attributes: attributes(given.attributes) };
}

/** The spans of a request; each has the attributes of its resource as `resource`. */
function read(body) {
  const found = [];
  const whole = JSON.parse(body);
  only(whole, ['resourceSpans'], 'the request');
  for (const one of whole.resourceSpans) {
    only(one, ['resource', 'scopeSpans', 'schemaUrl'], 'resourceSpans');
    const resource = attributes(one.resource.attributes);
    check(resource['service.name'], 'a resource without service.name');
    for (const scoped of one.scopeSpans) {
      only(scoped, ['scope', 'spans', 'schemaUrl'], 'scopeSpans');
      for (const given of scoped.spans) found.push({ ...span(given), resource });
    }
  }
  check(found.length, 'a request without spans');
  return found;
}

export class Collector {
  /** plan: answers to the requests in turn, as { status, headers, body }; the last stays. */
  static async start(t, plan = [{}]) {
    const collector = new Collector(plan);
    await new Promise((done) => { collector.server.listen(0, '127.0.0.1', done); });
    collector.url = `http://127.0.0.1:${collector.server.address().port}/v1/traces`;
    t.after(() => collector.server.close(() => {}) && collector.server.closeAllConnections());
    return collector;
  }

  constructor(plan) {
    this.plan = plan;
    this.spans = [];
    this.requests = [];
    this.faults = [];
    this.server = http.createServer((request, answer) => this.serve(request, answer));
  }

  async serve(request, answer) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts).toString();
    const { status = 200, headers = {}, body: text = '{}' } = this.plan.length > 1 ? this.plan.shift() : this.plan[0];
    this.requests.push({ headers: request.headers, body, status });
    try {
      check(request.method === 'POST' && request.url === '/v1/traces', `${request.method} ${request.url}`);
      check(request.headers['content-type'] === 'application/json', request.headers['content-type']);
      check(!body.includes(canary), 'a secret is in the spans');
      const spans = read(body);
      if (status === 200) this.spans.push(...spans);
    } catch (error) {
      this.faults.push(error.message);
      answer.writeHead(400).end(JSON.stringify({ message: error.message }));
      return;
    }
    answer.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
  }
}
