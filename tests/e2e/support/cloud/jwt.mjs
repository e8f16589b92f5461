// SPDX-License-Identifier: Apache-2.0
// JSON web tokens (RFC 7519): reads and verifies them, and makes ones that must be refused.
import { createSign, generateKeyPairSync, verify } from 'node:crypto';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function read(token) {
  const parts = String(token).split('.');
  if (parts.length !== 3 || parts.some((one) => !/^[\w-]+$/.test(one))) return null;
  try {
    const [header, claims] = parts.slice(0, 2).map((one) => JSON.parse(Buffer.from(one, 'base64url').toString()));
    return { header, claims, signed: `${parts[0]}.${parts[1]}`, signature: Buffer.from(parts[2], 'base64url') };
  } catch {
    return null;
  }
}

export const signedBy = (jwt, publicKey) => verify('RSA-SHA256', Buffer.from(jwt.signed), publicKey, jwt.signature);

export function make(header, claims, privateKey) {
  const head = `${part(header)}.${part(claims)}`;
  return `${head}.${createSign('RSA-SHA256').update(head).sign(privateKey, 'base64url')}`;
}

let pair;

/** One key pair of 2048 bits for all tests: { privateKey, publicKey } in PEM. */
export function keyPair() {
  pair ??= generateKeyPairSync('rsa', { modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });
  return pair;
}
