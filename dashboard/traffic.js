// SPDX-License-Identifier: Apache-2.0
// Draws requests, tokens and cost over time, stacked by model, client, token class or outcome.
import { attribute, clock, cost, count, find, follow, make, text } from './dom.js';

const MOST = 7; // series with a colour of their own; the smaller ones are "all others"
const OTHERS = 'all others';
const MEASURES = ['requests', 'tokens', 'cost'];
const KINDS = { input: 'input', output: 'output', cache_read: 'cache read', cache_write: 'cache write' };
const PER = { fine: 'per 5 seconds', coarse: 'per 10 minutes' };

const series = { fine: null, coarse: null };
let plot, shape, shown, cursor = null;

// ---- Rows -----------------------------------------------------------------------------------------

function begin(name, given) {
  series[name] = { step: given.step_ms, count: given.count, rows: new Map(given.rows.map((row) => [row.t, row])) };
}

function add(name, rows, now) {
  const one = series[name];
  for (const row of rows) one.rows.set(row.t, row);
  for (const t of one.rows.keys()) if (t <= now - one.step * (one.count + 1)) one.rows.delete(t);
}

const choice = () => ({ measure: Number(find('#measure').value), split: find('#split').value, span: find('#span').value });

// The values of a row by name.
function valuesOf(row, { measure, split }) {
  const entries = Object.entries(row[split]);
  if (split === 'kind') return entries.map(([name, value]) => [KINDS[name], value]);
  return split === 'outcome' ? entries : entries.map(([name, sums]) => [name, sums[measure]]);
}

function sums(rows, chosen) {
  const found = new Map();
  for (const row of rows.values()) for (const [name, value] of valuesOf(row, chosen)) found.set(name, (found.get(name) ?? 0) + value);
  return found;
}

// Names by size; those beyond MOST share the last.
function namesOf(totals) {
  const sorted = [...totals].filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([name]) => name);
  return sorted.length <= MOST ? sorted : [...sorted.slice(0, MOST - 1), OTHERS];
}

// The layers of the stack: times, then for each name its values added to those of the names before it.
function layers(one, names, chosen, now) {
  const last = Math.floor(now / one.step) * one.step;
  const times = Array.from({ length: one.count }, (_, index) => last - (one.count - 1 - index) * one.step);
  const place = new Map(names.map((name, index) => [name, index]));
  const rest = place.get(OTHERS);
  const values = names.map(() => new Array(times.length).fill(0));
  times.forEach((t, index) => {
    const row = one.rows.get(t);
    if (!row) return;
    for (const [name, value] of valuesOf(row, chosen)) {
      const at = place.get(name) ?? rest;
      if (at !== undefined) values[at][index] += value;
    }
  });
  const stacked = values.map((list) => list.slice());
  for (let n = 1; n < stacked.length; n += 1) stacked[n].forEach((_, index) => { stacked[n][index] += stacked[n - 1][index]; });
  return { times, values, stacked };
}

// ---- The chart ------------------------------------------------------------------------------------

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (index) => style(`--series-${index + 1}`);

