// SPDX-License-Identifier: Apache-2.0
// Runs a failure of failures.mjs twice at the same time, directly and through the relay, each with its own provider that
// fails in the same way, and compares what the client's user sees: a success must stay a success; a failure must have the
// same status, message and retry-after; the relay may take at most 1.5 times as long.
//
// Fields of a row, beside section, name, clients and first (() => handlers of support/upstream.mjs):
//   run(client, again)   sends the requests and returns the records; one stream unless given; again({ key }) makes another client
//   client               options of the client: key, retries, headers; or a function of t that returns them
//   entry, config        settings of the first provider, and sections of the configuration
//   others(t)            { providers, env }: the other providers of the relay; the direct run has the first one only
//   reach(t, first)      the address of the first provider, for both runs
//   policy, wrap         as for Relay.start
//   direct               () => handlers of the direct run in place of first; false: there is no direct run
//   sum                  compares the number of failures only, not which records failed
//   alone, grace         runs while no other row does; ms that the relay may take longer
//   expect               fields of the last record (values or patterns), whatever the direct run gave
//   check(seen)          further assertions on { name, direct, records, first, relay } and what others() returned
import assert from 'node:assert/strict';
import { Relay, patience, provider, secret } from './relay.mjs';
import { Upstream } from './upstream.mjs';

/** How much longer than the direct run the relay may take, in ms, for a loaded machine and the start of a client. */
const grace = (row, name) => (row.grace ?? (name === 'claude' ? 4000 : 1000)) * patience;

/** Sends one request for a stream; rows that need more have their own `run`. */
const once = async (client) => [await client.ask({ stream: true })];

async function drive(row, start, url, options) {
  const began = performance.now();
  const records = await (row.run ?? once)(start(url, options), (more) => start(url, { ...options, ...more }));
  for (const record of records) record.since = record.at - began;
  return { records, ms: performance.now() - began };
}

const reached = async (t, row, first) => (await row.reach?.(t, first)) ?? first.url;

/** The direct run: the first provider, or the one that the row gives for it. */
async function directly(t, row, start, options) {
  if (row.direct === false) return null;
  const first = await Upstream.start(t, 'first', (row.direct ?? row.first)());
  return { first, ...(await drive(row, start, await reached(t, row, first), options)) };
}

/** The relay with the first provider and those that the row adds. */
async function relayed(t, row, start, options) {
  const first = row.first ? await Upstream.start(t, 'first', row.first()) : null;
  const { providers = [], env, ...watched } = (await row.others?.(t, options)) ?? {};
  const own = first ? [provider(first, { priority: 9, base_url: await reached(t, row, first), ...row.entry })] : [];
  const { server, ...more } = row.config ?? {};
  const config = { server: { auth: { api_key: options.key }, ...server }, providers: [...own, ...providers], ...more };
  const relay = await Relay.start(t, { config, env, policy: row.policy, wrap: row.wrap });
  return { first, relay, ...watched, ...(await drive(row, start, relay.url, options)) };
}

/** A retry-after in seconds; undefined if clients cannot use it. */
function seconds(value) {
  if (/^\d+$/.test(value ?? '')) return Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.ceil((date - Date.now()) / 1000);
}

/** The retry-after must not be shorter than the true time. One that is repeated later has become shorter. A 429 without one gets a second. */
function retryAfterHolds(direct, relay) {
  const [wanted, told] = [seconds(direct.retryAfter), seconds(relay.retryAfter)];
  if (wanted === undefined) return relay.status === 429 ? told === 1 : told === undefined;
  return told <= wanted + 1 && told >= wanted - 1 - Math.ceil(relay.since / 1000);
}

/** Compares one record of the relay with that of the direct run; fields in `expect` are compared with it instead. */
function compareRecord(direct, relay, expect, alone) {
  const told = `directly ${brief(direct)}\nrelayed ${brief(relay)}`;
  if (direct.ok) {
    assert.ok(relay.ok, `it works directly, not through the relay\n${told}`);
    if (alone) assert.equal(relay.text, direct.text, `another answer\n${told}`);
    return;
  }
  if (relay.ok || expect.ok) return;
  for (const name of sameFields(direct)) if (!(name in expect)) assert.equal(relay[name], direct[name], `another ${name}\n${told}`);
  if (direct.status >= 400 && !('retryAfter' in expect)) assert.ok(retryAfterHolds(direct, relay), `another retry-after\n${told}`);
}

