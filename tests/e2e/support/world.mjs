// SPDX-License-Identifier: Apache-2.0
// A folder in which commands of the documents run as a user would type them: an own home, ccrelay on PATH, the files of
// the repository, a provider, and free ports in place of those that the documents name.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { binary, freePort, get, patience, root, secret } from './relay.mjs';
import { Upstream, healthy } from './upstream.mjs';

const PORTS = ['8787', '8788', '8791', '8792', '9001', '9002'];
/** Commands that run until they are ended. */
export const SERVES = /^(?:build\/)?ccrelay (?:run|demo)\b/;
const POLICY = "local relay = require 'ccrelay'\nreturn function(exchange) return exchange:first(relay.upstreams(exchange)) end\n";

// curl fails when the answer is an error. In place of Claude Code, curl asks one question with the credentials that it
// would send.
const programs = {
  curl: (real) => `#!/bin/sh\nexec ${real} --fail-with-body --max-time 30 "$@"\n`,
  claude: (real) => `#!/bin/sh
if [ "$1" = -p ]; then shift 2; fi
exec ${real} -sS --fail-with-body --max-time 30 "\${ANTHROPIC_BASE_URL:-http://127.0.0.1:8787}/v1/messages" -H 'anthropic-version: 2023-06-01' \\
  -H "x-api-key: $ANTHROPIC_API_KEY" -H "authorization: Bearer $ANTHROPIC_AUTH_TOKEN" \\
  -d '{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}' "$@"\n`,
};

const serve = healthy();
const provider = (request, reply) => (request.target.startsWith('/v1/models') ? reply.json(200, { data: [] }) : serve(request, reply));

/** The credentials of a user who has some of every provider. */
const variables = () => ({
  ...Object.fromEntries(['ANTHROPIC_API_KEY', 'ZAI_API_KEY', 'PROXY_API_KEY', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'ANTHROPIC_FOUNDRY_API_KEY', 'AZURE_API_KEY'].map((name) => [name, secret(name)])),
  AZURE_CLIENT_SECRET: secret('azure'), AZURE_CLIENT_ID: 'app', AZURE_TENANT_ID: 'tenant', GOOGLE_CLOUD_PROJECT: 'my-project',
});

export class World {
  static async make(t) {
    const world = new World();
    world.servers = [];
    world.folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-documents-'));
    t.after(async () => { await world.stop(); rmSync(world.folder, { recursive: true, force: true }); });
    world.ports = Object.fromEntries(await Promise.all(PORTS.map(async (port) => [port, await freePort()])));
    world.upstream = await Upstream.start(t, 'provider', provider);
    world.furnish();
    return world;
  }

  file(name) {
    return path.join(this.folder, name);
  }

  /** The repository as it is; what has ports in it is copied, and `build` has the binary that is tested. */
  furnish() {
    for (const name of readdirSync(root)) {
      if (/^(build.*|\.git|config\..*)$/.test(name)) continue;
      if (name === 'examples' || name === 'policies') cpSync(path.join(root, name), this.file(name), { recursive: true });
      else symlinkSync(path.join(root, name), this.file(name));
    }
    for (const name of ['home/.config/ccrelay', 'bin', 'build']) mkdirSync(this.file(name), { recursive: true });
    symlinkSync(binary, this.file('bin/ccrelay'));
    symlinkSync(binary, this.file('build/ccrelay'));
    symlinkSync(path.dirname(binary), this.file('build/plain'));
    const curl = process.env.PATH.split(':').map((folder) => path.join(folder, 'curl')).find(existsSync) ?? 'curl';
    for (const [name, text] of Object.entries(programs)) writeFileSync(this.file(`bin/${name}`), this.here(text(curl)), { mode: 0o755 });
    for (const name of readdirSync(this.file('examples'))) {
      if (name.endsWith('.yaml')) this.save(`examples/${name}`, readFileSync(this.file(`examples/${name}`), 'utf8'));
    }
    this.save('mine.lua', POLICY);
    for (const name of ['config.yaml', 'home/.config/ccrelay/config.yaml']) this.save(name, this.configuration());
  }

