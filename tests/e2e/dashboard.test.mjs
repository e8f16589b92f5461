// SPDX-License-Identifier: Apache-2.0
// The dashboard in a browser: what it shows of the relay, and that nothing of it comes from elsewhere or is shown
// elsewhere. CCRELAY_DASHBOARD_SECONDS: how long the last test watches memory and CPU time (600 for the promise).
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test as plain } from './support/test.mjs';
import { Relay, ask, canary, patience, post, provider, send } from './support/relay.mjs';
import { Upstream, faults } from './support/upstream.mjs';
import { browser, missing, picture, sound } from './support/browser.mjs';

const SECONDS = Number(process.env.CCRELAY_DASHBOARD_SECONDS ?? 8);
const TOKEN = `${canary}-admin-token`;

const test = (name, body) => plain(name, async (t) => (missing ? t.skip(missing) : body(t)), (SECONDS + 120) * 1000 * patience);
const originOf = (relay) => `http://127.0.0.1:${relay.adminPort}`;

async function relayWith(t, upstreams, more = {}) {
  const { admin, ...rest } = more;
  return Relay.start(t, {
    config: {
      providers: upstreams.map((upstream, index) => provider(upstream, { priority: upstreams.length - index })),
      health: { circuit_breaker: { failure_threshold: 3, open_duration_ms: 60_000, half_open_probes: 1 } },
      routing: { strategy: 'failover', prices: { 'claude-test-*': { input: 3, output: 15 } } },
      ...(admin ? { admin } : {}), ...rest,
    },
  });
}

async function opened(t, relay, options) {
  const page = await (await browser(t)).page(options);
  await page.goto(`${originOf(relay)}/`);
  await page.locator('#link[data-state=live]').waitFor();
  await page.locator('.card').first().waitFor();
  return page;
}

const shows = (page, selector, text) => page.locator(selector, { hasText: text }).first().waitFor();

/** Requests of several models, some of them streams. */
async function load(relay, count) {
  for (let n = 0; n < count; n += 1) await post(relay, ask({ model: `claude-test-${n % 3 + 1}`, stream: n % 2 === 0 }));
}

test('an idle relay: providers, generation and processes, and no empty panels', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const upstreams = [await Upstream.start(t, 'first'), await Upstream.start(t, 'second')];
  const relay = await relayWith(t, upstreams, { server: { state_dir: path.join(folder, 'state') } });
  const page = await opened(t, relay);
  await shows(page, '.card', /first.*circuit closed/s);
  await shows(page, '.card', /second\/1.*ready.*100 % headroom/s);
  await shows(page, '#generation', /Number\s*1/);
  await shows(page, '#workers', /worker 0.*worker 1.*usage.*master/s);
  assert.ok(await page.locator('#traffic').isHidden());
  assert.ok(await page.locator('#exchanges').isHidden());
  await sound(page, originOf(relay));
  await picture(page, 'idle');
});

test('mixed load with a failing provider: circuit, trail, tokens and cost', async (t) => {
  const first = await Upstream.start(t, 'first', faults.status(500, 'api_error'));
  const relay = await relayWith(t, [first, await Upstream.start(t, 'second')]);
  const page = await opened(t, relay);
  await load(relay, 30);
  await shows(page, '.card[data-circuit=open]', /first.*circuit open.*100 % of/s);
  await shows(page, '.key', /first\/1.*ready in \d+ s/s);
  await shows(page, '#exchanges tbody', /first\/1 500 api_error.*second\/1 200.*200 ok/s);
  await shows(page, '#traffic-table', /claude-test-1/);
  await page.locator('#measure').selectOption('Tokens');
  await page.locator('#split').selectOption('Token class');
  await shows(page, '#traffic-table', /input/);
  await shows(page, '#traffic-table', /output/);
  await page.locator('#chart').focus();
  await page.keyboard.press('ArrowLeft');
  await shows(page, '#traffic-table', /At \d\d:/);
  await page.keyboard.press('Escape');
  const trail = page.locator('#exchanges tbody', { hasText: '500 api_error' }).first();
  await trail.locator('button').press('Enter');
  await shows(page, '.detail', /id .*first\/1, 500 api_error.*second\/1, 200/s);
  await sound(page, originOf(relay));
  await picture(page, 'load');
  await page.locator('#measure').selectOption('Cost');
  await shows(page, '#traffic-table', /claude-test-2\s*0\.\d+/);
  await picture(page, 'cost');
});

