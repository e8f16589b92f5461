// SPDX-License-Identifier: Apache-2.0
// test of node:test with a time limit, so that a test that hangs fails under its name.
import { test as plain } from 'node:test';
import { patience } from './relay.mjs';

export const test = (name, body, timeout = 120_000 * patience) => plain(name, { timeout }, body);