  configuration() {
    return `server: {listen: "127.0.0.1:8787", workers: 1, state_dir: ${this.file('state')}}
providers:
  - {name: anthropic, type: anthropic, base_url: "${this.upstream.url}", transparent: false, keys: [{key: "\${ANTHROPIC_API_KEY}"}]}
`;
  }

  /** Puts this world's ports and provider in the place of those that a document names. */
  here(text) {
    const moved = PORTS.reduce((all, port) => all.replaceAll(new RegExp(`(127\\.0\\.0\\.1|localhost):${port}\\b`, 'g'), `$1:${this.ports[port]}`), text);
    return moved.replaceAll('https://api.z.ai/api/anthropic', this.upstream.url);
  }

  /** Saves a file of a document. A configuration has the default addresses unless it names others. */
  save(name, text) {
    const missing = ['server: {listen: "127.0.0.1:8787"}', 'admin: {listen: "127.0.0.1:8788"}']
      .filter((line) => name.endsWith('.yaml') && !text.includes(`\n${line.split(' ')[0]}`) && !text.startsWith(line.split(' ')[0]));
    writeFileSync(this.file(name), this.here([text, ...missing, ''].join('\n')), { mode: 0o600 });
    if (statSync(this.file(name)).mode & 0o077) chmodSync(this.file(name), 0o600);
  }

  spawn(script) {
    const { PATH, ASAN_OPTIONS, TSAN_OPTIONS } = process.env;
    const env = {
      PATH: `${this.file('bin')}:${PATH}`, HOME: this.file('home'), CCRELAY_ROOT: root, LC_ALL: 'C.UTF-8', ASAN_OPTIONS, TSAN_OPTIONS,
      CCRELAY_BIN: binary, CCRELAY_LIB: process.env.CCRELAY_LIB ?? path.join(path.dirname(binary), 'libccrelay.so'), ...variables(),
    };
    // What one block exports is there in the next, as in one terminal.
    const text = `[ ! -f .exports ] || . ./.exports\n${script}\n`;
    const child = spawn('bash', ['-ec', text], { cwd: this.folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const job = { child, output: '' };
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => { job.output += bytes; });
    job.exited = new Promise((done) => child.on('close', (code) => { job.code = code; done(code); }));
    return job;
  }

  /** Runs a command to its end, or leaves it running if it serves. Throws with its output if it fails. */
  async run(command, { codes = [0], place = '' } = {}) {
    const text = this.here(command);
    if (SERVES.test(command)) return this.serve(text, place);
    const job = this.spawn(`${text}\nexport -p | grep -v "declare -x [A-Z]*PWD" > .exports`);
    const timer = setTimeout(() => job.child.kill('SIGKILL'), 60_000 * patience);
    await job.exited;
    clearTimeout(timer);
    assert.ok(codes.includes(job.code), `${place}: ${command}\nended with ${job.code}\n${job.output}`);
  }

  async serve(text, place) {
    const port = Number(/--listen \S+:(\d+)/.exec(text)?.[1] ?? this.ports['8787']);
    const job = this.spawn(`exec ${text}`);
    this.servers.push(Object.assign(job, { place, text }));
    const until = performance.now() + 15_000 * patience;
    while (job.code === undefined && performance.now() < until) {
      if ((await get(`http://127.0.0.1:${port}/health`).catch(() => null))?.status === 200) return;
      await sleep(20);
    }
    assert.fail(`${place}: ${text}\ndoes not serve at ${port}\n${job.output}`);
  }

  /** Ends what serves, as Ctrl-C does. */
  async stop() {
    for (const server of this.servers.splice(0)) {
      if (server.code === undefined) server.child.kill('SIGTERM');
      assert.equal(await server.exited, 0, `${server.place}: ${server.text}\nended with ${server.code}\n${server.output}`);
    }
  }
}
