// SPDX-License-Identifier: Apache-2.0
// Reads /events. It guarantees that it is connected only while the page is visible, and reconnects when the connection is lost.

const TOKEN = 'ccrelay-token';
const SILENT_MS = 6000;
const RETRY_MS = [500, 1000, 2000, 5000];

let memory = '';

function token() {
  try { return sessionStorage.getItem(TOKEN) ?? ''; } catch { return memory; }
}

/** Keeps the token that was typed, until the tab is closed. */
export function keepToken(value) {
  memory = value;
  try { sessionStorage.setItem(TOKEN, value); } catch { /* storage is off: until the page is left */ }
}

function parse(block) {
  const event = { name: 'message', data: '' };
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) event.name = line.slice(7);
    if (line.startsWith('data: ')) event.data += line.slice(6);
  }
  return event;
}

async function read(answer, onEvent) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (held + value).split('\n\n');
    held = blocks.pop();
    for (const block of blocks) {
      const { name, data } = parse(block);
      if (data) onEvent(name, JSON.parse(data));
    }
  }
}

/** Calls on.event(name, value), on.state('live' | 'lost'), on.login(wasWrong) and on.refused(message). */
export class Feed {
  constructor(on) {
    this.on = on;
    this.losses = 0;
    document.addEventListener('visibilitychange', () => (document.hidden ? this.stop() : this.start()));
  }

  start() {
    if (this.control || document.hidden) return;
    this.control = new AbortController();
    this.run(this.control).catch(() => {});
  }

  stop() {
    this.control?.abort();
    this.control = undefined;
    clearTimeout(this.silence);
    clearTimeout(this.later);
  }

  listen(control) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => control.abort(), SILENT_MS);
  }

  async run(control) {
    try {
      this.listen(control);
      const given = token();
      const headers = given ? { authorization: `Bearer ${given}` } : {};
      const answer = await fetch('/events', { headers, signal: control.signal, cache: 'no-store' });
      if (answer.status === 401) return this.pause(() => this.on.login(given !== ''));
      if (!answer.ok) throw new Error((await answer.json()).error.message);
      this.on.state('live');
      await read(answer, (name, value) => {
        this.losses = 0;
        this.listen(control);
        this.on.event(name, value);
      });
    } catch (error) {
      if (!(error instanceof TypeError) && error.name !== 'AbortError') this.on.refused(error.message);
    }
    if (control !== this.control) return;
    this.pause(() => this.on.state('lost'));
    this.later = setTimeout(() => this.start(), RETRY_MS[Math.min(this.losses++, RETRY_MS.length - 1)]);
  }

  pause(tell) {
    this.stop();
    tell();
  }
}
