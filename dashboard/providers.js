// SPDX-License-Identifier: Apache-2.0
// Shows providers and their keys: circuit, errors, time to the first event, headroom, and when each may be used again.
import { attribute, draw, duration, find, follow, make, milliseconds, percent, text } from './dom.js';

const CIRCUITS = { closed: 'circuit closed', half_open: 'circuit half open', open: 'circuit open' };
const STATES = { ready: 'ready', limited: 'limited', cooling: 'overloaded', aside: 'suspended', half_open: 'half open', open: 'open' };

// A switch in a wire; style.css lifts its arm when the circuit is open.
function wire() {
  return draw('svg', { class: 'wire', viewBox: '0 0 64 18', 'aria-hidden': 'true' },
    draw('path', { d: 'M2 13H22M42 13H62' }), draw('path', { class: 'arm', d: 'M22 13H42' }),
    draw('circle', { cx: 22, cy: 13, r: 2.5 }), draw('circle', { cx: 42, cy: 13, r: 2.5 }));
}

function share(lately) {
  if (!lately?.attempts) return '';
  return `${percent(lately.failures / lately.attempts)} of ${lately.attempts}`;
}

function createKey() {
  return make('li', { class: 'key' }, make('span', { class: 'key-id' }), make('span', { class: 'state' }),
    make('span', { class: 'key-figures' },
      make('span', { class: 'meter' }, make('meter', { min: 0, max: 1, low: 0.1, high: 0.3, optimum: 1 }), make('span')),
      make('span')));
}

// The smallest headroom among the configured limits and those that the provider reports for a model class.
function headroomOf(key) {
  const classes = Object.entries(key.class_headroom ?? {}).sort();
  const least = Math.min(key.headroom, ...classes.map(([, value]) => value));
  const named = classes.length ? ` (${classes.map(([name, value]) => `${name} ${percent(value)}`).join(', ')})` : '';
  return [least, `${percent(least)} headroom${named}`];
}

function updateKey(element, key, isOnly) {
  const [id, state, figures] = element.children;
  const [meter, errors] = figures.children;
  const wait = key.ready_in_ms > 0 ? `, ready in ${duration(Math.ceil(key.ready_in_ms / 1000))}` : '';
  text(id, key.id);
  text(state, `${STATES[key.state] ?? key.state}${key.reason ? ` (${key.reason})` : ''}${wait}`);
  attribute(state, 'data-state', key.state);
  const [gauge, figure] = meter.children;
  const [least, words] = headroomOf(key);
  if (gauge.value !== least) gauge.value = least;
  attribute(gauge, 'aria-label', `headroom of ${key.id}`);
  text(figure, words);
  text(errors, isOnly || !share(key.lately) ? '' : `errors ${share(key.lately)}`);
}

function createProvider() {
  return make('article', { class: 'card' },
    make('header', {}, make('h3'), make('span', { class: 'quiet' }), wire(), make('span', { class: 'state circuit' })),
    make('dl', { class: 'figures' },
      make('div', {}, make('dt', {}, 'Errors'), make('dd')),
      make('div', {}, make('dt', {}, 'First event p50 / p95'), make('dd'))),
    make('p', { class: 'quiet more' }), make('ul', { class: 'keys' }));
}

function moreOf(provider) {
  const parts = [];
  const { probe, credentials } = provider;
  if (probe) parts.push(`checked ${duration(probe.ago_ms / 1000)} ago: ${probe.reason ?? 'it accepts connections'}`);
  if (credentials && !credentials.valid) parts.push('no credentials yet');
  if (credentials?.failures > 0) parts.push(`fetching credentials has failed ${credentials.failures} times`);
  return parts.join(', ');
}

function updateProvider(element, provider) {
  const [name, type, , circuit] = find('header', element).children;
  text(name, provider.provider);
  text(type, provider.type);
  attribute(element, 'data-circuit', provider.breaker);
  text(circuit, CIRCUITS[provider.breaker]);
  attribute(circuit, 'data-state', provider.breaker === 'closed' ? 'ready' : provider.breaker);
  const [errors, times] = element.querySelectorAll('dd');
  const first = provider.lately.first_event_ms;
  text(errors, share(provider.lately) || '–');
  text(times, first ? `${milliseconds(first.p50)} / ${milliseconds(first.p95)}` : '–');
  text(find('.more', element), moreOf(provider));
  const isOnly = provider.keys.length === 1;
  follow(find('.keys', element), provider.keys, (key) => key.id, createKey, (line, key) => updateKey(line, key, isOnly));
}

export function show(news) {
  const section = find('#providers');
  section.hidden = news.providers.length === 0;
  follow(find('.cards', section), news.providers, (one) => one.provider, createProvider, updateProvider);
}
