// SPDX-License-Identifier: Apache-2.0
// An address that never answers a connection attempt.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';

/** Makes ::1 on this port leave connection attempts unanswered: its queue is full, and nobody accepts. Returns false if there is no IPv6. */
export async function blackhole(t, port) {
  const script = `require('node:net').createServer().listen({ port: ${port}, host: '::1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, 'listening');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }).on('error', () => process.exit(1))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const listens = await Promise.race([once(child.stdout, 'data').then(() => true), once(child, 'exit').then(() => false)]);
  if (!listens) return false;
  const fill = Array.from({ length: 4 }, () => net.connect(port, '::1').on('error', () => {}));
  t.after(() => fill.forEach((socket) => socket.destroy()));
  await Promise.all(fill.slice(0, 2).map((socket) => once(socket, 'connect')));
  return true;
}
