// SPDX-License-Identifier: Apache-2.0
// Shows the relay itself: alerts, key figures, the generation in force, reloads, processes.
import { heads } from './exchanges.js';
import { attribute, bytes, clock, duration, facts, find, follow, make, milliseconds, percent, text } from './dom.js';

const COLUMNS = ['Process', 'Pid', 'Open', 'CPU', 'Memory', 'Loop lag p50', 'p99', 'Up'];
const NUMBERS = new Set(COLUMNS.slice(1));

function alertsOf({ relay, helpers }) {
  const list = [];
  if (relay.reloads.fault) list.push(['fault', `The last reload was refused; generation ${relay.generation.number} stays in force. ${relay.reloads.fault}`]);
  const aside = relay.policy_aside;
  if (aside) list.push(['aside', `The policy failed and was put aside; ${aside.instead} serves instead until the file changes. ${aside.why}`]);
  if (relay.draining) list.push(['drain', 'The relay is draining: it takes no new requests.']);
  for (const one of helpers) if (one.fault) list.push([one.name, `The ${one.name} process cannot work: ${one.fault}`]);
  if (relay.log_dropped > 0) list.push(['log', `${relay.log_dropped} log lines were lost: the log output is too slow.`]);
  return list;
}

function errorShare(providers) {
  let attempts = 0, failures = 0;
  for (const { lately } of providers) { attempts += lately.attempts; failures += lately.failures; }
  return attempts ? percent(failures / attempts) : '–';
}

function showVitals(news) {
  const { relay, providers } = news;
  const keys = providers.flatMap((one) => one.keys);
  const ready = keys.filter((key) => key.state === 'ready' || key.state === 'half_open').length;
  const pairs = [['Requests a second', String(news.rate)], ['Under way', String(relay.open)],
    ['Failed attempts', errorShare(providers)], ['Keys ready', `${ready} of ${keys.length}`],
    ['Generation', String(relay.generation.number)], ['Up', duration(relay.uptime_ms / 1000)]];
  find('#vitals').hidden = false;
  facts(find('#vitals'), news.records.most > 0 ? pairs : pairs.filter(([name]) => !['Requests a second', 'Failed attempts'].includes(name)));
}

function showGeneration({ relay }) {
  facts(find('#generation'), [['Number', String(relay.generation.number)],
    ['In force since', new Date(relay.generation.loaded).toLocaleString([], { hour12: false })],
    ['Configuration', relay.configuration], ['Policy', relay.policy], ['Listening on', relay.listen.join(', ')],
    ['Reloads', `${relay.reloads.done} done, ${relay.reloads.refused} refused`],
    ['Workers replaced', String(relay.restarts)]]);
}

function reloadText(entry) {
  if (entry.fault) return `refused: ${entry.fault}`;
  return entry.policy_aside ? `generation ${entry.generation}, in place of a failing policy` : `generation ${entry.generation} in force`;
}

function showReloads({ relay }) {
  const list = relay.reloads.history.length ? relay.reloads.history : [{ at: 0 }];
  follow(find('#reloads'), list, (one) => `${one.at} ${one.generation ?? one.fault}`, (one) => {
    if (!one.at) return make('li', { class: 'quiet' }, 'none since the start');
    return make('li', { 'data-state': one.fault ? 'open' : 'ready' }, make('time', {}, clock(one.at)), ' ', make('span', {}, reloadText(one)));
  }, () => {});
}

// Lag is counted in buckets: this is the bound of one.
const below = (value) => (value === undefined ? '' : `≤ ${milliseconds(value)}`);

function row(values) {
  return [values.name, values.pid, values.open ?? '', values.cpu === undefined ? '' : percent(values.cpu),
    values.memory_bytes ? bytes(values.memory_bytes) : '', below(values.lag_ms?.p50), below(values.lag_ms?.p99),
    values.uptime_ms === undefined ? '' : duration(values.uptime_ms / 1000)];
}

function showWorkers(news) {
  const table = find('#workers');
  if (!table.firstElementChild) table.append(heads(COLUMNS, NUMBERS), make('tbody'));
  const list = [...news.workers.map((one) => ({ ...one, name: `worker ${one.slot}` })),
    ...news.helpers, { ...news.master, name: 'master', uptime_ms: news.relay.uptime_ms }];
  follow(table.lastElementChild, list, (one) => one.name,
    () => make('tr', {}, ...COLUMNS.map((name) => make('td', { class: NUMBERS.has(name) ? 'number' : undefined }))),
    (element, one) => row(one).forEach((value, index) => text(element.children[index], String(value))));
}

export function show(news) {
  text(find('#version'), news.relay.version);
  follow(find('#alerts'), alertsOf(news), ([kind]) => kind, () => make('p', { class: 'alert' }),
    (element, [, message]) => text(element, message));
  showVitals(news);
  find('#relay').hidden = false;
  find('#no-records').hidden = news.records.most > 0;
  showGeneration(news);
  showReloads(news);
  showWorkers(news);
  attribute(find('#link'), 'title', `from ${location.host}`);
}
