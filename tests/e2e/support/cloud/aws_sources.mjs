// SPDX-License-Identifier: Apache-2.0
// Simulates the sources of AWS credentials on one port: STS, IMDS, the container endpoint, the SSO portal and its OIDC
// service. Each answer is a new key of `keys`, which the Bedrock mock accepts.
import { canary } from '../relay.mjs';
import { Cloud, Refusal, parseForm, split } from './base.mjs';
import { verify } from './sigv4.mjs';
import { AwsKeys, Tokens } from './tokens.mjs';

const namespace = 'https://sts.amazonaws.com/doc/2011-06-15/';
const account = '123456789012';
const iso = (ms) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
const escaped = (text) => text.replace(/[<>&]/g, (mark) => `&#${mark.charCodeAt(0)};`);

/** STS uses older names of errors than newer services. */
const stsNames = { InvalidSignatureException: 'SignatureDoesNotMatch', UnrecognizedClientException: 'InvalidClientTokenId', ExpiredTokenException: 'ExpiredToken',
  IncompleteSignatureException: 'IncompleteSignature', MissingAuthenticationTokenException: 'MissingAuthenticationToken' };
const sts = (status, code, message) => new Refusal(status, code, message, { kind: 'sts' });
const plain = (status, text = '') => new Refusal(status, 'plain', text, { kind: 'plain' });
const json = (status, code, fields) => new Refusal(status, code, fields.message ?? fields.error_description ?? code, { kind: 'json', fields });

const path = {
  token: '/latest/api/token', roles: '/latest/meta-data/iam/security-credentials', sso: '/federation/credentials', oidc: '/token',
};

export class AwsSources extends Cloud {
  /**
   * keys; region; life (s) of what is issued; role: the ARN; externalId; imds: { v1, v2, role } where v2 is
   * true or the status that refuses the PUT; container: { path, token }; sso: { account, role, refresh }.
   */
  constructor(options) {
    super(options, 'aws');
    this.region = options.region ?? 'us-east-1';
    this.life = options.life ?? 3600;
    this.keys = options.keys ?? new AwsKeys(() => this.now());
    this.role = options.role ?? `arn:aws:iam::${account}:role/relay`;
    this.imds = { v1: false, v2: true, role: 'instance-role', ...options.imds };
    this.container = { path: '/v2/credentials/relay', token: `container-${canary}`, ...options.container };
    this.sso = { account, role: 'Developer', ...options.sso };
    this.sessions = new Tokens(() => this.now(), 'imds-');
    this.webTokens = new Tokens(() => this.now(), 'eyJhbGciOiJSUzI1NiJ9.web-');
    this.ssoTokens = new Tokens(() => this.now(), 'aoaAAAA');
    this.ssoRefresh = new Tokens(() => this.now(), 'aorAAAA');
    this.ssoClient = { clientId: `client-${canary}`, clientSecret: `eyJ-${canary}-secret` };
  }

  refuse(reply, { status, type, message, more }) {
    if (more.kind === 'plain') return this.say(reply, status, message, { 'content-type': 'text/plain' });
    if (more.kind === 'json') return this.json(reply, status, more.fields, { 'x-amzn-errortype': type });
    const code = more.kind === 'sts' ? type : (stsNames[type] ?? type);
    return this.say(reply, status, `<ErrorResponse xmlns="${namespace}">\n  <Error>\n    <Type>Sender</Type>\n    <Code>${code}</Code>\n    <Message>${escaped(message)}</Message>\n  </Error>\n  <RequestId>00000000-0000-4000-a000-${String(this.serial).padStart(12, '0')}</RequestId>\n</ErrorResponse>\n`, { 'content-type': 'text/xml' });
  }

  async admit(request) {
    const { path: where, query } = split(request.target);
    if (where === '/' || where === '') return this.admitSts(request, query);
    if (where.startsWith('/latest/')) return this.admitImds(request, where);
    if (where === this.container.path) return this.admitContainer(request);
    if (where === path.sso) return this.admitSso(request, query);
    if (where === path.oidc) return this.admitOidc(request);
    throw plain(404, 'Not Found');
  }

  // ---- STS --------------------------------------------------------------------------------------

  async admitSts(request, query) {
    if (request.method !== 'POST' && request.method !== 'GET') throw sts(405, 'MethodNotAllowed', request.method);
    const form = request.method === 'GET' ? Object.fromEntries(query) : parseForm(request, (words) => { throw sts(400, 'MalformedInput', words); });
    if (form.Version !== '2011-06-15') throw sts(400, 'InvalidAction', `Could not find operation ${form.Action} for version ${form.Version ?? 'NO_VERSION_SPECIFIED'}`);
    const operations = { AssumeRole: 'assumeRole', AssumeRoleWithWebIdentity: 'assumeWeb', GetCallerIdentity: 'identity' };
    if (!Object.hasOwn(operations, form.Action)) throw sts(400, 'InvalidAction', `Could not find operation ${form.Action} for version 2011-06-15`);
    const signer = form.Action === 'AssumeRoleWithWebIdentity' ? null : await this.signer(request);
    const run = this[operations[form.Action]](form, signer);
    return { operation: `sts:${form.Action}`, form, run };
  }

