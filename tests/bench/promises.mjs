// SPDX-License-Identifier: Apache-2.0
// usage: node promises.mjs [flood] [reloads] [memory] [hostile] [killed] [together] [overload]. Checks promises that take
// minutes to show, in real time with two workers: limits under a flood, 1,000 reloads under load, memory after 4,000
// reloads, a hostile policy beside 100 streams, workers killed at random, all of these together, and providers that
// answer 529 now and then. Runs all of them unless some are named.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Relay, ask, get, pair, post, provider, reloadsKept, secret } from '../e2e/support/relay.mjs';
import { Upstream, faults, healthy, refusing } from '../e2e/support/upstream.mjs';

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

const percentile = (list, share) => list.toSorted((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * share))];

const median = (list) => percentile(list, 0.5);

/** Connections are kept: a flood of new ones would use up the machine's ports, not the relay. */
const agent = new http.Agent({ keepAlive: true });

/** So many clients that ask until `over()`; every answer is given to `seen`. */
function load(relay, count, over, seen, more = {}) {
  return Promise.all(Array.from({ length: count }, async () => {
    while (!over()) {
      const began = performance.now();
      const answer = await post(relay, ask({ stream: Math.random() < 0.5, ...more }), { agent }).catch((error) => error);
      await seen(answer, performance.now() - began);
    }
  }));
}

