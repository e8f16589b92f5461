// SPDX-License-Identifier: Apache-2.0
// usage: node soak.mjs SECONDS. Loads the relay with streams, plain answers, faults, clients that disconnect and, at
// first, reloads. Memory, descriptors and counters must not grow.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Relay, ask, get, pair, post, version } from '../e2e/support/relay.mjs';
import { Upstream, faults, healthy } from '../e2e/support/upstream.mjs';

const seconds = Number(process.argv[2] ?? 60);
const CLIENTS = 24;
const FAULTY = 0.01;
const endings = [];
const scene = { name: 'soak', after: (end) => endings.push(end) };
let failed = 0;

function check(good, what) {
  console.log(`${good ? 'ok' : 'not ok'} - ${what}`);
  if (!good) failed = 1;
}

const bad = [faults.reset(), faults.garbage(), faults.errorEvent(), faults.empty(), faults.close(), faults.cut(1)];
const good = healthy(() => ({ text: 'x'.repeat(400), gap: 2 }));
const first = await Upstream.start(scene, 'first', (request, reply) =>
  (Math.random() < FAULTY ? bad[Math.floor(Math.random() * bad.length)] : good)(request, reply));
const second = await Upstream.start(scene, 'second', good);
const relay = await Relay.start(scene, {
  config: {
    providers: pair(first, second), routing: { strategy: 'failover', failover_timeout: 2000 },
    logging: { level: 'warn', format: 'json', output: 'stderr' },
    health: { health_check: { enabled: false }, circuit_breaker: { failure_threshold: 1000, open_duration_ms: 1000, half_open_probes: 3 } },
  },
  policy: "local relay = require 'ccrelay'\nreturn function(exchange) return exchange:first(relay.upstreams(exchange)) end\n",
});

const seen = { asked: 0, served: 0, left: 0, wrong: 0 };
const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });

function leave() {
  return new Promise((done) => {
    const request = http.request(`${relay.url}/v1/messages`, { method: 'POST', headers: version, agent: false }, (answer) => {
      answer.on('error', () => {});
      answer.once('data', () => { request.destroy(); });
    });
    request.on('error', () => {});
    request.on('close', done);
    request.end(JSON.stringify(ask({ stream: true })));
  });
}

async function client(until) {
  while (performance.now() < until) {
    seen.asked += 1;
    if (Math.random() < 0.02) {
      await leave();
      seen.left += 1;
      continue;
    }
    const answer = await post(relay, ask({ stream: Math.random() < 0.7 }), { agent }).catch((error) => error);
    const whole = answer.status === 200 && /message_stop|"end_turn"/.test(answer.text);
    seen[whole ? 'served' : 'wrong'] += 1;
    if (!whole && seen.wrong < 4) console.log(`# ${answer.status ?? answer.message} ${answer.text ?? answer.received ?? ''}`.slice(0, 300));
  }
}

async function reloads(until) {
  for (let n = 0; performance.now() < until; n += 1) {
    await sleep(1000);
    relay.savePolicy(`local relay = require 'ccrelay'\nreturn function(exchange) return exchange:first(relay.upstreams(exchange)) end\n-- ${n}\n`);
  }
}

const load = (time, ...others) => {
  const until = performance.now() + time;
  return Promise.all([...others.map((other) => other(until)), ...Array.from({ length: CLIENTS }, () => client(until))]);
};

// The growth in KiB a second, by least squares.
function slope(samples) {
  const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
  const [t, m] = [mean(samples.map((s) => s.at)), mean(samples.map((s) => s.memory))];
  const over = samples.reduce((sum, s) => sum + (s.at - t) ** 2, 0);
  return over ? samples.reduce((sum, s) => sum + (s.at - t) * (s.memory - m), 0) / over : 0;
}

// Warm up first, until pools, heaps and the traces of the compiler have their size. Reloads belong here: the traces of
// reloaded scripts are bounded, but reach their bound only after hundreds of reloads.
await load(Math.max(20, seconds / 3) * 1000, reloads);
await sleep(1500);
const before = { memory: relay.resident(), files: relay.descriptors() };
const samples = [];
const sampler = setInterval(() => samples.push({ at: performance.now() / 1000, memory: relay.resident() }), 500);
await load(seconds * 1000);
clearInterval(sampler);
await sleep(1500);
const after = { memory: relay.resident(), files: relay.descriptors() };
const rise = slope(samples);
console.log(`# ${JSON.stringify(seen)}, KiB ${before.memory} -> ${after.memory}, ${rise.toFixed(2)} KiB/s, descriptors ${before.files} -> ${after.files}`);

check(seen.wrong === 0, `every answer was whole (${seen.wrong} of ${seen.asked} were not)`);
check(seen.served + seen.left + seen.wrong === seen.asked, 'no request was lost');
check(rise < 4 || after.memory - before.memory < 3072, `memory stays (${after.memory - before.memory} KiB more, ${rise.toFixed(2)} KiB/s)`);
check(after.files - before.files <= 8, `descriptors stay (${after.files - before.files} more)`);
check((await get(`${relay.url}/health`)).status === 200, 'the relay is well');
agent.destroy();
for (const end of endings.reverse()) await end();
check(relay.ended?.code === 0, 'the relay ended well');
process.exit(failed);
