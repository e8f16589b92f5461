// SPDX-License-Identifier: Apache-2.0
// Makes answers of the Messages API as a healthy provider sends them: JSON, streams of events, errors.

let serial = 0;

const usage = { input_tokens: 12, cache_creation_input_tokens: 3, cache_read_input_tokens: 5, output_tokens: 7 };

function blocksOf(spec) {
  if (spec.blocks) return spec.blocks;
  return [{ type: 'text', text: spec.text ?? 'hello' }];
}

function stopReason(blocks) {
  return blocks.some((block) => block.type === 'tool_use') ? 'tool_use' : 'end_turn';
}

/** A whole message. spec: {text} or {blocks}, {model}, {usage}: members to add. */
export function message(spec) {
  const blocks = blocksOf(spec);
  serial += 1;
  return {
    id: `msg_${spec.from ?? 'x'}_${serial}`, type: 'message', role: 'assistant', model: spec.model ?? 'm',
    content: blocks, stop_reason: stopReason(blocks), stop_sequence: null, usage: { ...usage, ...spec.usage },
  };
}

function deltasOf(block) {
  if (block.type === 'text') return pieces(block.text).map((text) => ({ type: 'text_delta', text }));
  if (block.type === 'thinking') {
    return [{ type: 'thinking_delta', thinking: block.thinking }, { type: 'signature_delta', signature: block.signature }];
  }
  return pieces(JSON.stringify(block.input)).map((partial_json) => ({ type: 'input_json_delta', partial_json }));
}

function pieces(text, size = 9) {
  const found = [];
  const letters = Array.from(text);
  for (let at = 0; at < letters.length; at += size) found.push(letters.slice(at, at + size).join(''));
  return found.length ? found : [''];
}

function emptied(block) {
  if (block.type === 'text') return { type: 'text', text: '' };
  if (block.type === 'thinking') return { type: 'thinking', thinking: '', signature: '' };
  return { ...block, input: {} };
}

export function event(name, data) {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The same message as a list of events, each a string. */
export function events(spec) {
  const whole = message(spec);
  const start = { ...whole, content: [], stop_reason: null, usage: { ...whole.usage, output_tokens: 1 } };
  const list = [event('message_start', { type: 'message_start', message: start }), event('ping', { type: 'ping' })];
  whole.content.forEach((block, index) => {
    list.push(event('content_block_start', { type: 'content_block_start', index, content_block: emptied(block) }));
    for (const delta of deltasOf(block)) list.push(event('content_block_delta', { type: 'content_block_delta', index, delta }));
    list.push(event('content_block_stop', { type: 'content_block_stop', index }));
  });
  list.push(event('message_delta', { type: 'message_delta', delta: { stop_reason: whole.stop_reason, stop_sequence: null }, usage: { output_tokens: usage.output_tokens } }));
  list.push(event('message_stop', { type: 'message_stop' }));
  return list;
}

/** An error in Anthropic's shape. */
export function error(type, text, requestId = 'req_test') {
  return { type: 'error', error: { type, message: text }, request_id: requestId };
}