  signer(request) {
    if (!request.headers.authorization) throw sts(403, 'MissingAuthenticationToken', 'Request is missing Authentication Token');
    return verify(request, { keys: this.keys, service: 'sts', region: this.region, now: this.now() });
  }

  checkRole(form) {
    if (!form.RoleArn) throw sts(400, 'ValidationError', "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null");
    if (!/^[\w+=,.@-]{2,64}$/.test(form.RoleSessionName ?? '')) throw sts(400, 'ValidationError', `1 validation error detected: Value '${form.RoleSessionName ?? ''}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*`);
    const { DurationSeconds: life = '3600' } = form;
    if (!/^\d+$/.test(life) || life < 900 || life > 43200) throw sts(400, 'ValidationError', "1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900");
  }

  assumeRole(form, signer) {
    this.checkRole(form);
    const allowed = form.RoleArn === this.role && form.ExternalId === this.options.externalId;
    if (!allowed) throw sts(403, 'AccessDenied', `User: arn:aws:iam::${account}:user/${signer.accessKeyId.slice(0, 4)} is not authorized to perform: sts:AssumeRole on resource: ${form.RoleArn}`);
    return (reply) => this.issued(reply, 'AssumeRole', form);
  }

  assumeWeb(form) {
    this.checkRole(form);
    const state = this.webTokens.state(form.WebIdentityToken);
    if (state === 'unknown') throw sts(400, 'InvalidIdentityToken', 'The ID Token provided is not a valid JWT.');
    if (state === 'expired') throw sts(400, 'ExpiredTokenException', 'Token expired: current date/time must be before the expiration date/time');
    if (form.RoleArn !== this.role) throw sts(403, 'AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity');
    return (reply) => this.issued(reply, 'AssumeRoleWithWebIdentity', form);
  }

  identity(form, signer) {
    const inner = `<Arn>arn:aws:iam::${account}:user/of-${signer.sessionToken ? 'role' : 'key'}</Arn><UserId>AIDATEST</UserId><Account>${account}</Account>`;
    return (reply) => this.xml(reply, 'GetCallerIdentity', inner);
  }

  issued(reply, action, form) {
    const key = this.keys.issue(this.life, { from: action, session: form.RoleSessionName });
    const credentials = `<Credentials><AccessKeyId>${key.accessKeyId}</AccessKeyId><SecretAccessKey>${key.secretAccessKey}</SecretAccessKey><SessionToken>${key.sessionToken}</SessionToken><Expiration>${iso(key.expires)}</Expiration></Credentials>`;
    const arn = `${form.RoleArn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/${form.RoleSessionName}`;
    return this.xml(reply, action, `<AssumedRoleUser><AssumedRoleId>AROATEST:${form.RoleSessionName}</AssumedRoleId><Arn>${arn}</Arn></AssumedRoleUser>\n    ${credentials}`);
  }

  xml(reply, action, inner) {
    const text = `<${action}Response xmlns="${namespace}">\n  <${action}Result>\n    ${inner}\n  </${action}Result>\n  <ResponseMetadata><RequestId>00000000-0000-4000-b000-000000000000</RequestId></ResponseMetadata>\n</${action}Response>\n`;
    return this.say(reply, 200, text, { 'content-type': 'text/xml' });
  }

  // ---- IMDS and containers ----------------------------------------------------------------------

  admitImds(request, where) {
    if (where === path.token) return this.admitSession(request);
    if (request.method !== 'GET') throw plain(405);
    const token = request.headers['x-aws-ec2-metadata-token'];
    if (token === undefined ? !this.imds.v1 : this.sessions.state(token) !== 'good') throw plain(401, 'Unauthorized');
    if (where === `${path.roles}/` || where === path.roles) return { operation: 'imds:roles', run: (reply) => this.say(reply, 200, this.imds.role, { 'content-type': 'text/plain' }) };
    if (where === `${path.roles}/${this.imds.role}`) return { operation: 'imds:credentials', run: (reply) => this.fromImds(reply) };
    if (where === '/latest/meta-data/placement/region') return { operation: 'imds:region', run: (reply) => this.say(reply, 200, this.region, { 'content-type': 'text/plain' }) };
    throw plain(404);
  }

