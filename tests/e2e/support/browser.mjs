// SPDX-License-Identifier: Apache-2.0
// A headless Chromium of the distribution. It notes every address that a page asks for, errors of the page, and
// messages of the console.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { canary, patience } from './relay.mjs';

const CHROMIUM = process.env.CCRELAY_CHROMIUM ?? '/usr/bin/chromium';

/** Why there can be no browser; undefined if there can. */
export const missing = existsSync(CHROMIUM) ? Number(process.versions.node.split('.')[0]) < 20 && 'playwright-core needs Node 20'
  : `there is no ${CHROMIUM} (package chromium)`;

/** Opens a browser that is closed when the test ends. Its pages are opened with page(options). */
export async function browser(t) {
  const { chromium } = await import('playwright-core');
  const whole = await chromium.launch({ executablePath: CHROMIUM, args: ['--enable-precise-memory-info', '--js-flags=--expose-gc'] });
  t.after(() => whole.close());
  return { page: (options) => open(whole, options) };
}

async function open(whole, options = {}) {
  const context = await whole.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000 * patience);
  page.asked = [];
  page.faults = [];
  page.on('request', (request) => page.asked.push(request.url()));
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('console', (message) => { if (message.type() === 'error') page.faults.push(message.text()); });
  return page;
}

/** What axe finds wrong with a page (https://github.com/dequelabs/axe-core), as texts. */
export async function accessibility(page) {
  const { AxeBuilder } = await import('@axe-core/playwright');
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target} ${node.failureSummary}`));
}

/** Checks what holds for every page: only its own addresses, no errors, nothing secret, accessible. */
export async function sound(page, origin) {
  assert.deepEqual(page.asked.filter((url) => !url.startsWith(`${origin}/`)), []);
  assert.deepEqual(page.faults, []);
  assert.ok(!(await page.content()).includes(canary), 'a secret is on the page');
  assert.deepEqual(await accessibility(page), []);
}

/** Keeps a picture of the page among the outputs of the tests. */
export async function picture(page, name) {
  const folder = process.env.CCRELAY_OUTPUT;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `dashboard-${name}.png`), fullPage: true });
}
