// SPDX-License-Identifier: Apache-2.0
// AWS signatures, computed by AWS's own library: verifies those of requests, and signs requests of a test.
import { createHash } from 'node:crypto';
import sha256js from '@aws-crypto/sha256-js';
import signature from '@smithy/signature-v4';
import { Refusal, split } from './base.mjs';

const { Sha256 } = sha256js;
const { SignatureV4 } = signature;
const leeway = 5 * 60_000;

const stamp = (ms) => `${new Date(ms).toISOString().replace(/[-:]/g, '').slice(0, 15)}Z`;
const moment = (text) => Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
const bad = (message) => { throw new Refusal(403, 'InvalidSignatureException', message); };

function parse(header) {
  const form = /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\/(\d{8})\/([^/,\s]+)\/([^/,\s]+)\/aws4_request, ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})$/.exec(header);
  if (!form) throw new Refusal(403, 'IncompleteSignatureException', `Authorization header is not a complete signature (Hashed with SHA-256 and encoded with Base64): '${createHash('sha256').update(header).digest('base64')}'.`);
  const [, id, date, region, service, names, value] = form;
  return { id, date, region, service, names: names.split(';'), value };
}

function knownKey(given, request, keys) {
  const key = keys.find(given.id);
  const token = request.headers['x-amz-security-token'];
  if (!key || key.sessionToken !== token) throw new Refusal(403, 'UnrecognizedClientException', 'The security token included in the request is invalid.');
  if (key.sessionToken && key.expires <= keys.now()) throw new Refusal(403, 'ExpiredTokenException', 'The security token included in the request is expired');
  return key;
}

function checkScope(given, { service, region }) {
  if (given.region !== region) bad(`Credential should be scoped to a valid region. `);
  if (given.service !== service) bad(`Credential should be scoped to correct service: '${service}'. `);
}

function checkDate(given, date, now) {
  if (!/^\d{8}T\d{6}Z$/.test(date ?? '')) throw new Refusal(403, 'IncompleteSignatureException', "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
  if (!date.startsWith(given.date)) bad(`Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${given.date}' != '${date.slice(0, 8)}', from '${date}'.`);
  const at = moment(date);
  if (at < now - leeway) bad(`Signature expired: ${date} is now earlier than ${stamp(now - leeway)} (${stamp(now)} - 5 min.)`);
  if (at > now + leeway) bad(`Signature not yet current: ${date} is still later than ${stamp(now + leeway)} (${stamp(now)} + 5 min.)`);
  return at;
}

function checkNames(names, request) {
  if (names.join(';') !== [...new Set(names)].sort().join(';') || names.some((name) => name !== name.toLowerCase())) bad('SignedHeaders are not lower case and in order.');
  if (!names.includes('host')) bad("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  const needed = Object.keys(request.headers).filter((name) => name.startsWith('x-amz-') && name !== 'x-amz-content-sha256');
  for (const name of needed) if (!names.includes(name)) bad(`'${name}' must be a 'SignedHeader' in the AWS Authorization.`);
}

function valuesOf(request, names) {
  const found = {};
  for (const [name, value] of request.fields) {
    const lower = name.toLowerCase();
    if (names.includes(lower)) found[lower] = lower in found ? `${found[lower]},${value}` : value;
  }
  return found;
}

function queryOf(query) {
  return Object.fromEntries([...new Set(query.keys())].map((name) => [name, query.getAll(name)]));
}

async function compute(key, { region, service, names, at, request, headers }) {
  const signer = new SignatureV4({ credentials: { accessKeyId: key.accessKeyId, secretAccessKey: key.secretAccessKey }, region, service, sha256: Sha256, applyChecksum: false });
  const { path, query } = split(request.target);
  const asked = { method: request.method, protocol: 'http:', hostname: 'unused', path, query: queryOf(query), headers, body: request.body };
  const signed = await signer.sign(asked, { signingDate: new Date(at), signableHeaders: new Set(names) });
  return parse(signed.headers.authorization);
}

/** The key that signed the request; throws a Refusal with AWS's message. */
export async function verify(request, { keys, service, region, now }) {
  const given = parse(request.headers.authorization ?? '');
  const key = knownKey(given, request, keys);
  checkScope(given, { service, region });
  const at = checkDate(given, request.headers['x-amz-date'], now);
  checkNames(given.names, request);
  const claimed = request.headers['x-amz-content-sha256'];
  const own = await compute(key, { region, service, names: given.names, at, request, headers: valuesOf(request, given.names) });
  if ((claimed !== undefined && claimed !== request.sha256) || own.value !== given.value || own.names.join(';') !== given.names.join(';')) {
    bad('The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.');
  }
  return key;
}

/** The headers that sign a request of a test: host, date, token, hash, authorization. */
export async function sign(url, { method = 'POST', headers = {}, body = '', key, service, region, date = new Date() }) {
  const { host, hostname } = new URL(url);
  const { path, query } = split(url.slice(url.indexOf(host) + host.length));
  const signer = new SignatureV4({ credentials: key, region, service, sha256: Sha256 });
  const asked = { method, protocol: 'http:', hostname, path, query: queryOf(query), headers: { ...headers, host }, body };
  return (await signer.sign(asked, { signingDate: date })).headers;
}
