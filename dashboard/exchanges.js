// SPDX-License-Identifier: Apache-2.0
// Lists the latest exchanges: which keys were tried, what each answered, which candidates were left out and why.
import { attribute, clock, cost, count, duration, find, follow, make, milliseconds, text } from './dom.js';

const MOST = 50;
const COLUMNS = ['Time', 'Client', 'Model', 'Trail', 'Outcome', 'First byte', 'Total', 'Tokens', 'Cost'];
const NUMBERS = new Set(['First byte', 'Total', 'Tokens', 'Cost']);

let latest = [];
const opened = new Set();

const sumOf = (tokens) => tokens && Object.values(tokens).reduce((sum, value) => sum + value, 0);

function outcomeOf(exchange) {
  const status = exchange.status ? `${exchange.status} ` : '';
  return exchange.outcome === 'ok' ? `${status}ok` : `${status}${exchange.error ?? exchange.outcome}`;
}

const answerOf = (attempt) => (attempt.raced ? 'lost the race' : attempt.error ?? attempt.status ?? '');

function trailOf(exchange) {
  return exchange.attempts.map((attempt) => {
    const good = !attempt.error && attempt.status < 400;
    return make('span', { class: 'step', 'data-state': good ? 'ready' : attempt.raced ? 'quiet' : 'open' },
      `${attempt.key} ${attempt.status && attempt.error ? `${attempt.status} ` : ''}${answerOf(attempt)}`);
  });
}

function detailLines(exchange) {
  const lines = [`id ${exchange.id}`];
  if (exchange.sent_model && exchange.sent_model !== exchange.model) lines.push(`model sent: ${exchange.sent_model}`);
  if (exchange.queued_ms) lines.push(`waited ${milliseconds(exchange.queued_ms)} for room in limits`);
  for (const attempt of exchange.attempts) {
    const how = [attempt.status, attempt.raced ? 'lost the race' : attempt.error, attempt.detail].filter(Boolean).join(' ');
    lines.push(`after ${milliseconds(attempt.at_ms)}: ${attempt.key}, ${how}${attempt.total_ms === undefined ? '' : `, took ${milliseconds(attempt.total_ms)}`}`);
  }
  for (const one of exchange.left_out) lines.push(`left out: ${one.key}, ${one.reason}`);
  if (exchange.tokens) {
    const { input, output, cache_read: read, cache_write: written } = exchange.tokens;
    lines.push(`tokens: ${input} input, ${output} output, ${read} from the cache, ${written} written to it`);
  }
  return lines;
}

// Fills the details when they are opened.
function toggle(button, detail, exchange) {
  const open = !opened.has(exchange.id);
  if (open) opened.add(exchange.id); else opened.delete(exchange.id);
  attribute(button, 'aria-expanded', open);
  detail.hidden = !open;
  const cell = detail.firstElementChild;
  if (open && !cell.childElementCount) cell.append(make('ul', {}, ...detailLines(exchange).map((line) => make('li', {}, line))));
}

const cell = (name, value) => make('td', { class: NUMBERS.has(name) ? 'number' : undefined, 'data-name': name }, ...(value === '' ? [] : [value]));

function create(exchange) {
  const body = make('tbody', {});
  const id = `exchange-${exchange.id}`;
  const button = make('button', { type: 'button', class: 'expand', 'aria-expanded': 'false', 'aria-controls': id }, clock(exchange.at));
  const values = [exchange.client ?? '–', exchange.model ?? exchange.endpoint ?? '–', null, null,
    milliseconds(exchange.first_byte_ms), milliseconds(exchange.total_ms),
    exchange.tokens ? count(sumOf(exchange.tokens)) : '', exchange.cost === undefined ? '' : cost(exchange.cost)];
  const cells = values.map((value, index) => cell(COLUMNS[index + 1], value ?? ''));
  cells[2].append(...trailOf(exchange));
  if (!exchange.attempts.length) cells[2].append(make('span', { class: 'quiet' }, 'no attempt'));
  cells[3].append(make('span', { class: 'state', 'data-state': exchange.outcome === 'ok' ? 'ready' : exchange.outcome === 'cancelled' ? 'quiet' : 'open' }, outcomeOf(exchange)));
  const detail = make('tr', { class: 'detail', id, hidden: '' }, make('td', { colspan: COLUMNS.length }));
  button.addEventListener('click', () => toggle(button, detail, exchange));
  body.append(make('tr', {}, make('td', {}, button), ...cells), detail);
  return body;
}

export function heads(columns, numbers) {
  return make('thead', {}, make('tr', {}, ...columns.map((name) => make('th', { scope: 'col', class: numbers.has(name) ? 'number' : undefined }, name))));
}

// A table has one body for each exchange: its row and its details.
function bodies(table) {
  if (!table.firstElementChild) table.append(heads(COLUMNS, NUMBERS));
  return {
    known: table.known ??= new Map(),
    get firstElementChild() { return table.firstElementChild.nextElementSibling; },
    insertBefore: (element, place) => table.insertBefore(element, place),
  };
}

// ---- Under way ------------------------------------------------------------------------------------

const OPEN_COLUMNS = ['For', 'Client', 'Model', 'Trail'];

function updateOpen(row, exchange, now) {
  const [since, client, model, trail] = row.children;
  text(since, duration((now - exchange.at) / 1000));
  text(client, exchange.client ?? '–');
  text(model, exchange.model ?? exchange.endpoint ?? '–');
  const steps = exchange.attempts.map((attempt) => `${attempt.key} ${answerOf(attempt)}`.trim());
  text(trail, steps.join(' → ') || 'waiting for an upstream');
}

function showOpen(news) {
  const section = find('#open'), table = find('table', section);
  section.hidden = news.under_way.length === 0;
  if (!table.firstElementChild) table.append(heads(OPEN_COLUMNS, new Set()), make('tbody'));
  follow(table.lastElementChild, news.under_way, (one) => one.id, () => make('tr', {}, ...OPEN_COLUMNS.map((name) => make('td', { 'data-name': name }))),
    (row, one) => updateOpen(row, one, news.at));
}

/** Forgets what was shown: the feed begins anew. */
export function begin() {
  latest = [];
}

export function show(news) {
  showOpen(news);
  const section = find('#exchanges');
  const known = new Set(latest.map((one) => one.id));
  latest = [...news.exchanges.filter((one) => !known.has(one.id)).reverse(), ...latest].slice(0, MOST);
  for (const id of opened) if (!latest.some((one) => one.id === id)) opened.delete(id);
  section.hidden = latest.length === 0;
  const holder = bodies(find('table', section));
  follow(holder, latest, (one) => one.id, create, () => {});
}
