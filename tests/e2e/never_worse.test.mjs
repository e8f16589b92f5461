// SPDX-License-Identifier: Apache-2.0
// Runs each failure directly and through the relay, with a raw client and both SDK generations: the relay is never worse.
import { describe, it } from 'node:test';
import { clients } from './support/clients.mjs';
import { rows } from './support/failures.mjs';
import { neverWorse } from './support/never_worse.mjs';
import { patience } from './support/relay.mjs';

const only = new RegExp(process.env.CCRELAY_ROWS ?? '');

function cases(row) {
  for (const name of row.clients.filter((one) => one in clients)) {
    const title = `${row.name} (${name})`;
    if (only.test(`${row.section} ${title}`)) it(title, { timeout: 120_000 * patience }, (t) => neverWorse(t, row, name, clients[name]));
  }
}

for (const section of new Set(rows.map((row) => row.section))) {
  const own = rows.filter((row) => row.section === section);
  describe(`section ${section}`, { concurrency: 4 }, () => own.filter((row) => !row.alone).forEach(cases));
  describe(`section ${section}, one at a time`, { concurrency: 1 }, () => own.filter((row) => row.alone).forEach(cases));
}
