// SPDX-License-Identifier: Apache-2.0
// usage: node streams.mjs [STREAMS [EVENTS [GAP_MS]]]. Measures the time of an event from the provider to the client,
// directly and through the relay, and the memory and CPU time of the relay.
import { fork } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { Relay, ask, provider, version } from '../e2e/support/relay.mjs';
import { Upstream } from '../e2e/support/upstream.mjs';
import * as answers from '../e2e/support/answers.mjs';

const [streams, events, gap] = [200, 50, 10].map((usual, n) => Number(process.argv[n + 2] ?? usual));
const stamp = () => Number(process.hrtime.bigint() / 1000n);

// The provider is a process of its own. Every event carries the time when it was sent.
async function serve() {
  const [start, ping, open] = answers.events({ text: '' });
  const upstream = await Upstream.start(null, 'bench', async (request, reply) => {
    await reply.streamHead();
    await reply.chunk(start + ping + open);
    for (let n = 0; n < events; n += 1) {
      await new Promise((done) => { setTimeout(done, gap); });
      reply.chunk(answers.event('content_block_delta', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: `@${stamp()}@${'x'.repeat(90)}` } }));
    }
    await reply.chunk(answers.event('message_stop', { type: 'message_stop' }));
    await reply.finish();
  });
  process.send({ url: upstream.url });
}

function one(url, delays) {
  return new Promise((done, fail) => {
    const request = http.request(`${url}/v1/messages`, { method: 'POST', headers: version, agent: false }, (answer) => {
      answer.on('data', (bytes) => {
        const now = stamp();
        for (const found of bytes.toString('latin1').matchAll(/@(\d+)@/g)) delays.push(now - Number(found[1]));
      });
      answer.on('end', done).on('error', fail);
    });
    request.on('error', fail).end(JSON.stringify(ask({ stream: true })));
  });
}

async function measure(name, url, during) {
  const delays = [];
  const all = Promise.all(Array.from({ length: streams }, () => one(url, delays)));
  if (during) setTimeout(during, (events * gap) / 2);
  await all;
  delays.sort((a, b) => a - b);
  const at = (share) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))];
  console.log(`${name.padEnd(8)} ${delays.length} events, p50 ${at(0.5)} us, p99 ${at(0.99)} us`);
}

const cpu = (pids) => pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((task) =>
  Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]))).reduce((sum, ns) => sum + ns, 0) / 1000;
const memory = (pids) => pids.map((pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])).reduce((a, b) => a + b, 0);

if (process.send) {
  await serve();
} else {
  const origin = fork(fileURLToPath(import.meta.url), process.argv.slice(2));
  const { url } = await new Promise((done) => { origin.once('message', done); });
  const endings = [];
  const relay = await Relay.start({ name: 'bench', after: (end) => endings.push(end) }, {
    config: { server: { workers: 1 }, providers: [provider({ name: 'bench', url })], logging: { level: 'warn', output: 'stderr' } },
  });
  await measure('direct', url);
  const idle = memory(relay.processes());
  const before = cpu(relay.processes());
  let busy = 0;
  await measure('relay', relay.url, () => { busy = memory(relay.processes()); });
  console.log(`relay    ${((cpu(relay.processes()) - before) / (streams * events)).toFixed(1)} us CPU an event; ${idle} KiB idle, ${((busy - idle) * 1024 / streams).toFixed(0)} B a stream`);
  for (const end of endings) await end();
  origin.kill();
}
