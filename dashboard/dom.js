// SPDX-License-Identifier: Apache-2.0
// Makes and updates elements, and writes figures. Nothing is replaced unless it has changed, so that focus, selection
// and screen readers keep their place.

const SVG = 'http://www.w3.org/2000/svg';

/** Makes an element: make('td', { class: 'number' }, 'text' or elements). */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Makes an element of SVG. */
export function draw(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const find = (selector, within = document) => within.querySelector(selector);

export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export function attribute(element, name, value) {
  if (value === undefined || value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Makes the children of a container follow a list: each item keeps its element, found by its key. */
export function follow(container, items, keyOf, create, update) {
  const known = container.known ??= new Map();
  const seen = new Set();
  let place = container.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let element = known.get(key);
    if (!element) known.set(key, element = create(item));
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else container.insertBefore(element, place);
    seen.add(key);
  }
  for (const [key, element] of known) {
    if (seen.has(key)) continue;
    element.remove();
    known.delete(key);
  }
}

/** Shows facts as a list of terms: [[term, text], ...]. */
export function facts(list, pairs) {
  follow(list, pairs, ([term]) => term, ([term]) => make('div', {}, make('dt', {}, term), make('dd')),
    (entry, [, value]) => text(entry.lastElementChild, value));
}

// ---- Figures --------------------------------------------------------------------------------------

const UNITS = [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']];

export function count(value) {
  for (const [size, unit] of UNITS) if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`;
  return String(Math.round(value * 10) / 10);
}

export function milliseconds(value) {
  if (value === undefined || value === null) return '';
  if (value < 10) return `${Math.round(value * 10) / 10} ms`;
  return value < 1000 ? `${Math.round(value)} ms` : duration(value / 1000);
}

export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.ceil(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export const percent = (share) => `${share > 0 && share < 0.1 ? (share * 100).toFixed(1) : Math.round(share * 100)} %`;

export const cost = (value) => (value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toPrecision(2));

export const bytes = (value) => `${(value / 1048576).toFixed(value < 104857600 ? 1 : 0)} MiB`;

export const clock = (at) => new Date(at).toLocaleTimeString([], { hour12: false });
