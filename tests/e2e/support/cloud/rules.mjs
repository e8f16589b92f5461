// SPDX-License-Identifier: Apache-2.0
// Which fields and betas each cloud accepts in the body of a request, and which it refuses.
import { Refusal } from './base.mjs';

const common = ['messages', 'system', 'max_tokens', 'temperature', 'top_p', 'top_k', 'stop_sequences', 'tools', 'tool_choice',
  'thinking', 'metadata', 'output_config', 'output_format', 'user_profile_id'];
export const fields = {
  bedrock: new Set([...common, 'anthropic_version', 'anthropic_beta']),
  vertex: new Set([...common, 'anthropic_version', 'stream']),
  azure: new Set([...common, 'model', 'stream', 'context_management', 'safeguards', 'container', 'mcp_servers', 'service_tier', 'cache_control', 'speed', 'fallbacks', 'tags']),
};
const betas = ['interleaved-thinking-2025-05-14', 'tool-search-tool-2025-10-19', 'context-1m-2025-08-07', 'effort-2025-11-24', 'output-128k-2025-02-19',
  'token-efficient-tools-2025-02-19', 'computer-use-2024-10-22', 'computer-use-2025-01-24', 'fine-grained-tool-streaming-2025-05-14', 'dev-full-thinking-2025-05-14'];
export const knownBetas = { bedrock: betas, vertex: [...betas, 'claude-code-20250219', 'web-search-2025-03-05', 'token-counting-2024-11-01'] };
// Betas that count_tokens refuses and messages accept.
export const messageBetas = ['tool-search-tool-2025-10-19', 'web-search-2025-03-05'];
const notCounted = ['max_tokens', 'temperature', 'top_p', 'top_k', 'stop_sequences', 'metadata', 'stream'];

/** Models before the 5 family do not know `thinking.display`. */
export const isOld = (model) => /claude-(?:[1-3]\b|instant|v2|(?:opus|sonnet|haiku)-[1-4](?!\d))/.test(model);

export function parseBody(bytes, type, message) {
  try {
    const body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (body && typeof body === 'object' && !Array.isArray(body)) return body;
  } catch { /* refused below */ }
  throw new Refusal(400, type, message);
}

// Nested fields that the schemas of Bedrock and Vertex refuse, by a path of names and '*'.
const refusedInside = [['output_config', 'task_budget'],
  ...['system.*', 'tools.*', 'messages.*', 'messages.*.content.*', 'messages.*.content.*.content.*', 'messages.*.content.*.source.content.*']
    .map((place) => [...place.split('.'), 'cache_control', 'scope'])];

/** The first place that a path leads to, as the cloud names it in errors; undefined if there is none. */
function find(value, [step, ...rest], at = []) {
  if (step === undefined) return at.join('.');
  if (value === null || typeof value !== 'object') return undefined;
  const names = step === '*' ? Object.keys(Array.isArray(value) ? value : {}) : [step].filter((name) => name in value);
  for (const name of names) {
    const found = find(value[name], rest, [...at, name]);
    if (found) return found;
  }
  return undefined;
}

/** Throws unless the cloud accepts the body: `cloud` is a key of `fields`, `counting` is for count_tokens. */
export function checkBody(body, { cloud, type, model, counting = false }) {
  const refuse = (words) => { throw new Refusal(400, type, words); };
  for (const name of Object.keys(body)) {
    if (counting && name === 'model') continue;
    if (!fields[cloud].has(name) || (counting && notCounted.includes(name))) refuse(`${name}: Extra inputs are not permitted`);
  }
  const inside = cloud !== 'azure' && refusedInside.map((path) => find(body, path)).find(Boolean);
  if (inside) refuse(`${inside}: Extra inputs are not permitted`);
  if (!Array.isArray(body.messages)) refuse('messages: Field required');
  if (body.messages.length === 0) refuse('messages: at least one message is required');
  if (!counting && !Number.isInteger(body.max_tokens)) refuse('max_tokens: Field required');
  if (body.thinking && 'display' in body.thinking && isOld(model)) refuse(`thinking.${body.thinking.type}.display: Extra inputs are not permitted`);
  if ('stream' in body && typeof body.stream !== 'boolean') refuse('stream: Input should be a valid boolean');
}

export function checkVersion(body, versions, type) {
  if (!('anthropic_version' in body)) throw new Refusal(400, type, 'anthropic_version: Field required');
  if (!versions.includes(body.anthropic_version)) throw new Refusal(400, type, 'Invalid API version');
}
