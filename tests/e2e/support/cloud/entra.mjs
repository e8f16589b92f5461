// SPDX-License-Identifier: Apache-2.0
// Simulates the sources of Azure tokens: the token endpoint of Entra ID, and the managed identities of machines and of
// App Service. The Azure mock accepts `tokens` and checks their audience.
import { canary } from '../relay.mjs';
import { Cloud, Refusal, parseForm, split } from './base.mjs';
import { keyPair, read, signedBy } from './jwt.mjs';
import { Tokens } from './tokens.mjs';

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const oauth = (status, type, code, message) => new Refusal(status, type, `AADSTS${code}: ${message}`, { code });
const identity = (status, type, message) => new Refusal(status, type, message);

export class Entra extends Cloud {
  /** life (s); tenant; scope; audience; client: { id, secret }; identityId: client id of a user-assigned identity. */
  constructor(options) {
    super(options, 'entra');
    this.life = options.life ?? 3599;
    this.tenant = options.tenant ?? '11111111-2222-4333-8444-555555555555';
    this.clientId = options.clientId ?? '99999999-8888-4777-8666-555555555555';
    this.clientSecret = options.clientSecret ?? `8Q~${canary}`;
    this.audience = options.audience ?? 'https://ai.azure.com';
    this.scope = options.scope ?? `${this.audience}/.default`;
    this.thumbprint = `thumb${canary}`;
    this.identityHeader = `identity-${canary}`;
    this.tokens = new Tokens(() => this.now(), 'eyJ0eXAiOiJKV1QifQ.');
    this.federated = new Tokens(() => this.now(), 'eyJhbGciOiJSUzI1NiJ9.federated-');
    this.assertionIds = new Set();
  }

  get tokenUrl() {
    return `${this.url}/${this.tenant}/oauth2/v2.0/token`;
  }

  /** Values of IDENTITY_ENDPOINT and IDENTITY_HEADER. */
  get appService() {
    return { endpoint: `${this.url}/msi/token`, header: this.identityHeader };
  }

  refuse(reply, { status, type, message, more }) {
    const id = `00000000-0000-4000-c000-${String(this.serial).padStart(12, '0')}`;
    const shape = { error: type, error_description: message, ...(more.code && { error_codes: [more.code], timestamp: new Date(this.now()).toISOString(), trace_id: id, correlation_id: id }) };
    return this.json(reply, status, shape, more.headers);
  }

  async admit(request) {
    const { path, query } = split(request.target);
    if (path === '/metadata/identity/oauth2/token') return this.admitInstance(request, query);
    if (path === '/msi/token') return this.admitAppService(request, query);
    const tenant = /^\/([^/]+)\/oauth2\/v2\.0\/token$/.exec(path)?.[1];
    if (!tenant || request.method !== 'POST') throw identity(404, 'not_found', 'no such endpoint');
    if (tenant !== this.tenant) throw oauth(400, 'invalid_request', 90002, `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.`);
    return this.admitClient(request);
  }

