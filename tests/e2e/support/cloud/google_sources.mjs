// SPDX-License-Identifier: Apache-2.0
// Simulates the sources of Google's tokens on one port: OAuth 2 (service accounts, users), the Security Token Service,
// impersonation and the metadata server. The Vertex mock accepts `tokens`.
import { canary } from '../relay.mjs';
import { Cloud, Refusal, bearerOf, parseForm, split } from './base.mjs';
import { keyPair, read, signedBy } from './jwt.mjs';
import { Tokens } from './tokens.mjs';

const scope = 'https://www.googleapis.com/auth/cloud-platform';
const grants = {
  'urn:ietf:params:oauth:grant-type:jwt-bearer': 'serviceAccount',
  refresh_token: 'refresh',
};
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessType = 'urn:ietf:params:oauth:token-type:access_token';
const oauth = (status, type, message) => new Refusal(status, type, message, { kind: 'oauth' });
const api = (status, type, message) => new Refusal(status, type, message, { kind: 'api' });
const plain = (status, type, message) => new Refusal(status, type, message, { kind: 'plain' });
const grant = (words) => oauth(400, 'invalid_grant', words);

export class GoogleSources extends Cloud {
  /**
   * life (s) of the tokens; project; email; audiences: what a JWT's aud may be besides the token URL;
   * exact: the JWT's header must carry typ and kid, which Google does not insist on (its own library sends neither).
   */
  constructor(options) {
    super(options, 'google');
    this.life = options.life ?? 3600;
    this.project = options.project ?? 'a-project';
    this.email = options.email ?? `relay@${this.project}.iam.gserviceaccount.com`;
    this.tokens = new Tokens(() => this.now(), 'ya29.');
    this.refreshTokens = new Tokens(() => this.now(), '1//0');
    this.subjects = new Tokens(() => this.now(), 'eyJhbGciOiJSUzI1NiJ9.subject-');
    this.client = { client_id: `1-${canary}.apps.googleusercontent.com`, client_secret: `GOCSPX-${canary}` };
    this.keyId = `key${canary}`;
    this.audience = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/one';
  }

  refuse(reply, { status, type, message, more }) {
    if (more.kind === 'plain') return this.say(reply, status, message, { 'content-type': 'text/html; charset=UTF-8', 'metadata-flavor': 'Google' });
    const shape = more.kind === 'api' ? { error: { code: status, message, status: type } } : { error: type, error_description: message };
    return this.json(reply, status, shape, { 'content-type': 'application/json; charset=utf-8' });
  }

  async admit(request) {
    const { path, query } = split(request.target);
    if (path.startsWith('/computeMetadata/') || path === '/') return this.admitMetadata(request, path, query);
    if (path === '/subject') return this.admitSubject(request);
    if (request.method !== 'POST') throw plain(404, 'not_found', 'Not Found');
    if (path === '/token') return this.admitToken(request);
    if (path === '/v1/token') return this.admitExchange(request);
    if (path === `/v1/projects/-/serviceAccounts/${this.email}:generateAccessToken`) return this.admitImpersonation(request);
    throw plain(404, 'not_found', 'Not Found');
  }

  token(about) {
    return { access_token: this.tokens.issue(this.life, about), expires_in: this.life, token_type: 'Bearer' };
  }

  // ---- OAuth 2 ----------------------------------------------------------------------------------

  admitToken(request) {
    const form = parseForm(request, (words) => { throw oauth(400, 'invalid_request', words); });
    if (!Object.hasOwn(grants, form.grant_type)) throw oauth(400, 'unsupported_grant_type', `Invalid grant_type: ${form.grant_type ?? ''}`);
    const kind = grants[form.grant_type];
    if (kind === 'refresh') this.checkRefresh(form);
    else this.checkAssertion(form.assertion);
    return { operation: `oauth:${kind}`, run: (reply) => this.json(reply, 200, { ...this.token({ from: kind }), ...(kind === 'refresh' && { scope }) }) };
  }

  checkRefresh(form) {
    if (form.client_id !== this.client.client_id) throw oauth(401, 'invalid_client', 'The OAuth client was not found.');
    if (form.client_secret !== this.client.client_secret) throw oauth(401, 'invalid_client', 'The provided client secret is invalid.');
    if (this.refreshTokens.state(form.refresh_token) !== 'good') throw grant('Token has been expired or revoked.');
  }