/** The fullest of all spans of so many milliseconds that begin with one of these moments. */
function fullest(moments, span) {
  let [first, most] = [0, 0];
  for (let last = 0; last < moments.length; last += 1) {
    while (moments[last] - moments[first] >= span) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

/** When each of an upstream's requests with a key came in. */
const moments = (upstream, key) => upstream.requests.filter((request) => request.headers['x-api-key'] === key).map((request) => request.at).sort((a, b) => a - b);

// Each worker counts in its own cell.
const counting = `local relay = require 'ccrelay'
local own
return function(exchange)
  if exchange.header['x-served'] then
    local list = {}
    for worker = 1, relay.cell('workers'):get() do list[worker] = relay.cell('served ' .. worker):get() end
    return exchange:respond { body = relay.json.encode(relay.json.array(list)) }
  end
  own = own or relay.cell('served ' .. relay.cell('workers'):add())
  local outcome = exchange:first(relay.upstreams(exchange))
  if outcome and outcome.ok then own:add() end
  return outcome
end
`;

await scene('flood', async (t) => {
  const upstream = await Upstream.start(t, 'limited');
  const keys = [1, 2, 3].map((number) => ({ key: secret(`flood-${number}`), rpm_limit: 60 }));
  const relay = await Relay.start(t, { config: { logging, providers: [{ ...provider(upstream), keys }] }, policy: counting });
  const until = performance.now() + 125_000;
  const statuses = {};
  await load(relay, 16, () => performance.now() > until, (answer) => { statuses[answer.status] = (statuses[answer.status] ?? 0) + 1; });
  for (const { key } of keys) {
    const at = moments(upstream, key);
    const most = fullest(at, 60_000);
    check(most <= 60, `no 60 s window of a key is over its limit (${most} of 60)`);
    check(at.length >= 0.99 * 120, `a key is used up (${at.length} in two minutes)`);
  }
  const served = JSON.parse((await post(relay, ask(), { headers: { 'x-served': '1' } })).text);
  check(served.length === 2 && served.every((count) => count > 0), `both workers served (${served.join(' and ')} of ${statuses[200]})`);
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
  const descriptors = [];
  const count = Number(process.env.CCRELAY_RELOADS ?? 1000);
  for (let number = 1; number <= count; number += 1) {
    relay.savePolicy(`${policy()}-- ${number}\n`);
    await relay.generation(number + 1);
    for (const upstream of upstreams) upstream.requests.length = 0;
    if (number <= count / 2) continue;
    descriptors.push(relay.descriptors());
    if (number % Math.ceil(count / 40) === 0) memory.push(relay.resident());
  }
  done = true;
  await loading;
  const { generation, reloads } = await relay.status();
  check(generation.number === count + 1 && reloads.done === count && reloads.refused === 0,
    `${reloads.done} of ${count} reloads came into force`);
  check(wrong === 0, `under load: ${served} requests, ${wrong} failed`);
  const growth = median(memory.slice(memory.length / 2)) - median(memory.slice(0, memory.length / 2));
  check(growth < 3 * 1024, `memory stays in the second half, but for what the compiler keeps (the last quarter ${growth} KiB over the third one, in 3 processes: ${memory.join(' ')})`);
  const [least, most] = [Math.min(...descriptors), Math.max(...descriptors)];
  check(most - least <= 8 && descriptors.at(-1) - descriptors[0] <= 4, `descriptors stay in the second half (${least} to ${most})`);
});

await scene('memory', async (t) => {
  const upstreams = [await Upstream.start(t, 'first'), await Upstream.start(t, 'second')];
  const relay = await Relay.start(t, { config: { logging, providers: pair(...upstreams) }, policy: policy() });
  const { early, late, most } = await reloadsKept(relay, Number(process.env.CCRELAY_RELOADS ?? 4000), () => post(relay, ask()));
  check(late - early <= 5 * 1024, `after the last reload ${late} KiB, after the tenth ${early}, at most ${most} (3 processes)`);
});

/** Asks every so many milliseconds, whether or not the last is answered: who waits is not left out of the figures. */
function steady(relay, pause, over, seen) {
  const asked = [];
  const one = async () => {
    const began = performance.now();
    seen(await post(relay, ask(), { agent }).catch((error) => error), performance.now() - began);
  };
  return new Promise((done) => {
    const timer = setInterval(() => {
      if (!over()) return asked.push(one());
      clearInterval(timer);
      return done(Promise.all(asked));
    }, pause);
  });
}

/**
 * 100 streams that never cease, and 200 other requests a second that are timed: calm spans and spans
 * with 5 hostile requests a second in turn, so that what else the machine does is the same for both.
 */
async function besideHostile(t, env) {
  const spans = Number(process.env.CCRELAY_SPANS ?? 5);
  const upstream = await Upstream.start(t, 'main', healthy((asked) => ({ text: 'x'.repeat(2000), gap: asked.stream ? 20 : 0 })));
  const hostile = "if exchange.model == 'hostile' then while true do end end";
  const relay = await Relay.start(t, { config: { logging, providers: [provider(upstream)] }, policy: policy(hostile), env });
  relay.expectTraceback = true;
  const seen = { p99: { calm: [], hostile: [] }, broken: 0, evil: 0, requests: 0 };
  let done = false;
  let times = [];
  const forget = setInterval(() => { upstream.requests.length = 0; }, 500);
  const note = (answer) => { if (!whole(answer)) seen.broken += 1; };
  const streams = load(relay, 100, () => done, note, { stream: true });
  const others = steady(relay, 5, () => done, (answer, ms) => { times.push(ms); seen.requests += 1; note(answer); });
  const evil = async () => {
    await post(relay, ask({ model: 'hostile' })).catch(() => {});
    seen.evil += 1;
  };
  await sleep(2000);
  for (let span = 0; span < 2 * spans; span += 1) {
    times = [];
    const pending = [];
    const timer = span % 2 ? setInterval(() => pending.push(evil()), 200) : null;
    await sleep(10_000);
    clearInterval(timer);
    seen.p99[span % 2 ? 'hostile' : 'calm'].push(percentile(times, 0.99));
    await Promise.all(pending);
  }
  done = true;
  await Promise.all([streams, others]);
  clearInterval(forget);
  seen.aside = (await relay.status()).policy_aside !== undefined;
  seen.ratio = median(seen.p99.hostile) / median(seen.p99.calm);
  seen.text = `p99 of other requests ${median(seen.p99.calm).toFixed(1)} -> ${median(seen.p99.hostile).toFixed(1)} ms, ${seen.ratio.toFixed(2)} times`;
  const list = (name) => seen.p99[name].map((ms) => ms.toFixed(1)).join(' ');
  console.log(`# ${seen.requests} timed, ${seen.evil} hostile, calm ${list('calm')}, beside hostile ${list('hostile')}`);
  return seen;
}

await scene('hostile', async (t) => {
  const usual = await besideHostile(t, {});
  check(usual.aside, 'a hostile policy is put aside');
  check(usual.broken === 0, `100 streams are undisturbed (${usual.broken} answers broken)`);
  check(usual.ratio < 2, usual.text);
  const kept = await besideHostile(t, { CCRELAY_SCRIPT_FAULTS: '0' });
  check(!kept.aside, 'and never where the operator wants that');
  check(kept.broken === 0, `100 streams are undisturbed (${kept.broken} answers broken)`);
  console.log(`# never put aside: ${kept.text}`);
});

await scene('killed', async (t) => {
  const clients = 12;
  const limit = 300;
  const upstream = await Upstream.start(t, 'main', healthy(() => ({ text: 'x'.repeat(300), gap: 1 })));
  const keys = [1, 2].map((number) => ({ key: secret(`killed-${number}`), rpm_limit: limit }));
  const relay = await Relay.start(t, { config: { logging, providers: [{ ...provider(upstream), keys }] } });
  let done = false;
  const seen = { whole: 0, limited: 0, cut: 0, wrong: 0 };
  const loading = load(relay, clients, () => done, async (answer) => {
    const told = answer.status === 429 && /^[1-9]\d*$/.test(answer.headers['retry-after']);
    if (whole(answer)) seen.whole += 1;
    else if (told) seen.limited += 1;
    else if (answer instanceof Error) seen.cut += 1;
    else if ((seen.wrong += 1) < 4) console.log(`# ${answer.status} ${answer.text}`.slice(0, 300));
    if (told) await sleep(50);
  });
  let killed = 0;
  const until = performance.now() + 150_000;
  while (performance.now() < until) {
    await sleep(700 + Math.random() * 1600);
    const workers = relay.processes().slice(1);
    if (!workers.length) continue;
    process.kill(workers[Math.floor(Math.random() * workers.length)], 'SIGKILL');
    killed += 1;
  }
  await sleep(1500);
  done = true;
  await loading;
  console.log(`# killed: ${JSON.stringify(seen)}, ${killed} workers`);
  check(killed > 50 && (await relay.status()).restarts === killed, `each of ${killed} killed workers was replaced`);
  check(seen.wrong === 0, `whole, or 429 with the time to wait (${seen.wrong} were neither)`);
  check(seen.cut <= clients * killed, `only connections of killed workers are cut (${seen.cut}, at most ${clients * killed})`);
  check(seen.limited > 0, `limits were reached (${seen.limited} times)`);
  for (const { key } of keys) {
    const at = moments(upstream, key);
    // The relay reserves before it sends, and the upstream counts after: half a second is allowed between.
    const most = fullest(at, 59_500);
    check(most <= limit, `no window of a key is over its limit (${most} of ${limit})`);
    check(at.length >= 0.9 * 2 * limit, `deaths waste little of it (${at.length} requests in two and a half minutes)`);
  }
  await sleep(61_000);
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
    const most = fullest(ups.flatMap((up) => moments(up, key)).sort((a, b) => a - b), 59_500); // as above
    check(most <= limits.rpm_limit, `no window of a key is over its limit (${most} of ${limits.rpm_limit})`);
  }
  await sleep(1500);
  const figures = (await get(`http://127.0.0.1:${relay.adminPort}/metrics`)).text;
  check(/^ccrelay_exchanges_open 0$/m.test(figures), 'no exchange is left open');
  const after = await Promise.all(Array.from({ length: 20 }, () => post(relay, ask())));
  check(after.every(whole), 'everything is served afterwards');
});

/** A healthy provider whose every hundredth answer is 529, the first of them after `until` requests. */
function hundredth(until) {
  const [good, bad] = [healthy(), faults.status(529, 'overloaded_error')];
  let seen = 100 - until;
  return (request, reply) => {
    seen += 1;
    return (seen % 100 === 0 ? bad : good)(request, reply);
  };
}

/** 20 requests a second for so many seconds: how many of them failed, and what it took. */
async function overloaded(t, seconds, ...handlers) {
  const ups = [];
  for (const [at, handler] of handlers.entries()) ups.push(await Upstream.start(t, ['first', 'second'][at], handler));
  const relay = await Relay.start(t, { config: { logging, providers: ups.map((up, at) => provider(up, { priority: 2 - at })) } });
  const forget = setInterval(() => { for (const up of ups) up.tries = (up.tries ?? 0) + up.requests.splice(0).length; }, 500);
  const seen = { requests: 0, failed: 0, times: [] };
  await Promise.all(Array.from({ length: 20 * seconds }, async (_, n) => {
    await sleep(50 * n);
    const began = performance.now();
    const answer = await post(relay, ask({ stream: n % 2 === 0 }), { agent }).catch((error) => error);
    seen.requests += 1;
    seen.times.push(performance.now() - began);
    if (whole(answer)) return;
    seen.failed += 1;
    if (seen.failed < 4) console.log(`# ${answer.status} ${answer.text ?? answer.message}`.slice(0, 300));
  }));
  clearInterval(forget);
  const tries = ups.reduce((sum, up) => sum + (up.tries ?? 0) + up.requests.length, 0);
  console.log(`# overload, ${ups.length} providers: ${seen.requests} requests, ${seen.failed} failed, ${(tries / seen.requests).toFixed(3)} tries each, p99 ${percentile(seen.times, 0.99).toFixed(1)} ms`);
  return { share: 100 * seen.failed / seen.requests, text: `${seen.failed} of ${seen.requests} failed` };
}

await scene('overload', async (t) => {
  const seconds = Number(process.env.CCRELAY_OVERLOAD ?? 600);
  const [one, two] = await Promise.all([overloaded(t, seconds, hundredth(100)), overloaded(t, seconds, hundredth(100), hundredth(37))]);
  check(one.share <= 1.2, `every hundredth answer of the only provider is 529: at most 1.2 % fail (${one.text})`);
  check(two.share <= 0.05, `every hundredth answer of each of two providers is 529: at most 0.05 % fail (${two.text})`);
});

process.exit(failed);