function axis(more) {
  return { stroke: style('--quiet'), grid: { stroke: style('--line'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif', ...more };
}

// The top layer is drawn first, so that each lower one covers a part of it.
function optionsOf(names, chosen, width) {
  const figure = chosen.measure === 2 ? cost : count;
  const layer = (_, index) => ({ fill: colour(names.length - 1 - index), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [1, 100], gap: width > 600 ? 1 : 0 }) });
  return {
    width, height: 240, legend: { show: false }, padding: [10, 8, 0, 0],
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    series: [{}, ...names.map(layer)],
    axes: [axis({ space: 70, size: 28, values: (_, times) => times.map((t) => clock(t * 1000).slice(0, chosen.span === 'fine' ? 8 : 5)) }),
      axis({ size: 58, values: (_, list) => list.map((value) => (value === 0 ? '0' : figure(value))) })],
    hooks: { setCursor: [(self) => { cursor = self.cursor.idx ?? null; legend(); }] },
  };
}

function legend() {
  const { names, totals, data, chosen } = shown;
  const figure = chosen.measure === 2 ? cost : count;
  const at = cursor !== null && cursor !== undefined && cursor < data.times.length ? cursor : null;
  const rows = names.map((name, index) => ({ name, index, value: at === null ? totals.get(name) ?? 0 : data.values[index][at] }));
  if (at === null && names.includes(OTHERS)) {
    const own = new Set(names);
    rows.at(-1).value = [...totals].reduce((sum, [name, value]) => (own.has(name) ? sum : sum + value), 0);
  }
  text(find('#traffic-table caption'), `${find('#measure').selectedOptions[0].text} ${PER[chosen.span]}`);
  text(find('#traffic-table thead th:last-child'), at === null ? 'Sum' : `At ${clock(data.times[at])}`);
  follow(find('#traffic-table tbody'), rows, (one) => one.name,
    (one) => make('tr', {}, make('th', { scope: 'row' }, make('i', { class: 'swatch', 'aria-hidden': 'true' }), make('span', {}, one.name)), make('td', { class: 'number' })),
    (element, one) => {
      attribute(element, 'data-series', one.name === OTHERS ? MOST : one.index + 1);
      text(element.lastElementChild, one.value === 0 ? '0' : figure(one.value));
    });
}

function moveCursor(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.key === 'Escape') plot.setCursor({ left: -10, top: -10 });
  if (!step || !plot) return;
  event.preventDefault();
  const last = shown.data.times.length - 1;
  const next = Math.min(Math.max((cursor ?? last + (step < 0 ? 1 : 0)) + step, 0), last);
  plot.setCursor({ left: plot.valToPos(shown.data.times[next] / 1000, 'x'), top: 10 });
}

// What cannot be split that way is not offered.
function fit() {
  const measure = find('#measure'), split = find('#split');
  const rows = [...(series.fine?.rows.values() ?? []), ...(series.coarse?.rows.values() ?? [])];
  const priced = rows.some((row) => Object.values(row.model).some((sum) => sum[2] > 0));
  measure.options[2].hidden = measure.options[2].disabled = !priced;
  if (!priced && measure.value === '2') measure.value = '0';
  const allowed = { model: true, client: true, kind: measure.value === '1', outcome: measure.value === '0' };
  for (const option of split.options) option.hidden = option.disabled = !allowed[option.value];
  if (!allowed[split.value]) split.value = 'model';
  return rows.length > 0;
}

function note(one, chosen) {
  const unknown = [...one.rows.values()].reduce((sum, row) => sum + row.unknown, 0);
  const element = find('#traffic-note');
  element.hidden = chosen.measure !== 2 || unknown === 0;
  text(element, `The cost of ${unknown} ${unknown === 1 ? 'answer' : 'answers'} is not known: no price, or no usage. It is not in the chart.`);
}

function paint(now) {
  const section = find('#traffic');
  section.hidden = !fit();
  if (section.hidden) return;
  const chosen = choice(), one = series[chosen.span];
  const totals = sums(one.rows, chosen), names = namesOf(totals);
  const data = layers(one, names, chosen, now), width = Math.floor(find('#chart').clientWidth);
  shown = { names, totals, data, chosen, now };
  const wanted = JSON.stringify([names, chosen, width, style('--paper')]);
  const drawn = [data.times.map((t) => t / 1000), ...data.stacked.slice().reverse()];
  if (wanted !== shape) {
    plot?.destroy();
    cursor = null;
    plot = new uPlot(optionsOf(names, chosen, width), drawn, find('#chart'));
    shape = wanted;
  } else {
    plot.setData(drawn);
  }
  attribute(find('#chart'), 'aria-label', `${MEASURES[chosen.measure]} ${PER[chosen.span]}, by ${find('#split').selectedOptions[0].text}; arrow keys show one step`);
  note(one, chosen);
  legend();
}

export function redraw() {
  if (shown || series.fine) paint(shown?.now ?? Date.now());
}

export function past(given) {
  begin('fine', given.fine);
  begin('coarse', given.coarse);
  paint(given.at);
}

export function show(news) {
  add('fine', news.fine, news.at);
  add('coarse', news.coarse, news.at);
  paint(news.at);
}

for (const id of ['#measure', '#split', '#span']) find(id).addEventListener('change', redraw);
find('#chart').addEventListener('keydown', moveCursor);
find('#chart').addEventListener('blur', () => plot?.setCursor({ left: -10, top: -10 }));
new ResizeObserver(redraw).observe(find('#chart'));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