test('an exchange under way: since when, and its trail', async (t) => {
  const slow = await Upstream.start(t, 'slow', faults.stallAfterStart());
  const relay = await relayWith(t, [await Upstream.start(t, 'first', faults.status(500, 'api_error')), slow]);
  const page = await opened(t, relay);
  const request = send(`${relay.url}/v1/messages`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(ask({ stream: true })) }).catch(() => {});
  await shows(page, '#open tbody tr', /\d s.*claude-test-1.*first\/1 api_error → slow\/1/s);
  await sound(page, originOf(relay));
  await picture(page, 'open');
  await slow.stop();
  await request;
  await page.locator('#open').waitFor({ state: 'hidden' });
});

test('a broken reload: the fault, the generation that stays, and the history', async (t) => {
  const relay = await relayWith(t, [await Upstream.start(t, 'first')]);
  const page = await opened(t, relay);
  const good = readFileSync(relay.configPath, 'utf8');
  process.kill(relay.child.pid, 'SIGHUP');
  await relay.generation(2);
  writeFileSync(relay.configPath, good.replace('"failover"', '"fastest"'));
  process.kill(relay.child.pid, 'SIGHUP');
  await shows(page, '#alerts', /last reload was refused; generation 2 stays in force.*routing\.strategy/s);
  await shows(page, '#reloads li', /refused:.*routing\.strategy/s);
  await shows(page, '#reloads li', /generation 2 in force/);
  await sound(page, originOf(relay));
  await picture(page, 'reload');
  writeFileSync(relay.configPath, good);
  process.kill(relay.child.pid, 'SIGHUP');
  await relay.generation(3);
  await page.waitForFunction(() => document.querySelector('#alerts').childElementCount === 0);
});

test('on a phone, and in the dark', async (t) => {
  const second = await Upstream.start(t, 'second');
  const relay = await relayWith(t, [await Upstream.start(t, 'first', faults.status(529, 'overloaded_error')), second]);
  await load(relay, 12);
  const phone = await opened(t, relay, { viewport: { width: 375, height: 740 }, isMobile: true, hasTouch: true });
  await shows(phone, '#traffic-table', /claude-test-1/);
  assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page scrolls sideways');
  await sound(phone, originOf(relay));
  await picture(phone, 'phone');
  const dark = await opened(t, relay, { colorScheme: 'dark' });
  await shows(dark, '#exchanges tbody', /overloaded_error/);
  const ground = () => dark.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(await ground(), 'rgb(16, 22, 21)');
  await sound(dark, originOf(relay));
  await picture(dark, 'dark');
  await dark.locator('#theme').selectOption('Light');
  await dark.waitForFunction(() => getComputedStyle(document.body).backgroundColor === 'rgb(238, 241, 240)');
  await dark.reload();
  assert.equal(await ground(), 'rgb(238, 241, 240)');
});

test('with a token: the page asks for it, keeps it for the tab alone, and sends it as a header', async (t) => {
  const relay = await relayWith(t, [await Upstream.start(t, 'first')], { admin: { token: TOKEN } });
  const page = await (await browser(t)).page();
  await page.goto(`${originOf(relay)}/`);
  await page.locator('#login[open]').waitFor();
  assert.ok(await page.locator('#providers').isHidden());
  await page.locator('#token').fill('wrong');
  await page.keyboard.press('Enter');
  await shows(page, '#login', /That token is not right/);
  await page.locator('#token').fill(TOKEN);
  await page.keyboard.press('Enter');
  await page.locator('#link[data-state=live]').waitFor();
  await page.locator('.card').waitFor();
  assert.ok(!page.asked.some((url) => url.includes(TOKEN)));
  assert.equal(await page.evaluate(() => Object.values(localStorage).join()), '');
  page.faults = page.faults.filter((text) => !/401/.test(text));
  await sound(page, originOf(relay));
  await page.reload();
  await page.locator('.card').waitFor();
});