  checkAssertion(assertion) {
    const jwt = read(assertion);
    if (!jwt) throw grant('Invalid JWT: Failed to parse the assertion.');
    const { header, claims } = jwt;
    const { typ = 'JWT', kid = this.keyId } = this.options.exact ? { typ: null, kid: null, ...header } : header;
    if (header.alg !== 'RS256' || typ !== 'JWT') throw grant('Invalid JWT: the header must say RS256 and JWT.');
    if (claims.iss !== this.email) throw grant('Invalid grant: account not found');
    if (kid !== this.keyId) throw grant('Invalid JWT Signature: no such key.');
    if (!signedBy(jwt, keyPair().publicKey)) throw grant('Invalid JWT Signature.');
    if (![`${this.url}/token`, 'https://oauth2.googleapis.com/token', ...(this.options.audiences ?? [])].includes(claims.aud)) throw grant('Invalid JWT: Failed audience check.');
    this.checkTimes(claims);
    if (claims.scope !== scope) throw oauth(400, 'invalid_scope', 'Invalid OAuth scope or ID token audience provided.');
    const strange = Object.keys(claims).filter((name) => !['iss', 'scope', 'aud', 'iat', 'exp', 'sub'].includes(name));
    if (strange.length) throw grant(`Invalid JWT: unknown claims ${strange}`);
    if ('sub' in claims && claims.sub !== this.email) throw oauth(401, 'unauthorized_client', 'Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.');
  }

  checkTimes({ iat, exp }) {
    const now = this.now() / 1000;
    const fit = Number.isInteger(iat) && Number.isInteger(exp) && exp > iat && exp - iat <= 3600 && iat <= now + 300 && exp > now;
    if (!fit) throw grant('Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.');
  }

  // ---- Federation -------------------------------------------------------------------------------

  admitExchange(request) {
    const form = parseForm(request, (words) => { throw oauth(400, 'invalid_request', words); });
    if (form.grant_type !== exchange) throw oauth(400, 'unsupported_grant_type', 'Invalid grant type.');
    if (form.requested_token_type !== accessType) throw oauth(400, 'invalid_request', 'Invalid requested_token_type.');
    if (form.audience !== this.audience) throw oauth(400, 'invalid_target', 'The target service indicated by the "audience" parameters is invalid.');
    if (form.scope !== scope) throw oauth(400, 'invalid_scope', 'Invalid scope.');
    if (form.subject_token_type !== 'urn:ietf:params:oauth:token-type:jwt') throw oauth(400, 'invalid_request', 'Invalid subject_token_type.');
    const state = this.subjects.state(form.subject_token);
    if (state !== 'good') throw grant(state === 'expired' ? 'ID Token issued is stale to sign-in.' : 'The given credential is rejected by the attribute condition.');
    return { operation: 'sts:exchange', run: (reply) => this.json(reply, 200, { ...this.token({ from: 'exchange' }), issued_token_type: accessType }) };
  }

