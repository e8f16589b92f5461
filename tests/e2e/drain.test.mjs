// SPDX-License-Identifier: Apache-2.0
// Shutdown: running streams are finished, new connections are refused, a second signal ends the streams, and the exit
// code tells which it was.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Relay, ask, patience, post, provider } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';

// Streams that run until the test ends them.
async function set(t, streams) {
  let finish;
  const told = new Promise((done) => { finish = done; });
  const upstream = await Upstream.start(t, 'only', async (request, reply) => {
    const [start, ping, open] = answers.events({ text: '' });
    await reply.streamHead();
    await reply.chunk(start + ping + open);
    await told;
    await reply.chunk(answers.event('message_stop', { type: 'message_stop' }));
    await reply.finish();
  });
  const relay = await Relay.start(t, { config: { providers: [provider(upstream)] } });
  let begun = 0;
  const running = Array.from({ length: streams }, () => {
    let first = true;
    const onData = () => { if (first) begun += 1; first = false; };
    return post(relay, ask({ stream: true }), { onData }).catch((error) => error);
  });
  while (begun < streams) await sleep(10);
  return { relay, running, finish };
}

function refused(port) {
  return new Promise((done) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); done(false); });
    socket.on('error', () => done(true));
  });
}

test('SIGTERM: 200 streams are finished, new connections are refused, exit code 0', async (t) => {
  const { relay, running, finish } = await set(t, 200);
  relay.child.kill('SIGTERM');
  await relay.printed(/no new requests/);
  for (let n = 0; n < 200 && !(await refused(relay.port)); n += 1) await sleep(20 * patience);
  assert.ok(await refused(relay.port), 'new connections are taken');
  assert.ok(!relay.ended, 'it did not wait');
  finish();
  for (const answer of await Promise.all(running)) {
    assert.equal(answer.status, 200);
    assert.match(answer.text, /event: message_stop\n/);
  }
  assert.equal((await relay.exited).code, 0);
});

test('a second SIGTERM ends running streams with an error event, exit code 1', async (t) => {
  const { relay, running, finish } = await set(t, 20);
  relay.expectedCode = 1;
  relay.child.kill('SIGTERM');
  await relay.printed(/no new requests/);
  relay.child.kill('SIGTERM');
  assert.equal((await relay.exited).code, 1);
  for (const answer of await Promise.all(running)) {
    const text = answer.text ?? answer.received;
    assert.match(text, /event: error\ndata: {"type":"error"/);
    assert.doesNotMatch(text, /message_stop/);
  }
  finish();
});

test('an idle connection does not delay the end', async (t) => {
  const { relay, finish, running } = await set(t, 1);
  finish();
  await Promise.all(running);
  const socket = net.connect(relay.port, '127.0.0.1');
  await new Promise((done) => { socket.on('connect', done); });
  socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await new Promise((done) => { socket.once('data', done); });
  const ended = new Promise((done) => { socket.on('close', done); });
  socket.resume();
  relay.child.kill('SIGTERM');
  assert.equal((await relay.exited).code, 0);
  await ended;
});

// A connection on which a request arrives when the drain begins is the last to be answered.
test('from SIGTERM on /health/ready is 503, with "connection: close"', async (t) => {
  const { relay, running, finish } = await set(t, 1);
  const socket = net.connect(relay.port, '127.0.0.1');
  let text = '';
  socket.on('data', (bytes) => { text += bytes; });
  const ended = new Promise((done) => { socket.on('close', done); });
  await new Promise((done) => { socket.on('connect', done); });
  socket.write('GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n');
  while (!text.includes('"ready"')) await sleep(10);
  assert.match(text, /^HTTP\/1.1 200 /);
  text = '';
  socket.write('GET /health/ready HTTP/1.1\r\nHost: local');
  await sleep(200 * patience);
  relay.child.kill('SIGTERM');
  await relay.printed(/no new requests/);
  for (let n = 0; n < 200 && !(await refused(relay.port)); n += 1) await sleep(20 * patience);
  socket.write('host\r\n\r\n');
  await ended;
  assert.match(text, /^HTTP\/1.1 503 [\s\S]*connection: close[\s\S]*"type":"api_error"[\s\S]*stopping/i);
  finish();
  await Promise.all(running);
  assert.equal((await relay.exited).code, 0);
});
