// SPDX-License-Identifier: Apache-2.0
// Runs each failure directly and through the relay with Claude Code, which must print the same, as soon.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { claude, program } from '../support/claude.mjs';
import { rows } from '../support/failures.mjs';
import { neverWorse } from '../support/never_worse.mjs';
import { patience } from '../support/relay.mjs';

const only = new RegExp(process.env.CCRELAY_ROWS ?? '');

it('the program is there', () => assert.ok(program, 'CCRELAY_CLAUDE names no folder'));

describe('Claude Code', { concurrency: 2 }, () => {
  for (const row of rows.filter((one) => one.clients.includes('claude') && only.test(`${one.section} ${one.name}`))) {
    it(`section ${row.section}: ${row.name}`, { timeout: 120_000 * patience }, (t) => neverWorse(t, row, 'claude', (url, options) => claude(t, url, options)));
  }
});
