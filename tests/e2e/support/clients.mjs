// SPDX-License-Identifier: Apache-2.0
// Clients of the Messages API by name. Each sends one request and returns a record of what its user sees:
// { ok, text, status, type, message, retryAfter, shouldRetry, tries, ms, at (when it ended) }. A field that the client does not show is undefined.
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { ask, post } from './relay.mjs';

const parsed = (text) => {
  try { return JSON.parse(text); } catch { return null; }
};
const textOf = (message) => (Array.isArray(message?.content) && message.type === 'message' ? message.content.map((block) => block.text ?? '').join('') : null);
const advice = (headers = {}) => ({ retryAfter: headers['retry-after'], shouldRetry: headers['x-should-retry'] });
/** The message of an error body, or the body itself; of an HTML page the visible text. */
const wordsOf = (body, text) => body?.error?.message ?? (text?.startsWith('<') ? text.replace(/<[^<>]*>/g, ' ').trim() : text);

/** The data of all events, in order; null for one that is not JSON. */
function eventsOf(text) {
  return text.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => parsed(line.slice(5)));
}

function readStream(text) {
  const events = eventsOf(text);
  const fault = events.find((event) => event?.type === 'error');
  if (fault) return { ok: false, type: fault.error?.type, message: fault.error?.message };
  if (events.at(-1)?.type !== 'message_stop' || events.includes(null)) return { ok: false, message: 'the stream is not whole' };
  return { ok: true, text: events.map((event) => event.delta?.text ?? '').join('') };
}

function readMessage(text) {
  const body = parsed(text);
  if (typeof body?.input_tokens === 'number') return { ok: true, text: String(body.input_tokens) };
  const words = textOf(body);
  return words === null ? { ok: false, type: body?.error?.type, message: wordsOf(body, text) } : { ok: true, text: words };
}

function readRaw(answer, streaming) {
  const { status, headers, text } = answer;
  const body = parsed(text);
  const found = status !== 200 ? { ok: false, type: body?.error?.type, message: wordsOf(body, text) } : (streaming ? readStream : readMessage)(text);
  return { ...found, status, headers, body: text, ...(found.ok ? {} : advice(headers)) };
}

async function timed(what) {
  const began = performance.now();
  const record = await what();
  const at = performance.now();
  return { tries: 1, ...record, ms: at - began, at };
}

/** One request over its own connection, without retries. `bytes` replaces the body. */
function raw(url, { key, headers = {}, agent = false }) {
  const one = ({ bytes, target, headers: own = {}, ...more } = {}) => timed(async () => {
    const auth = key?.startsWith('sk-ant-oat') ? { authorization: `Bearer ${key}` } : { 'x-api-key': key };
    const answer = await post({ url }, bytes ?? ask(more), { target, agent, headers: { ...auth, ...headers, ...own } }).catch((error) => error);
    return answer instanceof Error ? { ok: false, message: answer.code, received: answer.received } : readRaw(answer, more.stream);
  });
  return { ask: one, count: ({ max_tokens: _, ...more } = {}) => one({ ...more, target: '/v1/messages/count_tokens?beta=true', max_tokens: undefined }) };
}

function faultOf(fault) {
  const body = fault.error;
  const headers = Object.fromEntries(fault.headers?.entries?.() ?? []);
  const text = fault.message?.replace(/^\d{3} /, '');
  return { ok: false, status: fault.status, type: body?.error?.type, message: wordsOf(body, text), headers, ...advice(headers) };
}

/** An SDK with its usual retries. */
function sdk(SDK, url, { key, headers, retries = 2 }) {
  let tries = 0;
  const counted = (...given) => {
    tries += 1;
    return fetch(...given);
  };
  const credential = key?.startsWith('sk-ant-oat') ? { authToken: key, apiKey: null } : { apiKey: key };
  const client = new SDK({ ...credential, baseURL: url, maxRetries: retries, defaultHeaders: headers, fetch: counted });
  const wanted = (more) => (more.stream ? client.messages.stream(ask({ ...more, stream: undefined })).finalMessage() : client.messages.create(ask(more)));
  return {
    ask: ({ headers: _, ...more } = {}) => timed(async () => {
      tries = 0;
      const answer = await wanted(more).catch((error) => error);
      if (answer instanceof Error) return { ...faultOf(answer), tries };
      const text = textOf(answer);
      return text === null ? { ok: false, status: 200, message: JSON.stringify(answer), tries } : { ok: true, text, tries };
    }),
  };
}

export const clients = {
  raw,
  sdk0: (url, options) => sdk(SDK0, url, options),
  sdk1: (url, options) => sdk(SDK1, url, options),
};