  admitImpersonation(request) {
    const token = bearerOf(request);
    if (this.tokens.state(token) !== 'good') throw api(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.');
    let asked = {};
    try { asked = JSON.parse(request.body.toString()); } catch { throw api(400, 'INVALID_ARGUMENT', 'Invalid JSON payload received.'); }
    if (!Array.isArray(asked.scope) || !asked.scope.includes(scope)) throw api(400, 'INVALID_ARGUMENT', 'scope is required');
    const life = /^(\d+)s$/.exec(asked.lifetime ?? '3600s')?.[1];
    if (!life || life < 1 || life > 3600) throw api(400, 'INVALID_ARGUMENT', 'The lifetime is not in range');
    return { operation: 'iam:generateAccessToken', run: (reply) =>
      this.json(reply, 200, { accessToken: this.tokens.issue(this.life, { from: 'impersonation' }), expireTime: new Date(this.now() + this.life * 1000).toISOString().replace(/\.\d+Z/, 'Z') }) };
  }

  /** The address of a subject token, for `credential_source.url`; it wants the header of externalAccount(). */
  admitSubject(request) {
    if (request.method !== 'GET' || request.headers['x-subject'] !== `give-${canary}`) throw plain(403, 'forbidden', 'Forbidden');
    return { operation: 'subject', run: (reply) => this.json(reply, 200, { id_token: this.subjects.issue(this.life) }) };
  }

  // ---- Metadata ---------------------------------------------------------------------------------

  admitMetadata(request, path, query) {
    if (request.headers['x-forwarded-for']) throw plain(403, 'forbidden', 'X-Forwarded-For is not allowed');
    if (path !== '/' && request.headers['metadata-flavor'] !== 'Google') throw plain(403, 'forbidden', 'Missing Metadata-Flavor:Google header.');
    if (request.method !== 'GET') throw plain(405, 'method', 'Method Not Allowed');
    const at = '/computeMetadata/v1';
    const text = (value) => ({ operation: 'metadata', run: (reply) => this.say(reply, 200, value, { 'content-type': 'application/text', 'metadata-flavor': 'Google' }) });
    const scopes = query.get('scopes');
    if (scopes && scopes !== scope) throw plain(400, 'scope', 'unknown scope');
    if (path === `${at}/instance/service-accounts/default/token`) {
      return { operation: 'metadata:token', run: (reply) => this.json(reply, 200, this.token({ from: 'metadata' }), { 'metadata-flavor': 'Google' }) };
    }
    if (path === `${at}/project/project-id`) return text(this.project);
    if (path === `${at}/instance/service-accounts/default/email`) return text(this.email);
    if (path === `${at}/universe/universe-domain` || path === `${at}/universe/universe_domain`) return text('googleapis.com');
    if (path === '/' || path === at || path === `${at}/` || path === `${at}/instance`) return text('computeMetadata/');
    throw plain(404, 'not_found', 'Not Found');
  }

  // ---- Files for GOOGLE_APPLICATION_CREDENTIALS -------------------------------------------------

  serviceAccount(more = {}) {
    return { type: 'service_account', project_id: this.project, private_key_id: this.keyId, private_key: keyPair().privateKey, client_email: this.email, client_id: '1',
      auth_uri: `${this.url}/auth`, token_uri: `${this.url}/token`, universe_domain: 'googleapis.com', ...more };
  }

  authorizedUser(more = {}) {
    return { type: 'authorized_user', ...this.client, refresh_token: this.refreshTokens.issue(864e4), quota_project_id: this.project, token_uri: `${this.url}/token`, ...more };
  }

  /** source: a credential_source; without one the token comes from /subject of this mock. */
  externalAccount({ source, impersonate = false, ...more } = {}) {
    return { type: 'external_account', audience: this.audience, subject_token_type: 'urn:ietf:params:oauth:token-type:jwt', token_url: `${this.url}/v1/token`,
      credential_source: source ?? { url: `${this.url}/subject`, headers: { 'X-Subject': `give-${canary}` }, format: { type: 'json', subject_token_field_name: 'id_token' } },
      ...(impersonate && { service_account_impersonation_url: `${this.url}/v1/projects/-/serviceAccounts/${this.email}:generateAccessToken` }), ...more };
  }

  impersonated(source, more = {}) {
    return { type: 'impersonated_service_account', source_credentials: source, service_account_impersonation_url: `${this.url}/v1/projects/-/serviceAccounts/${this.email}:generateAccessToken`, delegates: [], ...more };
  }
}

export const startGoogleSources = (t, options) => GoogleSources.start(t, options);

export const googleFaults = {
  invalidGrant: () => () => { throw grant('reauth related error (invalid_rapt)'); },
  serverError: () => () => { throw oauth(500, 'internal_failure', 'Internal failure'); },
  unavailable: () => () => { throw oauth(503, 'temporarily_unavailable', 'Try again later'); },
  /** A token answer with fields changed or left out (undefined). */
  odd: (fields) => (request, reply, mock) => mock.json(reply, 200, { ...mock.token({ from: 'odd' }), ...fields }, { 'metadata-flavor': 'Google' }),
  /** The metadata answer of something that is not Google's. */
  foreign: () => (request, reply, mock) => mock.json(reply, 200, mock.token({ from: 'foreign' })),
};