test('no other site reads the feed or frames the page', async (t) => {
  const relay = await relayWith(t, [await Upstream.start(t, 'first')]);
  const other = http.createServer((_, answer) => answer.end('<!doctype html><title>other</title>')).listen(0, '127.0.0.1');
  t.after(() => other.close());
  const page = await (await browser(t)).page();
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  const read = await page.evaluate((url) => fetch(url).then((answer) => answer.text(), (error) => `refused: ${error.name}`), `${originOf(relay)}/events?once`);
  assert.equal(read, 'refused: TypeError');
  await page.evaluate((url) => new Promise((done) => {
    const frame = Object.assign(document.createElement('iframe'), { src: url, onload: done });
    document.body.append(frame);
  }), `${originOf(relay)}/`);
  assert.ok(page.faults.some((text) => /frame-ancestors/.test(text)), page.faults.join('\n'));
  const foreign = await send(`${originOf(relay)}/events`, { headers: { host: 'relay.evil.example' } });
  assert.equal(foreign.status, 403);
});

test('the page says that the relay is gone, and connects again after its restart', async (t) => {
  const relay = await relayWith(t, [await Upstream.start(t, 'first')]);
  const page = await opened(t, relay);
  relay.child.kill('SIGTERM');
  await relay.exited;
  await shows(page, '#link[data-state=lost]', /connection lost/);
  relay.ended = undefined;
  relay.spawn(['run', '--config', relay.configPath], {});
  await page.locator('#link[data-state=live]').waitFor();
});

test('the page is connected only while it is visible', async (t) => {
  const relay = await relayWith(t, [await Upstream.start(t, 'first')]);
  const page = await opened(t, relay);
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { configurable: true, value: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  const before = page.asked.length;
  await sleep(2500);
  assert.equal(page.asked.length, before);
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { configurable: true, value: false });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await page.waitForFunction(() => document.querySelector('#link').dataset.state === 'live');
  assert.equal(page.asked.length, before + 1);
});

/** Processor time in ms of a process, proc(5). */
function cpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Sends so many requests a second, each of which has to succeed. */
async function paced(relay, perSecond, seconds) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
  const begin = performance.now();
  const under = new Set();
  let failed = 0;
  for (let n = 0; n < perSecond * seconds; n += 1) {
    await sleep(Math.max(0, begin + (n * 1000) / perSecond - performance.now()));
    const one = post(relay, ask({ model: `claude-test-${n % 5}`, stream: n % 2 === 0 }), { agent }).then((answer) => { failed += answer.status === 200 ? 0 : 1; }, () => { failed += 1; }).finally(() => under.delete(one));
    under.add(one);
  }
  await Promise.all(under);
  agent.destroy();
  assert.equal(failed, 0);
}

test(`with 100 requests a second for ${SECONDS} s neither the page nor the master grows`, async (t) => {
  const relay = await relayWith(t, [await Upstream.start(t, 'first')], { logging: { level: 'warn', format: 'json', output: 'stderr' } });
  const page = await opened(t, relay);
  const figures = async () => page.evaluate(() => {
    globalThis.gc();
    return { heap: performance.memory.usedJSHeapSize, nodes: document.querySelectorAll('*').length };
  });
  await paced(relay, 100, SECONDS / 4);
  const [early, cpu, at] = [await figures(), cpuMs(relay.child.pid), performance.now()];
  await paced(relay, 100, SECONDS * 3 / 4);
  const late = await figures();
  const share = (cpuMs(relay.child.pid) - cpu) / (performance.now() - at);
  t.diagnostic(`page: ${early.heap} to ${late.heap} bytes, ${early.nodes} to ${late.nodes} elements; master: ${(share * 100).toFixed(2)} % of a CPU`);
  assert.ok(late.nodes <= early.nodes + 400, `${early.nodes} to ${late.nodes} elements`);
  if (SECONDS < 60) return;
  assert.ok(late.heap < early.heap * 1.25 + 500_000, `${early.heap} to ${late.heap} bytes`);
  assert.ok(share < 0.01, `the master used ${(share * 100).toFixed(2)} % of a CPU`);
});
