// SPDX-License-Identifier: Apache-2.0
// Makes frames of an AWS event stream with AWS's own codec, and spoils them.
import codecs from '@smithy/eventstream-codec';
import utf8 from '@smithy/util-utf8';

const codec = new codecs.EventStreamCodec(utf8.toUtf8, utf8.fromUtf8);
const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const text = (value) => ({ type: 'string', value });

function frame(headers, payload) {
  const typed = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, text(value)]));
  return Buffer.from(codec.encode({ headers: typed, body: utf8.fromUtf8(JSON.stringify(payload)) }));
}

/** One event of the Messages API, its JSON as text, with padding of a varying length. */
export function chunk(json, index = 0) {
  const payload = { bytes: Buffer.from(json).toString('base64'), p: letters.slice(0, 1 + ((index * 7) % letters.length)) };
  return frame({ ':event-type': 'chunk', ':content-type': 'application/json', ':message-type': 'event' }, payload);
}

/** An exception member of the response stream: 'throttlingException' ... */
export function exception(member, message, more = {}) {
  return frame({ ':exception-type': member, ':content-type': 'application/json', ':message-type': 'exception' }, { message, ...more });
}

/** An error that the schema of the stream does not have. */
export function unmodelled(code, message) {
  return frame({ ':error-code': code, ':error-message': message, ':message-type': 'error' }, {});
}

/** An event of an unknown kind, which readers skip. */
export function stranger(kind = 'novelty') {
  return frame({ ':event-type': kind, ':content-type': 'application/json', ':message-type': 'event' }, { of: 'no concern' });
}

function flipped(bytes, at) {
  const copy = Buffer.from(bytes);
  copy[at] ^= 0x40;
  return copy;
}

export const spoil = {
  messageCrc: (bytes) => flipped(bytes, bytes.length - 1),
  preludeCrc: (bytes) => flipped(bytes, 9),
  payload: (bytes) => flipped(bytes, bytes.length - 12),
  cut: (bytes) => bytes.subarray(0, bytes.length - 7),
  huge: (bytes) => {
    const copy = Buffer.from(bytes);
    copy.writeUInt32BE(0xffffffff, 0);
    return copy;
  },
};
