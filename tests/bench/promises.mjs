// SPDX-License-Identifier: Apache-2.0
// usage: node promises.mjs [flood] [reloads] [hostile] [killed] [together]. Promises that take minutes to
// show, in real time over two workers: limits under a flood, 1,000 reloads under load, a hostile policy
// beside 100 streams, workers killed at random; and limits, waiting, races, probes, faults, reloads and
// killed workers together. All of them unless some are named.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Relay, ask, get, pair, post, provider, secret } from '../clients/support/relay.mjs';
import { Upstream, faults, healthy, refusing } from '../clients/support/upstream.mjs';

const wanted = process.argv.slice(2);
let failed = 0;

function check(good, what) {
  console.log(`${good ? 'ok' : 'not ok'} - ${what}`);
  if (!good) failed = 1;
}

/** A test's scene: what was started ends with it. */
async function scene(name, body) {
  if (wanted.length && !wanted.includes(name)) return;
  const endings = [];
  try {
    await body({ name: `promises ${name}`, after: (end) => endings.push(end) });
  } catch (error) {
    check(false, `${name}: ${error.message}`.slice(0, 2000));
  }
  agent.destroy();
  for (const end of endings.reverse()) await end().catch((error) => check(false, `${name}: ${error.message}`.slice(0, 2000)));
}

const policy = (more = '') => `local relay = require 'ccrelay'\nreturn function(exchange) ${more} return exchange:first(relay.upstreams(exchange)) end\n`;
const whole = (answer) => answer.status === 200 && /message_stop|"end_turn"/.test(answer.text);
const logging = { level: 'warn', format: 'json', output: 'stderr' };

function resident(relay) {
  return relay.processes().map((pid) => {
    try { return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]); } catch { return 0; }
  }).reduce((sum, size) => sum + size, 0);
}

const percentile = (list, share) => list.toSorted((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * share))];

/** Connections are kept: a flood of new ones would use up the machine's ports, not the relay. */
const agent = new http.Agent({ keepAlive: true });

/** So many clients that ask until `over()`; every answer is given to `seen`. */
function load(relay, count, over, seen, more = {}) {
  return Promise.all(Array.from({ length: count }, async () => {
    while (!over()) {
      const began = performance.now();
      const answer = await post(relay, ask({ stream: Math.random() < 0.5, ...more }), { agent }).catch((error) => error);
      seen(answer, performance.now() - began);
    }
  }));
}

await scene('flood', async (t) => {
  const upstream = await Upstream.start(t, 'limited');
  const keys = [1, 2, 3].map((number) => ({ key: secret(`flood-${number}`), rpm_limit: 60 }));
  const relay = await Relay.start(t, { config: { logging, providers: [{ ...provider(upstream), keys }] } });
  const until = performance.now() + 125_000;
  const statuses = {};
  await load(relay, 4, () => performance.now() > until, (answer) => { statuses[answer.status] = (statuses[answer.status] ?? 0) + 1; });
  for (const { key } of keys) {
    const moments = upstream.requests.filter((request) => request.headers['x-api-key'] === key).map((request) => request.at);
    const most = Math.max(...moments.map((at) => moments.filter((other) => other >= at && other < at + 60_000).length));
    check(most <= 60, `no 60 s window of a key is over its limit (${most} of 60)`);
    check(moments.length >= 0.99 * 120, `a key is used up (${moments.length} in two minutes)`);
  }
  console.log(`# flood: ${JSON.stringify(statuses)}`);
});

