// SPDX-License-Identifier: Apache-2.0
// usage: node idle.mjs [STREAMS]. Measures memory at rest, memory of each idle stream, and the time to its first event,
// for the relay and for nginx (one worker each) in front of the same provider.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Relay, ask, provider, version } from '../e2e/support/relay.mjs';
import * as answers from '../e2e/support/answers.mjs';

const most = Number(process.argv[2] ?? 4000);
const endings = [];
const work = mkdtempSync(path.join(tmpdir(), 'ccrelay-idle-'));
endings.push(() => rmSync(work, { recursive: true, force: true }));

const [start, ping, open] = answers.events({ text: '' });
const origin = http.createServer((request, answer) => {
  request.resume().on('end', () => {
    answer.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_bench' });
    answer.write(start + ping + open);
  });
});
await new Promise((done) => { origin.listen(0, '127.0.0.1', 8192, done); });
const url = `http://127.0.0.1:${origin.address().port}`;

function nginx(port) {
  writeFileSync(path.join(work, 'nginx.conf'), `
daemon off; worker_processes 1; pid ${work}/pid; error_log ${work}/err; worker_rlimit_nofile 20000;
events { worker_connections 20000; }
http {
  access_log off; client_body_temp_path ${work}; proxy_temp_path ${work}; fastcgi_temp_path ${work};
  uwsgi_temp_path ${work}; scgi_temp_path ${work};
  server { listen 127.0.0.1:${port} backlog=4096; location / { proxy_pass ${url}; proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 600; } }
}`);
  const child = spawn('nginx', ['-c', path.join(work, 'nginx.conf')], { stdio: 'ignore' });
  endings.push(() => child.kill());
  return child.pid;
}

const children = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
const headers = { ...version, 'user-agent': 'bench/1.0', 'x-app': 'cli', 'x-claude-code-session-id': '11111111-1111-1111-1111-111111111111' };
const body = JSON.stringify(ask({ stream: true }));

function begin(to) {
  return new Promise((done, fail) => {
    const from = performance.now();
    const request = http.request(`${to}/v1/messages`, { method: 'POST', headers, agent: false }, (answer) => {
      answer.once('data', () => done({ ms: performance.now() - from, request }));
      answer.on('error', () => {});
      answer.resume();
    });
    request.on('error', fail).end(body);
  });
}

async function measure(name, to, worker) {
  const all = [];
  const rest = rss(worker);
  for (let n = 0; n < 20; n += 1) (await begin(to)).request.destroy();
  const one = [];
  for (let n = 0; n < 300; n += 1) {
    const { ms, request } = await begin(to);
    one.push(ms);
    request.destroy();
  }
  await sleep(500);
  const marks = [];
  for (const level of [most / 4, most]) {
    while (all.length < level) all.push(...await Promise.all(Array.from({ length: 25 }, () => begin(to))));
    await sleep(500);
    marks.push([all.length, rss(worker)]);
  }
  const [[few, small], [many, large]] = marks;
  one.sort((a, b) => a - b);
  const held = worker === process.pid ? '' // direct: this process is client and provider
    : `at rest ${(rest / 1024).toFixed(1)} MB, ${((large - small) * 1024 / (many - few)).toFixed(0)} B a stream (${few} to ${many}), `;
  console.log(`${name.padEnd(8)} ${held}first event p50 ${one[150].toFixed(2)} ms, p99 ${one[297].toFixed(2)} ms`);
  for (const { request } of all) request.destroy();
  await sleep(1000);
}

const relay = await Relay.start({ name: 'bench', after: (end) => endings.push(end) }, {
  config: { server: { workers: 1 }, providers: [provider({ name: 'bench', url })], logging: { level: 'warn', output: 'stderr' } },
});
const master = nginx(relay.port + 1);
await sleep(500);
await measure('direct', url, process.pid);
await measure('nginx', `http://127.0.0.1:${relay.port + 1}`, children(master)[0]);
await measure('ccrelay', relay.url, children(relay.child.pid)[0]);
console.log(`ccrelay  master ${(rss(relay.child.pid) / 1024).toFixed(1)} MB`);
for (const end of endings.reverse()) await end();
process.exit();
