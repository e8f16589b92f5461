// SPDX-License-Identifier: Apache-2.0
// Every command that a document tells people to type works: it is run here, or by the test that support/commands.mjs
// names.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from './support/test.mjs';
import { blocksElsewhere, elsewhere, exits, filled, instead, needed } from './support/commands.mjs';
import { documents, steps } from './support/documents.mjs';
import { root } from './support/relay.mjs';
import { SERVES, World } from './support/world.mjs';

const all = documents().map((file) => ({ file, steps: steps(file) }));
const cure = 'Correct the command or the document, or add a row to tests/e2e/support/commands.mjs.';

const rowOf = (text) => elsewhere.find(([start]) => `${text}\n`.startsWith(start));

/** a|b|c in a command stands for three commands. */
function alternatives(text) {
  const found = /(?<=^ccrelay [\w ]*)[\w-]+(?:\|[\w-]+)+/.exec(text);
  return found ? found[0].split('|').map((word) => text.replace(found[0], word)) : [text];
}

/** The commands that are run for one in inline code. */
function concrete(text) {
  const other = instead.find(([pattern]) => pattern.test(text));
  if (other) return [text.replace(other[0], other[1])];
  return alternatives(filled.reduce((command, [from, to]) => command.replace(from, to), text));
}

/** Runs a command; a fault says where it stands and what to do. */
async function attempt(world, command, place) {
  await world.run(command, { place, codes: codesOf(command) }).catch((error) => { throw new Error(`${error.message}\n${cure}`); });
}

const codesOf = (text) => exits.find(([start]) => text.startsWith(start))?.[1] ?? [0];

// What serves in a block begins on free ports; everything else finds a relay, or what the document asks to be there.
async function prepare(world, file, commands) {
  if (commands.some((text) => SERVES.test(text))) await world.stop();
  else if (!world.servers.length) await world.run(needed[file] ?? 'ccrelay run', { place: `what the commands of ${file} need` });
}

async function runBlock(world, file, { commands }) {
  await prepare(world, file, commands.map(({ text }) => text));
  for (const { line, text } of commands) {
    if (rowOf(text)) continue;
    const [command] = instead.some(([pattern]) => pattern.test(text)) ? concrete(text) : [text];
    await attempt(world, command, `${file}:${line}`);
  }
}

const runsHere = ({ commands }) => commands?.some(({ text }) => !rowOf(text));
for (const { file, steps: list } of all) {
  test(`${file}: every block of commands says that it is sh`, () => {
    for (const { line, unmarked } of list) assert.ok(!unmarked, `${file}:${line}: begin this block with \`\`\`sh, so that it is run.`);
  });

  if (blocksElsewhere[file] || !list.some(runsHere)) continue;
  test(`${file}: the blocks of commands work`, async (t) => {
    const world = await World.make(t);
    for (const step of list) {
      if (step.file) world.save(step.file, step.text);
      else if (step.commands) await runBlock(world, file, step);
    }
  });
}

test('the commands in inline code work', async (t) => {
  const world = await World.make(t);
  const faults = [];
  const done = new Set();
  for (const { file, steps: list } of all) {
    for (const { line, inline } of list) {
      if (!inline || rowOf(inline) || done.has(inline)) continue;
      done.add(inline);
      for (const command of concrete(inline)) {
        await prepare(world, file, [command]);
        await attempt(world, command, `${file}:${line}`).catch((error) => faults.push(error.message));
        if (SERVES.test(command)) await world.stop();
      }
    }
  }
  assert.ok(done.size > 30, `${done.size} commands`);
  assert.equal(faults.length, 0, faults.join('\n\n'));
});

test('what is tested elsewhere is', () => {
  const rows = [...Object.entries(blocksElsewhere), ...elsewhere];
  for (const [name, { by, has, because }] of rows) {
    assert.ok(because, `${name}: say why it is not run here`);
    if (by) assert.ok(readFileSync(path.join(root, by), 'utf8').includes(has), `${name}: ${by} no longer has "${has}". ${cure}`);
  }
  const commands = all.flatMap(({ steps: list }) => list).flatMap(({ inline, commands: block }) => (inline ? [inline] : (block ?? []).map(({ text }) => text)));
  for (const row of elsewhere) assert.ok(commands.some((text) => rowOf(text) === row), `no document has "${row[0]}" any more: remove its row`);
});