  admitClient(request) {
    const form = parseForm(request, (words) => { throw oauth(400, 'invalid_request', 900144, words); });
    if (form.grant_type !== 'client_credentials') throw oauth(400, 'unsupported_grant_type', 70003, `The app requested an unsupported grant type '${form.grant_type ?? ''}'.`);
    if (form.client_id !== this.clientId) throw oauth(400, 'unauthorized_client', 700016, `Application with identifier '${form.client_id ?? ''}' was not found in the directory.`);
    if ('client_secret' in form === 'client_assertion' in form) throw oauth(401, 'invalid_client', 7000216, "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.");
    if ('client_assertion' in form) this.checkAssertion(form);
    else if (form.client_secret !== this.clientSecret) throw oauth(401, 'invalid_client', 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.");
    if (form.scope !== this.scope) throw oauth(400, 'invalid_scope', 1002012, `The provided value for scope ${form.scope ?? ''} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`);
    return { operation: 'client_credentials', run: (reply) => this.json(reply, 200, { token_type: 'Bearer', expires_in: this.life, ext_expires_in: this.life, access_token: this.issue() }) };
  }

  checkAssertion(form) {
    const fail = (code, words) => { throw oauth(401, 'invalid_client', code, words); };
    if (form.client_assertion_type !== assertionType) fail(50027, 'The client_assertion_type is not that of a JWT.');
    const state = this.federated.state(form.client_assertion);
    if (state === 'expired') fail(700024, 'Client assertion is not within its valid time range.');
    if (state === 'good') return;
    const jwt = read(form.client_assertion);
    if (!jwt || jwt.header.alg !== 'RS256' || jwt.header.x5t !== this.thumbprint) fail(50027, 'JWT token is invalid or malformed.');
    if (!signedBy(jwt, keyPair().publicKey)) fail(700027, 'Client assertion failed signature validation.');
    const { aud, iss, sub, jti, nbf, exp } = jwt.claims;
    if (aud !== this.tokenUrl) fail(50027, 'Client assertion audience claim does not match Realm issuer.');
    if (iss !== this.clientId || sub !== this.clientId) fail(700021, 'Client assertion application identifier doesn\'t match \'client_id\' parameter.');
    const now = this.now() / 1000;
    if (!(Number.isInteger(exp) && exp > now && exp <= now + 86400 && nbf <= now + 300)) fail(700024, 'Client assertion is not within its valid time range.');
    if (typeof jti !== 'string' || this.assertionIds.has(jti)) fail(50027, 'The jti is missing or was used before.');
    this.assertionIds.add(jti);
  }

  issue() {
    return this.tokens.issue(this.life, { audience: this.audience });
  }

  checkResource(query, version) {
    if (query.get('api-version') !== version) throw identity(400, 'bad_request', `api-version ${query.get('api-version')} is not supported`);
    if ((query.get('resource') ?? '').replace(/\/$/, '') !== this.audience) throw identity(400, 'invalid_resource', `AADSTS500011: The resource principal named ${query.get('resource')} was not found in the tenant.`);
    const wanted = query.get('client_id') ?? undefined;
    if (wanted !== this.options.identityId) throw identity(400, 'invalid_request', 'Identity not found');
  }

  /** Managed identities answer with numbers as strings. */
  managed(reply, more) {
    const expires = Math.floor(this.now() / 1000) + this.life;
    return this.json(reply, 200, { access_token: this.issue(), expires_on: String(expires), resource: this.audience, token_type: 'Bearer', ...more });
  }

  admitInstance(request, query) {
    if (request.method !== 'GET') throw identity(405, 'method_not_allowed', 'only GET');
    if (request.headers.metadata !== 'true' || request.headers['x-forwarded-for']) throw identity(400, 'bad_request_102', 'Required metadata header not specified');
    this.checkResource(query, '2018-02-01');
    return { operation: 'instance', run: (reply) => this.managed(reply, { refresh_token: '', expires_in: String(this.life), ext_expires_in: String(this.life), not_before: '0' }) };
  }

  admitAppService(request, query) {
    if (request.method !== 'GET') throw identity(405, 'method_not_allowed', 'only GET');
    if (request.headers['x-identity-header'] !== this.identityHeader) throw identity(401, 'unauthorized', 'X-IDENTITY-HEADER is missing or wrong');
    this.checkResource(query, '2019-08-01');
    return { operation: 'app_service', run: (reply) => this.managed(reply, { client_id: this.options.identityId ?? this.clientId }) };
  }
}

export const startEntra = (t, options) => Entra.start(t, options);

export const entraFaults = {
  limited: (seconds = 1) => () => { throw new Refusal(429, 'temporarily_unavailable', 'AADSTS90055: too many requests', { headers: { 'retry-after': seconds } }); },
  unavailable: () => () => { throw new Refusal(503, 'temporarily_unavailable', 'AADSTS90033: A transient error has occurred. Please try again.'); },
  odd: (fields) => (request, reply, mock) => mock.json(reply, 200, { token_type: 'Bearer', expires_in: mock.life, access_token: mock.issue(), ...fields }),
};