  admitSession(request) {
    if (request.method !== 'PUT') throw plain(405);
    if (this.imds.v2 !== true) throw plain(this.imds.v2 || 404);
    if (request.headers['x-forwarded-for']) throw plain(403);
    const life = request.headers['x-aws-ec2-metadata-token-ttl-seconds'] ?? '';
    if (!/^\d+$/.test(life) || life < 1 || life > 21600) throw plain(400, 'Bad Request');
    return { operation: 'imds:token', run: (reply) => this.say(reply, 200, this.sessions.issue(Number(life)), { 'content-type': 'text/plain', 'x-aws-ec2-metadata-token-ttl-seconds': life }) };
  }

  fromImds(reply) {
    const { accessKeyId, secretAccessKey, sessionToken, expires } = this.keys.issue(this.life, { from: 'imds' });
    return this.json(reply, 200, { Code: 'Success', LastUpdated: iso(this.now()), Type: 'AWS-HMAC', AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, Token: sessionToken, Expiration: iso(expires) }, { 'content-type': 'text/plain' });
  }

  admitContainer(request) {
    const { token } = this.container;
    if (request.method !== 'GET') throw plain(405);
    if (token && request.headers.authorization !== token) throw json(401, 'Unauthorized', { code: 'Unauthorized', message: 'the authorization token is missing or wrong' });
    return { operation: 'container', run: (reply) => {
      const { accessKeyId, secretAccessKey, sessionToken, expires } = this.keys.issue(this.life, { from: 'container' });
      return this.json(reply, 200, { RoleArn: this.role, AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, Token: sessionToken, Expiration: iso(expires) });
    } };
  }

  // ---- SSO --------------------------------------------------------------------------------------

  admitSso(request, query) {
    if (request.method !== 'GET') throw plain(405);
    if (this.ssoTokens.state(request.headers['x-amz-sso_bearer_token']) !== 'good') throw json(401, 'UnauthorizedException', { message: 'Session token not found or invalid' });
    if (query.get('account_id') !== this.sso.account || query.get('role_name') !== this.sso.role) throw json(403, 'ForbiddenException', { message: 'No access' });
    return { operation: 'sso:GetRoleCredentials', run: (reply) => {
      const { accessKeyId, secretAccessKey, sessionToken, expires } = this.keys.issue(this.life, { from: 'sso' });
      return this.json(reply, 200, { roleCredentials: { accessKeyId, secretAccessKey, sessionToken, expiration: expires } });
    } };
  }

  admitOidc(request) {
    const fail = (status, error, type, words) => { throw json(status, type, { error, error_description: words }); };
    if (request.method !== 'POST' || !/^application\/json\b/.test(request.headers['content-type'] ?? '')) fail(400, 'invalid_request', 'InvalidRequestException', 'not a JSON POST');
    let asked = {};
    try { asked = JSON.parse(request.body.toString()); } catch { fail(400, 'invalid_request', 'InvalidRequestException', 'not JSON'); }
    if (asked.clientId !== this.ssoClient.clientId || asked.clientSecret !== this.ssoClient.clientSecret) fail(401, 'invalid_client', 'InvalidClientException', 'Invalid client');
    if (asked.grantType !== 'refresh_token') fail(400, 'unsupported_grant_type', 'UnsupportedGrantTypeException', 'Unsupported grant type');
    if (this.ssoRefresh.state(asked.refreshToken) !== 'good') fail(400, 'invalid_grant', 'InvalidGrantException', 'Invalid refresh token provided');
    return { operation: 'sso:CreateToken', run: (reply) => this.json(reply, 200, { accessToken: this.ssoTokens.issue(this.life), expiresIn: this.life, tokenType: 'Bearer', refreshToken: this.ssoRefresh.issue(this.life * 10) }) };
  }

  /** The contents of a token cache file of `aws sso login`; `life` in s, negative for an expired token. */
  ssoCache(life = 3600, more = {}) {
    return { startUrl: 'https://an-org.awsapps.com/start', region: this.region, accessToken: this.ssoTokens.issue(life), expiresAt: iso(this.now() + life * 1000), ...this.ssoClient,
      registrationExpiresAt: iso(this.now() + 864e5), refreshToken: this.ssoRefresh.issue(864e3), ...more };
  }
}

export const startAwsSources = (t, options) => AwsSources.start(t, options);

export const awsFaults = {
  /** IMDS answers 200 with an error in the body. */
  imdsCode: (code = 'AssumeRoleUnauthorizedAccess') => (request, reply, mock) =>
    mock.json(reply, 200, { Code: code, Message: 'EC2 cannot assume the role', LastUpdated: iso(mock.now()) }),
  throttled: () => () => { throw sts(400, 'Throttling', 'Rate exceeded'); },
  unavailable: () => () => { throw sts(503, 'ServiceUnavailable', 'The service is unavailable'); },
  denied: () => () => { throw sts(403, 'AccessDenied', 'Not authorized'); },
};