/** Compares failures. An error in a 200 or a broken connection may become an error status, and an HTML page may get a type. */
function sameFields(direct) {
  const told = direct.type ? ['type', 'message'] : [];
  return direct.status >= 400 ? ['status', 'message', 'shouldRetry', ...told] : told;
}

/** Compares what Claude Code prints, which is all that its user sees. */
function compareSentence(direct, relay, expect, alone) {
  const told = `directly ${brief(direct)}\nrelayed ${brief(relay)}`;
  if (direct.ok) assert.ok(relay.ok, `it works directly, not through the relay\n${told}`);
  if (direct.ok && alone) assert.equal(relay.text, direct.text, `another answer\n${told}`);
  if (!relay.ok && !('message' in expect)) assert.equal(relay.message, direct.message, `another sentence\n${told}`);
}

function brief({ ok, status, type, message, text, retryAfter, shouldRetry, tries, ms }) {
  return JSON.stringify({ ok, status, type, said: (message ?? text)?.slice(0, 300), retryAfter, shouldRetry, tries, ms: Math.round(ms) });
}

const failures = (records) => records.filter((record) => !record.ok).length;

class TooSlow extends Error {}

function compareTime(row, name, direct, relay) {
  const limit = Math.max(direct.ms * 1.5, direct.ms + grace(row, name));
  if (relay.ms > limit) throw new TooSlow(`it took ${Math.round(relay.ms)} ms, directly ${Math.round(direct.ms)} ms\n${summary(direct, relay)}`);
}

const summary = (direct, relay) => `directly ${direct.records.slice(0, 8).map(brief).join('\n')}\nrelayed ${relay.records.slice(0, 8).map(brief).join('\n')}`;

/** Compares how many records failed, whichever they were. */
function compareSum(direct, relay) {
  const failed = relay.records.filter((record) => !record.ok);
  assert.ok(failed.length <= failures(direct.records),
    `${failed.length} of ${relay.records.length} failed, directly ${failures(direct.records)}\n${summary(direct, { records: failed })}`);
}

/** With one provider and one key, the relay must not send more requests than the direct run. */
function compareEach(row, name, direct, relay) {
  const one = name === 'claude' ? compareSentence : compareRecord;
  const last = relay.records.length - 1;
  assert.equal(last, direct.records.length - 1);
  direct.records.forEach((record, at) => one(record, relay.records[at], (at === last && row.expect) || {}, !row.others));
  if (row.others || row.entry?.keys?.length > 1 || !failures(relay.records)) return;
  assert.ok(relay.first.requests.length <= direct.first.requests.length, `the provider got ${relay.first.requests.length} requests, directly ${direct.first.requests.length}`);
}

function compare(row, name, direct, relay) {
  if (row.sum) compareSum(direct, relay);
  else compareEach(row, name, direct, relay);
  if (failures(relay.records) === failures(direct.records)) compareTime(row, name, direct, relay);
}

/** The last record must have what the row expects: an equal value, or one that matches a pattern. */
function meets(row, { records }) {
  const last = records.at(-1);
  for (const [field, wanted] of Object.entries(row.expect ?? {})) {
    const message = `${field} is not as expected: ${brief(last)}`;
    if (wanted instanceof RegExp) assert.match(String(last[field]), wanted, message);
    else assert.equal(last[field], wanted, message);
  }
}

async function runOnce(t, row, name, start) {
  const options = { key: secret('first'), ...(typeof row.client === 'function' ? row.client(t) : row.client) };
  const [direct, relay] = await Promise.all([directly(t, row, start, options), relayed(t, row, start, options)]);
  t.diagnostic(direct ? `${Math.round(direct.ms)} ms directly, ${Math.round(relay.ms)} ms relayed` : `${Math.round(relay.ms)} ms`);
  if (direct) compare(row, name, direct, relay);
  meets(row, relay);
  await row.check?.({ name, direct, ...relay });
}

/**
 * Runs one row with one client: its name, and `start(url, options)`, which makes it. What else runs on the machine can
 * slow one of the two runs, so a row fails for its time only if it was too slow three times in a row.
 */
export async function neverWorse(t, row, name, start) {
  for (let left = 2; ; left--) {
    try {
      return await runOnce(t, row, name, start);
    } catch (error) {
      if (!(error instanceof TooSlow) || left === 0) throw error;
    }
  }
}
