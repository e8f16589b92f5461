// SPDX-License-Identifier: Apache-2.0
// Runs Claude Code as a client, in a temporary folder with its own home.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { patience } from './relay.mjs';

const home = process.env.CCRELAY_CLAUDE;
/** The path of the program; undefined if CCRELAY_CLAUDE is not set. */
export const program = home && path.join(home, `node_modules/@anthropic-ai/claude-code-${process.platform}-${process.arch}/claude`);

/** Makes a temporary folder with `home` and `work` in it, removed when the test ends. */
export function scratch(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-claude-'));
  mkdirSync(path.join(folder, 'home'));
  mkdirSync(path.join(folder, 'work'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs `claude -p prompt` with a base URL, for `limit` ms at most. Returns {code, stdout, stderr}. */
export function runClaude(url, folder, prompt, { args = [], env = {}, limit = 90_000 } = {}) {
  const { PATH, LANG } = process.env;
  const clean = {
    PATH, LANG, HOME: path.join(folder, 'home'), TMPDIR: folder, ANTHROPIC_BASE_URL: url,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1', ...env,
  };
  const child = spawn(program, ['-p', prompt, ...args, '--output-format', 'json'], { env: clean, cwd: path.join(folder, 'work'), stdio: ['ignore', 'pipe', 'pipe'] });
  const seen = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].on('data', (bytes) => { seen[name] += bytes; });
  const timer = setTimeout(() => child.kill('SIGKILL'), limit);
  return new Promise((done) => child.on('close', (code) => { clearTimeout(timer); done({ code, ...seen }); }));
}

/** A client for never_worse.mjs. Its record has the sentence that the user reads, without the address. */
export function claude(t, url, { key, limit = 60_000 * patience }) {
  const folder = scratch(t);
  const credential = key.startsWith('sk-ant-oat') ? { CLAUDE_CODE_OAUTH_TOKEN: key } : { ANTHROPIC_API_KEY: key };
  return {
    async ask({ model } = {}) {
      const began = performance.now();
      const run = await runClaude(url, folder, 'hi', { env: credential, limit, args: model ? ['--model', model] : [] });
      const ms = performance.now() - began;
      let result;
      try { result = JSON.parse(run.stdout); } catch { /* it printed something else, or was ended */ }
      const said = (result?.result ?? `${run.stdout}${run.stderr}`).replaceAll(new URL(url).host, 'HOST');
      const ok = run.code === 0 && result?.is_error === false;
      return { ok, ms, tries: 1, ...(ok ? { text: said } : { message: run.code === null ? `still silent after ${limit} ms` : said }) };
    },
  };
}
