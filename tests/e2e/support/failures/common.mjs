// SPDX-License-Identifier: Apache-2.0
// Shared by the rows of failures: handlers of providers, ways to send requests, and fallbacks that cannot serve.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Relay, provider, secret } from '../relay.mjs';
import { Upstream, faults, healthy, refusing } from '../upstream.mjs';
import * as answers from '../answers.mjs';
import { azure, bedrock, vertex } from '../clouds.mjs';

export { sleep, secret, provider, faults, healthy, answers, Upstream, refusing, Relay, azure, bedrock, vertex };

export const every = ['raw', 'sdk0', 'sdk1'];
export const sdks = ['sdk0', 'sdk1'];

export const refuses = (status, type, message, headers = {}) => (request, reply) => reply.json(status, answers.error(type, message, 'req_first'), headers);
export const overloaded = refuses(529, 'overloaded_error', 'Overloaded');
export const limited = (headers) => refuses(429, 'rate_limit_error', 'This request would exceed your rate limit.', headers);
export const failing = refuses(500, 'api_error', 'Internal server error');

/** Handlers: `handler` for the first `count` requests, healthy from then on. */
export const atFirst = (count, handler) => [...Array(count).fill(handler), healthy()];

/** Every n-th request of a provider fails; counting begins at `from`. */
export const everyNth = (n, handler, from = 0) => {
  let seen = from;
  const good = healthy();
  return (request, reply) => {
    seen += 1;
    return (seen % n === 0 ? handler : good)(request, reply);
  };
};

/** Sends `count` requests one after the other, `pause` ms apart. */
export const inTurn = (count, pause = 0, more = {}) => async (client) => {
  const records = [];
  for (let n = 0; n < count; n += 1) {
    if (n && pause) await sleep(pause);
    records.push(await client.ask({ stream: true, ...more }));
  }
  return records;
};

/** Sends `count` requests at once. */
export const atOnce = (count, more = {}) => (client) => Promise.all(Array.from({ length: count }, () => client.ask({ stream: true, ...more })));

/** Sends a request every `pause` ms, without waiting for answers. */
export const atRate = (count, pause, more = {}) => (client) => Promise.all(Array.from({ length: count }, async (_, n) => {
  await sleep(n * pause);
  return client.ask(typeof more === 'function' ? more(n) : more);
}));

/** Options of a raw client that keeps its connections. */
export const kept = (t) => {
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  return { agent };
};

export const saying = (text, more = {}) => ({ ...more, messages: [{ role: 'user', content: text }] });

export async function behind(t, name, handler, more = {}) {
  const upstream = await Upstream.start(t, name, handler);
  return { [name]: upstream, providers: [provider(upstream, more)] };
}

const cloud = (kind, options) => async (t) => {
  const scene = await kind(t, options);
  return { providers: [scene.provider], env: scene.env };
};

const noModel = (request, reply) => reply.json(404, answers.error('not_found_error', 'model: claude-test-1'));
const ollama = (base_url, more = {}) => ({ name: 'ollama', type: 'ollama', base_url, keys: [{ key: 'ollama', priority: 0 }], model_mapping: { 'claude-*': 'qwen3-coder:30b' }, ...more });

/** Fallbacks that cannot serve, by a description. Each: (t) => {providers, env}. */
export const cannotServe = {
  'a provider that answers 404 for the model': (t) => behind(t, 'second', noModel),
  'a provider that refuses our key with 401': (t) => behind(t, 'second', refuses(401, 'authentication_error', 'invalid x-api-key')),
  'a provider that refuses our key with 403': (t) => behind(t, 'second', refuses(403, 'permission_error', 'Your API key is not allowed to do this.')),
  'an Ollama that does not run': async () => ({ providers: [ollama((await refusing()).url)] }),
  'an Ollama without the model': async (t) => {
    const upstream = await Upstream.start(t, 'ollama', (request, reply) => reply.json(404, answers.error('not_found_error', "model 'qwen3-coder:30b' not found")));
    return { providers: [ollama(upstream.url)] };
  },
  'a provider whose name does not resolve': async () => ({ providers: [provider({ name: 'second', url: 'https://no-such-host.invalid' })] }),
  'a Bedrock without credentials': async (t) => {
    const { providers: [{ aws_access_key_id: _, aws_secret_access_key: __, ...entry }], env } = await cloud(bedrock)(t);
    return { providers: [entry], env };
  },
  'a Bedrock that does not know the model': cloud(bedrock, { models: [] }),
  'a Vertex that does not know the model': cloud(vertex, { models: [] }),
  'an Azure without the deployment': cloud(azure, { deployments: [] }),
};
