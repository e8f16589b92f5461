// SPDX-License-Identifier: Apache-2.0
// Connects the feed with the parts of the page.
import * as exchanges from './exchanges.js';
import * as providers from './providers.js';
import * as relay from './relay.js';
import * as traffic from './traffic.js';
import { Feed, keepToken } from './feed.js';
import { attribute, find, text } from './dom.js';

const WORDS = { live: 'live', lost: 'connection lost, trying again', wait: 'connecting' };

function state(word, message) {
  attribute(find('#link'), 'data-state', word);
  text(find('#link'), message ?? WORDS[word]);
}

function login(wasWrong) {
  state('wait', 'the admin token is needed');
  text(find('#login-text'), wasWrong ? 'That token is not right.' : 'This listener shows the relay to those who have admin.token.');
  find('#token').value = '';
  if (!find('#login').open) find('#login').showModal();
}

function event(name, value) {
  if (name === 'past') exchanges.begin();
  if (name === 'past') traffic.past(value); else traffic.show(value);
  for (const part of [relay, providers, exchanges]) part.show(value);
}

const feed = new Feed({ event, state, login, refused: (message) => state('lost', message) });

find('#login form').addEventListener('submit', () => {
  keepToken(find('#token').value);
  find('#token').value = '';
  feed.start();
});

const theme = find('#theme');
theme.value = document.documentElement.dataset.theme ?? '';
theme.addEventListener('change', () => {
  attribute(document.documentElement, 'data-theme', theme.value || undefined);
  try { localStorage.setItem('ccrelay-theme', theme.value); } catch { /* storage is off: until the page is left */ }
  traffic.redraw();
});

feed.start();