await scene('reloads', async (t) => {
  const upstreams = [await Upstream.start(t, 'first'), await Upstream.start(t, 'second')];
  const relay = await Relay.start(t, { config: { logging, providers: pair(...upstreams) }, policy: policy() });
  let done = false;
  let wrong = 0;
  let served = 0;
  const loading = load(relay, 6, () => done, (answer) => { if (whole(answer)) served += 1; else wrong += 1; });
  const memory = [];
  let descriptors = 0;
  const count = Number(process.env.CCRELAY_RELOADS ?? 1000);
  for (let number = 1; number <= count; number += 1) {
    relay.savePolicy(`${policy()}-- ${number}\n`);
    await sleep(160);
    for (const upstream of upstreams) upstream.requests.length = 0;
    if (number === 0.7 * count) descriptors = relay.descriptors();
    if (number >= 0.7 * count && number % 50 === 0) memory.push(resident(relay));
  }
  done = true;
  await loading;
  check(wrong === 0, `${count} reloads under load: ${served} requests, ${wrong} failed`);
  const growth = memory.at(-1) - memory[0];
  check(growth < 3 * 1024, `memory stays in the last third, but for what the compiler keeps (${growth} KiB more in 3 processes: ${memory.join(' ')})`);
  check(relay.descriptors() - descriptors <= 8, `descriptors stay (${relay.descriptors() - descriptors} more)`);
});

await scene('hostile', async (t) => {
  const upstream = await Upstream.start(t, 'main', healthy((asked) => ({ text: 'x'.repeat(2000), gap: asked.stream ? 20 : 0 })));
  const hostile = "if exchange.model == 'hostile' then while true do end end";
  const relay = await Relay.start(t, { config: { logging, providers: [provider(upstream)] }, policy: policy(hostile), env: { CCRELAY_SCRIPT_FAULTS: '0' } }); // never put aside
  relay.expectTraceback = true;
  const measure = async (evil) => {
    const until = performance.now() + 20_000;
    const times = [];
    let broken = 0;
    const streams = load(relay, 100, () => performance.now() > until, (answer) => { if (!whole(answer)) broken += 1; }, { stream: true });
    const others = load(relay, 4, () => performance.now() > until, (answer, ms) => { times.push(ms); if (!whole(answer)) broken += 1; }, { stream: false });
    const forget = setInterval(() => { upstream.requests.length = 0; }, 500);
    const evils = (async () => {
      while (evil && performance.now() < until) {
        await post(relay, ask({ model: 'hostile' })).catch(() => {});
        await sleep(2000);
      }
    })();
    await Promise.all([streams, others, evils]);
    clearInterval(forget);
    return { p99: percentile(times, 0.99), broken, count: times.length };
  };
  const calm = await measure(false);
  const beside = await measure(true);
  check(calm.broken + beside.broken === 0, `100 streams are undisturbed (${beside.broken} broken)`);
  check(beside.p99 < 2 * calm.p99 + 50, `p99 of other requests ${calm.p99.toFixed(1)} -> ${beside.p99.toFixed(1)} ms (a loop costs its 50 ms once in a while)`);
});

