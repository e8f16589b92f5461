// SPDX-License-Identifier: Apache-2.0
// Keys in files of their own: read at the start, taken over when they change, in every worker.
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from './support/test.mjs';
import { ask, post, prepared, provider, secret } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

const save = (file, text) => {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
};

test('keys from files and from credentials of systemd, and a rotated one without a restart', async (t) => {
  const upstream = await Upstream.start(t, 'only');
  const relay = await prepared(t);
  const folder = path.join(relay.folder, 'secrets');
  const file = path.join(folder, 'provider-key');
  mkdirSync(folder);
  save(file, `${secret('first')}\n`);
  save(path.join(folder, 'relay-key'), secret('relay'));
  relay.configure({
    server: { auth: { api_key: '${credential:relay-key}' } },
    providers: [provider(upstream, { key: `\${file:${file}}` })],
  });
  relay.spawn(['run', '--config', relay.configPath], { CREDENTIALS_DIRECTORY: folder });
  t.after(() => relay.stop());
  await relay.ready();
  const sent = async () => {
    const answer = await post(relay, ask(), { headers: { 'x-api-key': secret('relay') } });
    assert.equal(answer.status, 200, answer.text);
    return upstream.requests.at(-1).headers['x-api-key'];
  };
  assert.equal((await post(relay, ask())).status, 401);
  assert.equal(await sent(), secret('first'));
  save(file, `${secret('second')}\n`);
  await relay.generation(2);
  for (let n = 0; n < 10; n += 1) assert.equal(await sent(), secret('second'));
  rmSync(file);
  await relay.printed(/skipped because the file of \$\{file:[^}]*provider-key\} cannot be used: there is no such file/);
});
