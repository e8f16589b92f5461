// SPDX-License-Identifier: Apache-2.0
// The dashboard and the alert rules of examples/grafana against a real Prometheus that reads a relay at work: every
// query of the dashboard has a result, and no rule fails.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, freePort, get, pair, patience, post, root, secret, until } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';

const folder = path.join(root, 'examples/grafana');
const isHere = spawnSync('prometheus', ['--version']).status === 0;

/** A Prometheus that reads the relay every second, with the alert rules; resolves to its address. */
async function prometheus(t, relay) {
  const work = mkdtempSync(path.join(tmpdir(), 'ccrelay-test-'));
  const port = await freePort();
  const config = { global: { scrape_interval: '1s', evaluation_interval: '1s' }, rule_files: [path.join(folder, 'alerts.yaml')],
    scrape_configs: [{ job_name: 'ccrelay', static_configs: [{ targets: [`127.0.0.1:${relay.adminPort}`] }] }] };
  writeFileSync(path.join(work, 'prometheus.yml'), JSON.stringify(config));
  const child = spawn('prometheus', [`--config.file=${work}/prometheus.yml`, `--storage.tsdb.path=${work}/data`, `--web.listen-address=127.0.0.1:${port}`], { stdio: 'ignore' });
  const ended = new Promise((done) => child.on('close', done));
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(work, { recursive: true, force: true });
  });
  const url = `http://127.0.0.1:${port}`;
  assert.ok(await until(async () => (await get(`${url}/-/ready`).catch(() => ({}))).status === 200, 20_000 * patience), 'Prometheus is ready');
  return url;
}

const api = async (url, what) => JSON.parse((await get(`${url}/api/v1/${what}`)).text);

/** The queries of all panels, with the variables of Grafana replaced: { title, expr }. */
function queries() {
  const { panels } = JSON.parse(readFileSync(path.join(folder, 'dashboard.json'), 'utf8'));
  return panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({
    title, expr: expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(instance|provider)\b/g, '.*'),
  })));
}

test('every panel of the dashboard has data, and no rule fails', async (t) => {
  if (!isHere) return t.skip('Prometheus is not installed (package prometheus)');
  const clients = [{ name: 'alice', key: secret('alice') }];
  const fails = (request) => request.body.includes('claude-other');
  const first = await Upstream.start(t, 'first', (request, reply) => (fails(request) ? faults.status(500, 'api_error') : healthy({ gap: 5 }))(request, reply));
  const second = await Upstream.start(t, 'second', healthy({ gap: 5 }));
  const relay = await Relay.start(t, { config: {
    server: { auth: { clients } }, providers: pair(first, second), routing: { prices: { 'claude-test-1': { input: 3, output: 15 } } },
    health: { circuit_breaker: { failure_threshold: 1000 } },
  } });
  const url = await prometheus(t, relay);
  const headers = { 'x-api-key': secret('alice') };
  const asking = async () => {
    for (const body of [ask({ stream: true }), ask({ model: 'claude-other' })]) assert.equal((await post(relay, body, { headers })).status, 200);
    assert.equal((await post(relay, ask())).status, 401);
  };
  const empty = async () => {
    await asking();
    await sleep(500);
    const found = await Promise.all(queries().map(async ({ title, expr }) => {
      const { status, data, error } = await api(url, `query?query=${encodeURIComponent(expr)}`);
      assert.equal(status, 'success', `${title}: ${error}`);
      return data.result.length ? [] : [`${title}: ${expr}`];
    }));
    return found.flat();
  };
  let left = await empty();
  for (let tries = 0; left.length && tries < 20 * patience; tries += 1) left = await empty();
  assert.deepEqual(left, []);
  assert.ok(queries().length > 30);
  const { data } = await api(url, 'rules');
  const rules = data.groups.flatMap((group) => group.rules);
  assert.ok(rules.length > 10);
  assert.ok(await until(async () => (await api(url, 'rules')).data.groups.every((group) => group.rules.every((rule) => rule.health === 'ok'))),
    JSON.stringify(rules.filter((rule) => rule.health !== 'ok')));
  const ratio = async () => (await api(url, 'query?query=ccrelay:errors:ratio_rate5m')).data.result[0]?.value[1];
  assert.ok(await until(async () => (await ratio()) !== undefined));
  assert.equal(Number(await ratio()), 0);
});