await scene('killed', async (t) => {
  const upstream = await Upstream.start(t, 'main', healthy(() => ({ text: 'x'.repeat(300), gap: 1 })));
  const keys = [{ key: secret('killed'), rpm_limit: 100000 }];
  const relay = await Relay.start(t, { config: { logging, providers: [{ ...provider(upstream), keys }] } });
  let done = false;
  const seen = { whole: 0, cut: 0, refused: 0 };
  const loading = load(relay, 12, () => done, (answer) => {
    if (whole(answer)) seen.whole += 1;
    else if (answer instanceof Error) seen.cut += 1;
    else if (answer.status >= 500 && /^{"type":"error".*"req_/.test(answer.text)) seen.failed_twice += 1;
    else seen.refused += 1;
  });
  for (let number = 0; number < 40; number += 1) {
    await sleep(200 + Math.random() * 600);
    const workers = relay.processes().slice(1);
    if (workers.length) process.kill(workers[Math.floor(Math.random() * workers.length)], 'SIGKILL');
  }
  await sleep(1500);
  done = true;
  await loading;
  console.log(`# killed: ${JSON.stringify(seen)}`);
  check(seen.refused === 0, `workers killed at random cost their own connections only (${seen.refused} refused)`);
  const after = await Promise.all(Array.from({ length: 50 }, () => post(relay, ask())));
  check(after.every(whole), 'everything is served afterwards');
});

await scene('together', async (t) => {
  const seconds = Number(process.env.CCRELAY_TOGETHER ?? 100);
  const bad = [faults.reset(), faults.errorEvent(), faults.empty(), faults.stallAfterStart(), faults.cut(1),
    faults.status(529, 'overloaded_error'), faults.status(500, 'api_error')];
  const good = healthy(() => ({ text: 'x'.repeat(300), gap: 2 }));
  const faulty = (request, reply) => (Math.random() < 0.03 ? bad[Math.floor(Math.random() * bad.length)] : good)(request, reply);
  const limits = { rpm_limit: 600, tpm_limit: 1_000_000, burst: 40 };
  const keys = (name) => [1, 2].map((number) => ({ key: secret(`${name}-${number}`), ...limits }));
  const away = { name: 'away', ...(await refusing()) };
  const ups = [await Upstream.start(t, 'first', faulty), await Upstream.start(t, 'second', faulty)];
  const config = (number) => ({
    logging, providers: [{ ...provider(away, { priority: 3 }) }, ...ups.map((up) => ({ ...provider(up), keys: keys(up.name) }))],
    routing: { strategy: 'failover', race_on_failure: true, queue_ms: 3000 + number, failover_timeout: 1500 },
    health: { health_check: { interval_ms: 2000 }, circuit_breaker: { failure_threshold: 20, open_duration_ms: 600_000 } },
  });
  const relay = await Relay.start(t, { config: config(0) });
  const seen = { whole: 0, waited_in_vain: 0, failed_twice: 0, cut: 0, wrong: 0 };
  let done = false;
  const loading = load(relay, 40, () => done, (answer) => {
    const told = [429, 529].includes(answer.status) && /^[1-9]\d*$/.test(answer.headers['retry-after']);
    if (whole(answer)) seen.whole += 1;
    else if (told) seen.waited_in_vain += 1;
    else if (answer instanceof Error) seen.cut += 1;
    else if (answer.status >= 500 && /^{"type":"error".*"req_/.test(answer.text)) seen.failed_twice += 1;
    else if ((seen.wrong += 1) < 4) console.log(`# ${answer.status} ${answer.text}`.slice(0, 300));
  });
  const descriptors = [];
  let killed = 0;
  let back = null;
  for (let second = 1; second <= seconds; second += 1) {
    await sleep(1000);
    if (second % 3 === 0) relay.configure(config(second));
    if (second % 7 === 0) {
      const workers = relay.processes().slice(1);
      process.kill(workers[Math.floor(Math.random() * workers.length)], 'SIGKILL');
      killed += 1;
    }
    if (second === Math.floor(seconds / 2)) back = await Upstream.start(t, 'away', good, away.port);
    if (second % 10 === 5) descriptors.push(relay.descriptors());
  }
  done = true;
  await loading;
  console.log(`# together: ${JSON.stringify(seen)}, ${killed} workers killed, descriptors ${descriptors.join(' ')}`);
  check(seen.wrong === 0, `whole, or 429 or 529 with the time to wait (${seen.wrong} of ${seen.whole + seen.wrong} were neither)`);
  check(seen.failed_twice <= seen.whole / 200, `few met a fault at both upstreams (${seen.failed_twice})`);
  check(seen.cut <= 40 * killed, `only connections of killed workers are cut (${seen.cut})`);
  check(back.requests.length > 0, `a provider that is back is found by a probe (${back.requests.length} requests)`);
  for (const { key } of ups.flatMap((up) => keys(up.name))) {
    const moments = ups.flatMap((up) => up.requests).filter((request) => request.headers['x-api-key'] === key).map((request) => request.at);
    // Booked is before the way to the upstream, seen behind it: half a second is left for the way.
    const within = (at) => moments.filter((other) => other >= at && other < at + 59_500).length;
    const most = Math.max(...moments.map(within));
    check(most <= limits.rpm_limit, `no window of a key is over its limit (${most} of ${limits.rpm_limit})`);
  }
  await sleep(1500);
  const figures = (await get(`http://127.0.0.1:${relay.adminPort}/metrics`)).text;
  check(/^ccrelay_exchanges_open 0$/m.test(figures), 'no exchange is left open');
  const after = await Promise.all(Array.from({ length: 20 }, () => post(relay, ask())));
  check(after.every(whole), 'everything is served afterwards');
});

process.exit(failed);
