// SPDX-License-Identifier: Apache-2.0
// node:test with a limit on every test, so that one that hangs is named.
import { test as plain } from 'node:test';
import { patience } from './relay.mjs';

export const test = (name, body) => plain(name, { timeout: 120_000 * patience }, body);
