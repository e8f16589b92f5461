// SPDX-License-Identifier: Apache-2.0
// What systemd is told by the real binary: ready when all workers serve, each reload, stopping, and the watchdog.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from './support/test.mjs';
import { Relay, provider, until } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

// Node has no datagram sockets of the file system. Each message is one line; its own lines are divided by "|".
const LISTENER = `use Socket; socket(my $s, AF_UNIX, SOCK_DGRAM, 0); bind($s, sockaddr_un($ARGV[0])) or die $!;
$| = 1; while (defined recv($s, my $m, 4096, 0)) { $m =~ tr/\\n/|/; print "$m\\n" }`;

async function manager(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-notify-'));
  const socket = path.join(folder, 'socket');
  const child = spawn('perl', ['-e', LISTENER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  const self = { socket, text: '' };
  child.stdout.on('data', (bytes) => { self.text += bytes; });
  t.after(() => { child.kill(); rmSync(folder, { recursive: true }); });
  assert.ok(await until(() => existsSync(socket)), 'there is no socket');
  return self;
}

test('systemd is told of start, reload, refused reload and stop', async (t) => {
  const told = await manager(t);
  const upstream = await Upstream.start(t, 'only');
  const relay = await Relay.start(t, {
    config: { providers: [provider(upstream)] }, env: { NOTIFY_SOCKET: told.socket, WATCHDOG_USEC: '30000000' },
  });
  const hears = async (pattern) => assert.ok(await until(() => pattern.test(told.text)), `${pattern} was not told\n${told.text}`);
  await hears(/^READY=1\|STATUS=serving on \S+ with 2 workers, generation 1\n/m);
  relay.child.kill('SIGHUP');
  await hears(/^RELOADING=1\|MONOTONIC_USEC=\d+\|STATUS=reloading\n(WATCHDOG=1\n)*READY=1\|STATUS=serving \S+ \S+ with 2 workers, generation 2\n/m);
  relay.configure({ providers: [{ name: 'x', type: 'nothing' }] });
  await hears(/^READY=1\|.*the last reload was refused, see the log\n/m);
  await hears(/^WATCHDOG=1\n/m);
  relay.child.kill('SIGTERM');
  assert.equal((await relay.exited).code, 0);
  await hears(/^STOPPING=1\|STATUS=.*\n$/m);
  assert.ok(told.text.startsWith('READY=1') || told.text.startsWith('WATCHDOG=1'), told.text);
});
