// SPDX-License-Identifier: Apache-2.0
// Starts the real binary with its own configuration. At the end of a test it checks that the relay exits with code 0 at
// SIGTERM, without a report of a sanitizer and without a secret in its output.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const binary = process.env.CCRELAY_BIN ?? path.join(root, 'build/plain/ccrelay');
export const canary = process.env.CCRELAY_CANARY ?? 'CANARY7f3a9d';
/** Multiplies waits, for slow machines and sanitized builds. */
export const patience = Number(process.env.CCRELAY_PATIENCE ?? 1);
export const secret = (name) => `sk-ant-api03-${canary}-${name}`;

/** Takes the UDP port until this process ends: TCP ports are shared by tests that run at the same time, this lock is not. */
function lock(port) {
  const socket = dgram.createSocket('udp4').unref();
  return new Promise((done) => {
    socket.once('error', () => done(false));
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => done(true));
  });
}

/** Tells whether a port is free. */
function isFree(port) {
  const server = net.createServer();
  return new Promise((done) => {
    server.on('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}

/** A free port, never the same twice, for no other test at the same time, and outside the range that the system uses for outgoing connections. */
export async function freePort() {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await lock(port) && await isFree(port)) return port;
  }
}

/** An entry of `providers` for an upstream of the test. */
export function provider(upstream, more = {}) {
  const { key = secret(upstream.name ?? 'dead'), priority = 1, ...rest } = more;
  return { name: upstream.name ?? 'dead', type: 'anthropic', base_url: upstream.url, keys: [{ key, priority }], ...rest };
}

/** Two entries of `providers`; the first has the higher priority. */
export function pair(first, second) {
  return [provider(first, { priority: 2 }), provider(second, { priority: 1 })];
}

export class Relay {
  /**
   * config: sections that replace the defaults; policy: text of a policy file, or undefined for
   * the strategy of the configuration; args, env: further ones. config null: no configuration.
   * wrap: a program with arguments that runs the binary.
   */
  static async start(t, { config = {}, policy, args = [], env = {}, ready = true, file, wrap = [] } = {}) {
    const relay = new Relay(t.name);
    relay.folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-test-'));
    relay.port = await freePort();
    relay.adminPort = await freePort();
    relay.configPath = path.join(relay.folder, 'config.yaml');
    relay.policyPath = file ?? path.join(relay.folder, 'policy.lua');
    if (config) relay.configure(config);
    if (policy !== undefined) relay.savePolicy(policy);
    const source = config ? ['--config', relay.configPath] : ['--listen', `127.0.0.1:${relay.port}`];
    const verb = ['run', ...(policy !== undefined || file ? [relay.policyPath] : []), ...source, ...args];
    relay.spawn(verb, env, wrap);
    t.after(() => relay.stop());
    if (ready) await relay.ready();
    return relay;
  }

  constructor(name) {
    this.name = name;
    this.output = '';
    this.expectedCode = 0;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Writes the configuration (JSON is YAML) with the ports of this relay filled in. */
  configure(config) {
    const { server, admin, ...rest } = config;
    const whole = {
      server: { listen: `127.0.0.1:${this.port}`, workers: 2, ...server },
      admin: { listen: `127.0.0.1:${this.adminPort}`, ...admin },
      logging: { level: 'debug', format: 'json', output: 'stderr' },
      ...rest,
    };
    writeFileSync(this.configPath, JSON.stringify(whole, null, 1), { mode: 0o600 });
  }

  savePolicy(text) {
    writeFileSync(this.policyPath, text, { mode: 0o600 });
  }

  spawn(args, env, more = []) {
    const { PATH, LANG, LC_ALL, ASAN_OPTIONS, TSAN_OPTIONS, CCRELAY_ROOT } = process.env;
    const base = { PATH, LANG, LC_ALL, ASAN_OPTIONS, TSAN_OPTIONS, CCRELAY_ROOT: CCRELAY_ROOT ?? root };
    const clean = Object.fromEntries(Object.entries({ ...base, HOME: this.folder, ...env }).filter(([, value]) => value !== undefined));
    const wrap = (process.env.CCRELAY_WRAP ?? '').split(' ').filter(Boolean);
    const [command, ...rest] = [...more, ...wrap, binary, ...args];
    this.child = spawn(command, rest, { env: clean, cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (bytes) => { this.output += bytes; });
    this.exited = new Promise((done) => {
      this.child.on('error', (error) => { this.output += `cannot start ${command}: ${error.message}\n`; done({ code: -1 }); });
      this.child.on('close', (code, signal) => { this.ended = { code, signal }; done(this.ended); });
    });
  }

  async ready(limit = 10_000 * patience) {
    const until = performance.now() + limit;
    while (performance.now() < until) {
      if (this.ended) break;
      const answer = await get(`${this.url}/health`).catch(() => null);
      if (answer?.status === 200) return;
      await sleep(20);
    }
    throw new Error(`the relay is not ready\n${this.output}`);
  }

  /** Waits until its output matches. */
  async printed(pattern, limit = 5_000 * patience) {
    const until = performance.now() + limit;
    while (!pattern.test(this.output)) {
      if (performance.now() > until) throw new Error(`${pattern} was not printed\n${this.output}`);
      await sleep(10);
    }
  }

  async status() {
    return JSON.parse((await get(`http://127.0.0.1:${this.adminPort}/status`)).text);
  }

  /** Waits until the generation of this number is in force in all workers. */
  async generation(number, limit = 5_000 * patience) {
    const until = performance.now() + limit;
    while ((await this.status()).generation.number < number) {
      if (performance.now() > until) throw new Error(`generation ${number} is not in force\n${this.output}`);
      await sleep(20);
    }
  }

  /** Process ids of the master and its workers. */
  processes() {
    const children = (pid) => {
      const file = `/proc/${pid}/task/${pid}/children`;
      const own = existsSync(file) ? readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number) : [];
      return own.flatMap((child) => [child, ...children(child)]);
    };
    return [this.child.pid, ...children(this.child.pid)];
  }

  descriptors() {
    return this.processes().map((pid) => {
      try { return readdirSync(`/proc/${pid}/fd`).length; } catch { return 0; }
    }).reduce((sum, count) => sum + count, 0);
  }

  /** Resident memory of all its processes, in KiB. */
  resident() {
    return this.processes().map((pid) => {
      try { return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]); } catch { return 0; }
    }).reduce((sum, size) => sum + size, 0);
  }

  commandLines() {
    return this.processes().map((pid) => {
      try { return readFileSync(`/proc/${pid}/cmdline`, 'latin1'); } catch { return ''; }
    }).join('\n');
  }

  async stop() {
    if (this.stopped) return;
    this.stopped = true;
    const lines = this.ended ? '' : this.commandLines();
    if (!this.ended) this.child.kill('SIGTERM');
    const late = sleep(15_000 * patience, 'late', { ref: false });
    if ((await Promise.race([this.exited, late])) === 'late') {
      const left = `left are\n${this.commandLines()}\n${JSON.stringify(await this.status().catch((error) => error.message))}`;
      const pids = this.processes();
      for (const pid of pids) try { process.kill(pid, 'SIGKILL'); } catch { /* gone */ }
      this.keep();
      assert.fail(`the relay did not end on SIGTERM, ${left}\n${this.output}`);
    }
    this.keep();
    rmSync(this.folder, { recursive: true, force: true });
    assert.ok(!this.output.includes(canary), `a secret was printed\n${this.output}`);
    assert.ok(!lines.includes(canary), 'a secret stands in a command line');
    assert.doesNotMatch(this.output, /ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer/, 'a report of a sanitizer');
    if (!this.expectTraceback) assert.doesNotMatch(this.output, /stack traceback/);
    assert.equal(this.ended.code, this.expectedCode, `exit code (signal ${this.ended.signal})\n${this.output}`);
  }

  keep() {
    const folder = process.env.CCRELAY_OUTPUT;
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    const name = this.name.replace(/[^\w]+/g, '-').slice(0, 60);
    appendFileSync(path.join(folder, `${name}.log`), this.output);
  }
}

/** Makes the folder and ports of a relay without starting it, so that a test can put files there first. */
export async function prepared(t) {
  const relay = new Relay(t.name);
  relay.folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-test-'));
  relay.port = await freePort();
  relay.adminPort = await freePort();
  relay.configPath = path.join(relay.folder, 'config.yaml');
  relay.policyPath = path.join(relay.folder, 'policy.lua');
  return relay;
}

/** Runs a command of the binary and returns its exit code and output. */
export function run(args, env = {}) {
  const { PATH, ASAN_OPTIONS, CCRELAY_ROOT } = process.env;
  const clean = Object.fromEntries(Object.entries({ PATH, ASAN_OPTIONS, CCRELAY_ROOT: CCRELAY_ROOT ?? root, ...env }).filter(([, value]) => value !== undefined));
  const child = spawn(binary, args, { env: clean, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => { output += bytes; });
  return new Promise((done) => child.on('close', (code) => {
    assert.ok(!output.includes(canary), `a secret was printed\n${output}`);
    done({ code, output });
  }));
}

/** GET over a new connection, for polling. */
export function get(url, headers = {}) {
  return send(url, { headers });
}

/** Sends one request over a new connection, or over `agent`. Resolves to status, headers and body, or rejects. */
export function send(url, { method = 'GET', headers = {}, body, agent = false, onData } = {}) {
  const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
  const parts = [];
  return new Promise((done, failed) => {
    const fail = (error) => failed(Object.assign(error, { received: Buffer.concat(parts).toString() }));
    const request = http.request(url, { method, headers: given, agent }, (answer) => {
      answer.on('data', (bytes) => { parts.push(bytes); onData?.(bytes, request); });
      answer.on('error', fail);
      answer.on('end', () => {
        const bytes = Buffer.concat(parts);
        done({ status: answer.statusCode, headers: answer.headers, raw: answer.rawHeaders.join('\n'), bytes, text: bytes.toString() });
      });
    });
    request.on('error', fail);
    if (body !== undefined) request.write(body);
    request.end();
  });
}

export const version = { 'anthropic-version': '2023-06-01', 'content-type': 'application/json' };

/** POST of a Messages body (object or bytes) to a relay. */
export function post(relay, body, { headers = {}, target = '/v1/messages?beta=true', ...rest } = {}) {
  const bytes = Buffer.isBuffer(body) || typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  return send(relay.url + target, { method: 'POST', headers: { ...version, 'content-length': bytes.length, ...headers }, body: bytes, ...rest });
}

export const ask = (more = {}) => ({ model: 'claude-test-1', max_tokens: 64, messages: [{ role: 'user', content: 'hi' }], ...more });

/** The relay's /status. */
export async function status(relay) {
  return JSON.parse((await get(`http://127.0.0.1:${relay.adminPort}/status`)).text);
}

/**
 * Reloads so many times by SIGHUP, with a request by use() before each. Returns the memory of all processes, in KiB,
 * after the tenth reload, after the last, and at most. 400 requests come first, so that what is allocated only once
 * does not count.
 */
export async function reloadsKept(relay, count, use) {
  for (let n = 0; n < 400; n += 1) await use();
  let early;
  let most = 0;
  for (let n = 1; n <= count; n += 1) {
    await use();
    process.kill(relay.child.pid, 'SIGHUP');
    await relay.generation(n + 1);
    most = Math.max(most, relay.resident());
    if (n === 10) early = relay.resident();
  }
  return { early, late: relay.resident(), most };
}

/** Waits until what() is true, and returns whether it was in time. */
export async function until(what, limit = 10_000 * patience) {
  const end = performance.now() + limit;
  while (performance.now() < end) {
    if (await what()) return true;
    await sleep(20);
  }
  return false;
}
