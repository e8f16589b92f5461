// SPDX-License-Identifier: Apache-2.0
// Tests the simulated token services: Google's library gets its tokens from them, raw requests get those of AWS and Azure,
// and each refusal is triggered once.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import { Compute, ExternalAccountClient, JWT, UserRefreshClient } from 'google-auth-library';
import { canary, secret, send } from './support/relay.mjs';
import { faults as common } from './support/upstream.mjs';
import { awsFaults, startAwsSources } from './support/cloud/aws_sources.mjs';
import { startBedrock } from './support/cloud/bedrock.mjs';
import { entraFaults, startEntra } from './support/cloud/entra.mjs';
import { googleFaults, startGoogleSources } from './support/cloud/google_sources.mjs';
import { keyPair, make } from './support/cloud/jwt.mjs';
import { sign } from './support/cloud/sigv4.mjs';

const formType = { 'content-type': 'application/x-www-form-urlencoded' };
const scope = 'https://www.googleapis.com/auth/cloud-platform';
const without = (object, name) => Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
const postForm = (url, form, headers = {}) => send(url, { method: 'POST', headers: { ...formType, ...headers }, body: new URLSearchParams(form).toString() });
const postJson = (url, value, headers = {}) => send(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) });

// ---- AWS ----------------------------------------------------------------------------------------

const role = 'arn:aws:iam::123456789012:role/relay';
const assume = (more = {}) => ({ Action: 'AssumeRole', Version: '2011-06-15', RoleArn: role, RoleSessionName: 'relay', ...more });

async function sts(mock, form, key, more = {}) {
  const body = new URLSearchParams(form).toString();
  const headers = key ? await sign(`${mock.url}/`, { headers: formType, body, key, service: 'sts', region: mock.region, ...more }) : formType;
  return send(`${mock.url}/`, { method: 'POST', headers, body });
}

const field = (answer, name) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(answer.text)?.[1];

test('STS: Bedrock accepts the keys it issues', async (t) => {
  const mock = await startAwsSources(t, { externalId: 'ext', life: 900 });
  const bedrock = await startBedrock(t, { keys: mock.keys });
  const own = mock.keys.add();
  const issued = await sts(mock, assume({ ExternalId: 'ext', DurationSeconds: '900' }), own);
  assert.equal(issued.status, 200, issued.text);
  const key = { accessKeyId: field(issued, 'AccessKeyId'), secretAccessKey: field(issued, 'SecretAccessKey'), sessionToken: field(issued, 'SessionToken') };
  assert.ok(Object.values(key).every((value) => value.includes(canary)));
  assert.ok(Math.abs(Date.parse(field(issued, 'Expiration')) - Date.now() - 900_000) < 5000);
  const url = `${bedrock.url}/model/anthropic.claude-opus-5-5/invoke`;
  const body = JSON.stringify({ anthropic_version: 'bedrock-2023-05-31', max_tokens: 1, messages: [{ role: 'user', content: 'hi' }] });
  const ask = async () => send(url, { method: 'POST', headers: await sign(url, { headers: { 'content-type': 'application/json' }, body, key, service: 'bedrock', region: bedrock.region }), body });
  assert.equal((await ask()).status, 200);
  mock.keys.expire();
  assert.match((await ask()).text, /is expired/);
  const identity = await sts(mock, { Action: 'GetCallerIdentity', Version: '2011-06-15' }, own);
  assert.equal(field(identity, 'Account'), '123456789012');
  assert.deepEqual(mock.counts, { 'sts:AssumeRole': 1, 'sts:GetCallerIdentity': 1 });
});

test('STS: web identity needs a token and no signature', async (t) => {
  const mock = await startAwsSources(t);
  const form = (token, more) => assume({ Action: 'AssumeRoleWithWebIdentity', WebIdentityToken: token, ...more });
  const good = mock.webTokens.issue(60);
  assert.ok(field(await sts(mock, form(good)), 'SessionToken'));
  const cases = [[form('eyJ.of.nobody'), 'InvalidIdentityToken'], [form(mock.webTokens.issue(-1)), 'ExpiredTokenException'],
    [form(good, { RoleArn: `${role}x` }), 'AccessDenied'], [form(good, { RoleSessionName: 'no spaces' }), 'ValidationError']];
  for (const [given, code] of cases) assert.equal(field(await sts(mock, given), 'Code'), code);
});

test('STS refuses what the real one refuses', async (t) => {
  const mock = await startAwsSources(t);
  const key = mock.keys.add();
  const cases = [
    [assume(), undefined, {}, 'MissingAuthenticationToken'],
    [assume(), { ...key, accessKeyId: 'AKIANOBODY' }, {}, 'InvalidClientTokenId'],
    [assume(), { ...key, secretAccessKey: secret('other') }, {}, 'SignatureDoesNotMatch'],
    [assume(), key, { service: 'bedrock' }, 'SignatureDoesNotMatch'],
    [assume(), key, { region: 'mars-1' }, 'SignatureDoesNotMatch'],
    [assume(), key, { date: new Date(Date.now() - 400_000) }, 'SignatureDoesNotMatch'],
    [assume(), mock.keys.issue(-5), {}, 'ExpiredToken'],
    [assume({ RoleArn: `${role}x` }), key, {}, 'AccessDenied'],
    [assume({ ExternalId: 'not asked for' }), key, {}, 'AccessDenied'],
    [without(assume(), 'RoleSessionName'), key, {}, 'ValidationError'],
    [assume({ DurationSeconds: '1' }), key, {}, 'ValidationError'],
    [assume({ Version: '2010' }), key, {}, 'InvalidAction'],
    [assume({ Action: 'GetFederationToken' }), key, {}, 'InvalidAction'],
  ];
  for (const [form, signer, more, code] of cases) assert.equal(field(await sts(mock, form, signer, more), 'Code'), code, JSON.stringify([form, more]));
  for (const [fault, code] of [['throttled', 'Throttling'], ['unavailable', 'ServiceUnavailable'], ['denied', 'AccessDenied']]) {
    mock.fault(awsFaults[fault](), { on: 'sts:AssumeRole' });
    assert.equal(field(await sts(mock, assume(), key), 'Code'), code);
  }
  assert.equal(mock.refusals.length, cases.length);
});

test('IMDS: version 2, version 1, their refusals', async (t) => {
  const mock = await startAwsSources(t);
  const at = `${mock.url}/latest/meta-data/iam/security-credentials/`;
  const session = (ttl, more = {}) => send(`${mock.url}/latest/api/token`, { method: 'PUT', headers: { 'x-aws-ec2-metadata-token-ttl-seconds': ttl, ...more } });
  const { text: token } = await session('21600');
  const headers = { 'x-aws-ec2-metadata-token': token };
  assert.equal((await send(at, { headers })).text, 'instance-role');
  const keys = JSON.parse((await send(`${at}instance-role`, { headers })).text);
  assert.deepEqual([keys.Code, mock.keys.find(keys.AccessKeyId).sessionToken], ['Success', keys.Token]);
  assert.equal((await send(`${mock.url}/latest/meta-data/placement/region`, { headers })).text, 'us-east-1');
  const statuses = [session('21601'), session(undefined), session('60', { 'x-forwarded-for': '10.0.0.1' }), send(at), send(at, { headers: { 'x-aws-ec2-metadata-token': 'x' } }), send(`${at}another`, { headers })];
  assert.deepEqual((await Promise.all(statuses)).map((answer) => answer.status), [400, 400, 403, 401, 401, 404]);
  mock.sessions.expire();
  assert.equal((await send(at, { headers })).status, 401);
  mock.imds = { v1: true, v2: 403, role: 'old' };
  assert.deepEqual([(await session('60')).status, (await send(at)).text], [403, 'old']);
  mock.fault(awsFaults.imdsCode(), { on: 'imds:credentials' });
  assert.equal(JSON.parse((await send(`${at}old`)).text).Code, 'AssumeRoleUnauthorizedAccess');
  assert.equal(mock.count('imds:token'), 1);
});

test('containers and SSO', async (t) => {
  const mock = await startAwsSources(t);
  const { path, token } = mock.container;
  const keys = JSON.parse((await send(mock.url + path, { headers: { authorization: token } })).text);
  assert.ok(mock.keys.find(keys.AccessKeyId) && Date.parse(keys.Expiration));
  assert.equal((await send(mock.url + path)).status, 401);
  mock.fault(common.reset(), { on: 'container' });
  await assert.rejects(send(mock.url + path, { headers: { authorization: token } }));
  const cache = mock.ssoCache();
  const roleAt = (bearer, name = 'Developer') => send(`${mock.url}/federation/credentials?role_name=${name}&account_id=123456789012`, { headers: { 'x-amz-sso_bearer_token': bearer } });
  const { roleCredentials } = JSON.parse((await roleAt(cache.accessToken)).text);
  assert.equal(roleCredentials.expiration, mock.keys.find(roleCredentials.accessKeyId).expires);
  assert.equal((await roleAt(cache.accessToken, 'Admin')).status, 403);
  mock.ssoTokens.expire();
  assert.equal((await roleAt(cache.accessToken)).status, 401);
  const create = (more = {}) => postJson(`${mock.url}/token`, { clientId: cache.clientId, clientSecret: cache.clientSecret, grantType: 'refresh_token', refreshToken: cache.refreshToken, ...more });
  const fresh = JSON.parse((await create()).text);
  assert.equal((await roleAt(fresh.accessToken)).status, 200);
  for (const [more, error] of [[{ clientSecret: 'x' }, 'invalid_client'], [{ grantType: 'x' }, 'unsupported_grant_type'], [{ refreshToken: 'x' }, 'invalid_grant']]) {
    assert.equal(JSON.parse((await create(more)).text).error, error);
  }
});

// ---- Google -------------------------------------------------------------------------------------

/** Google's library asks fixed addresses: they are led to the mock, the rest of the request stays. */
function led(client, mock) {
  client.transporter.interceptors.request.add({ resolved: async (config) => {
    config.url = new URL(String(config.url).replace('https://oauth2.googleapis.com', mock.url));
    return config;
  } });
  return client;
}

test('google-auth-library gets its tokens from the mock', async (t) => {
  const mock = await startGoogleSources(t);
  const good = async (client) => {
    const { token } = await client.getAccessToken();
    assert.equal(mock.tokens.state(token), 'good');
    return mock.tokens.find(token).from;
  };
  const file = mock.serviceAccount();
  const account = led(new JWT({ email: file.client_email, key: file.private_key, keyId: file.private_key_id, scopes: [scope] }), mock);
  assert.equal(await good(account), 'serviceAccount');
  const user = mock.authorizedUser();
  assert.equal(await good(led(new UserRefreshClient({ clientId: user.client_id, clientSecret: user.client_secret, refreshToken: user.refresh_token }), mock)), 'refresh');
  for (const impersonate of [false, true]) {
    const client = ExternalAccountClient.fromJSON(mock.externalAccount({ impersonate }));
    client.scopes = [scope];
    assert.equal(await good(client), impersonate ? 'impersonation' : 'exchange');
  }
  process.env.GCE_METADATA_HOST = mock.url.slice('http://'.length);
  t.after(() => { delete process.env.GCE_METADATA_HOST; });
  assert.equal(await good(new Compute()), 'metadata');
  assert.equal((await send(`${mock.url}/computeMetadata/v1/project/project-id`, { headers: { 'metadata-flavor': 'Google' } })).text, 'a-project');
  assert.deepEqual(mock.refusals, []);
  assert.equal(mock.count('oauth:serviceAccount'), 1);
  mock.fault(googleFaults.invalidGrant());
  await assert.rejects(led(new JWT({ email: file.client_email, key: file.private_key, keyId: file.private_key_id, scopes: [scope] }), mock).getAccessToken(), /invalid_grant|invalid_rapt/);
});

test('every claim of a JWT is checked', async (t) => {
  const mock = await startGoogleSources(t);
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: 'RS256', typ: 'JWT', kid: mock.keyId };
  const claims = { iss: mock.email, scope, aud: `${mock.url}/token`, iat: now, exp: now + 3600 };
  const ask = (jwt, grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer', headers = {}) => postForm(`${mock.url}/token`, { grant_type: grant, assertion: jwt }, headers);
  const signed = (changed = {}, head = header) => make(head, { ...claims, ...changed }, keyPair().privateKey);
  const answer = JSON.parse((await ask(signed())).text);
  assert.deepEqual([answer.token_type, answer.expires_in, mock.tokens.state(answer.access_token)], ['Bearer', 3600, 'good']);
  const broken = signed().replace(/.{6}$/, 'AAAAAA');
  const cases = [['junk', 'invalid_grant'], [broken, 'invalid_grant'], [signed({}, { ...header, alg: 'none' }), 'invalid_grant'], [signed({}, { ...header, kid: 'x' }), 'invalid_grant'],
    [signed({ iss: 'x@y' }), 'invalid_grant'], [signed({ aud: 'https://elsewhere.test' }), 'invalid_grant'], [signed({ exp: now + 3601 }), 'invalid_grant'],
    [signed({ iat: now - 7200, exp: now - 3600 }), 'invalid_grant'], [signed({ iat: now + 900, exp: now + 1000 }), 'invalid_grant'], [signed({ iat: now + 0.5 }), 'invalid_grant'],
    [signed({ novelty: 1 }), 'invalid_grant'], [signed({ scope: 'email' }), 'invalid_scope'], [signed({ sub: 'boss@y' }), 'unauthorized_client']];
  for (const [jwt, error] of cases) assert.equal(JSON.parse((await ask(jwt)).text).error, error, jwt);
  assert.equal(JSON.parse((await ask(signed(), 'password')).text).error, 'unsupported_grant_type');
  assert.equal(JSON.parse((await ask(signed(), undefined, { 'content-type': 'application/json' })).text).error, 'invalid_request');
  for (const bare of [without(header, 'typ'), without(header, 'kid')]) {
    mock.options.exact = false;
    assert.equal((await ask(signed({}, bare))).status, 200);
    mock.options.exact = true;
    assert.equal((await ask(signed({}, bare))).status, 400);
  }
  assert.equal((await ask(signed())).status, 200);
  mock.skew = 3 * 3600_000;
  assert.equal(JSON.parse((await ask(signed())).text).error, 'invalid_grant');
});

test('the other endpoints of Google refuse too', async (t) => {
  const mock = await startGoogleSources(t, { life: 60 });
  const user = mock.authorizedUser();
  const refresh = (more = {}) => postForm(`${mock.url}/token`, { grant_type: 'refresh_token', client_id: user.client_id, client_secret: user.client_secret, refresh_token: user.refresh_token, ...more });
  assert.equal(JSON.parse((await refresh()).text).expires_in, 60);
  for (const [more, error] of [[{ client_id: 'x' }, 'invalid_client'], [{ client_secret: 'x' }, 'invalid_client'], [{ refresh_token: 'x' }, 'invalid_grant']]) assert.equal(JSON.parse((await refresh(more)).text).error, error);
  const exchange = (more = {}) => postForm(`${mock.url}/v1/token`, { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', audience: mock.audience, scope,
    requested_token_type: 'urn:ietf:params:oauth:token-type:access_token', subject_token_type: 'urn:ietf:params:oauth:token-type:jwt', subject_token: mock.subjects.issue(60), ...more });
  assert.equal((await exchange()).status, 200);
  const wrong = { grant_type: 'unsupported_grant_type', audience: 'invalid_target', scope: 'invalid_scope', requested_token_type: 'invalid_request', subject_token_type: 'invalid_request', subject_token: 'invalid_grant' };
  for (const [name, error] of Object.entries(wrong)) assert.equal(JSON.parse((await exchange({ [name]: 'x' })).text).error, error);
  const endpoint = `${mock.url}/v1/projects/-/serviceAccounts/${mock.email}:generateAccessToken`;
  const bearer = { authorization: `Bearer ${mock.tokens.issue(60)}` };
  assert.ok(JSON.parse((await postJson(endpoint, { scope: [scope] }, bearer)).text).expireTime);
  const statuses = [postJson(endpoint, { scope: [scope] }), postJson(endpoint, { scope: ['x'] }, bearer), postJson(endpoint, { scope: [scope], lifetime: '9999s' }, bearer),
    send(`${mock.url}/computeMetadata/v1/instance/service-accounts/default/token`), send(`${mock.url}/subject`)];
  assert.deepEqual((await Promise.all(statuses)).map((answer) => answer.status), [401, 400, 400, 403, 403]);
  const metadata = () => send(`${mock.url}/computeMetadata/v1/instance/service-accounts/default/token`, { headers: { 'metadata-flavor': 'Google' } });
  assert.equal((await metadata()).headers['metadata-flavor'], 'Google');
  mock.fault(googleFaults.foreign());
  assert.equal((await metadata()).headers['metadata-flavor'], undefined);
  mock.fault(googleFaults.odd({ expires_in: undefined, access_token: 'a\nb' }));
  assert.deepEqual(Object.keys(JSON.parse((await metadata()).text)), ['access_token', 'token_type']);
  for (const [fault, status] of [['serverError', 500], ['unavailable', 503]]) {
    mock.fault(googleFaults[fault]());
    assert.equal((await refresh()).status, status);
  }
});

// ---- Azure --------------------------------------------------------------------------------------

test('Entra: a secret, a certificate, a federated token', async (t) => {
  const mock = await startEntra(t);
  const now = Math.floor(Date.now() / 1000);
  const form = { grant_type: 'client_credentials', client_id: mock.clientId, scope: 'https://ai.azure.com/.default' };
  const byKey = { ...form, client_secret: mock.clientSecret };
  const ask = async (given, url = mock.tokenUrl) => JSON.parse((await postForm(url, given)).text);
  const answer = await ask(byKey);
  assert.deepEqual([answer.token_type, mock.tokens.find(answer.access_token).audience], ['Bearer', 'https://ai.azure.com']);
  let serial = 0;
  const asserted = (changed = {}, head = {}) => ({ ...form, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: make({ alg: 'RS256', typ: 'JWT', x5t: mock.thumbprint, ...head }, { aud: mock.tokenUrl, iss: mock.clientId, sub: mock.clientId, jti: `j${serial += 1}`, nbf: now, exp: now + 600, ...changed }, keyPair().privateKey) });
  const once = asserted();
  assert.ok((await ask(once)).access_token);
  assert.ok((await ask({ ...asserted(), client_assertion: mock.federated.issue(60) })).access_token);
  const cases = [[{ ...byKey, grant_type: 'password' }, 70003], [{ ...byKey, client_id: 'x' }, 700016], [form, 7000216], [{ ...byKey, client_secret: 'x' }, 7000215],
    [{ ...byKey, scope: 'https://ai.azure.com' }, 1002012], [once, 50027], [asserted({}, { x5t: 'x' }), 50027], [asserted({ aud: 'x' }), 50027], [asserted({ sub: 'x' }), 700021],
    [asserted({ exp: now - 1 }), 700024], [{ ...asserted(), client_assertion_type: 'x' }, 50027], [{ ...asserted(), client_assertion: mock.federated.issue(-1) }, 700024],
    [{ ...once, client_assertion: asserted().client_assertion.replace(/.{6}$/, 'AAAAAA') }, 700027]];
  for (const [given, code] of cases) assert.deepEqual((await ask(given)).error_codes, [code], JSON.stringify(given));
  assert.deepEqual((await ask(byKey, mock.tokenUrl.replace(mock.tenant, 'elsewhere'))).error_codes, [90002]);
  mock.fault(entraFaults.limited(3));
  assert.equal((await postForm(mock.tokenUrl, byKey)).headers['retry-after'], '3');
  mock.fault(entraFaults.odd({ access_token: undefined }));
  assert.equal('access_token' in await ask(byKey), false);
  assert.equal(mock.refusals.length, cases.length + 1);
});

test('the identities of instances and App Services', async (t) => {
  const mock = await startEntra(t, { identityId: 'user-assigned' });
  const query = (version, more = '') => `?api-version=${version}&resource=${encodeURIComponent('https://ai.azure.com/')}&client_id=user-assigned${more}`;
  const instance = (headers = { metadata: 'true' }, asked = query('2018-02-01')) => send(`${mock.url}/metadata/identity/oauth2/token${asked}`, { headers });
  const answer = JSON.parse((await instance()).text);
  assert.deepEqual([typeof answer.expires_in, typeof answer.expires_on, mock.tokens.state(answer.access_token)], ['string', 'string', 'good']);
  const { endpoint, header } = mock.appService;
  const service = (headers = { 'x-identity-header': header }, asked = query('2019-08-01')) => send(endpoint + asked, { headers });
  assert.ok(JSON.parse((await service()).text).access_token.includes(canary));
  const statuses = [instance({}), instance(undefined, query('2017-01-01')), instance(undefined, '?api-version=2018-02-01&resource=x'), service({}), service(undefined, query('2018-02-01')),
    instance(undefined, query('2018-02-01').replace('user-assigned', 'x'))];
  assert.deepEqual((await Promise.all(statuses)).map((one) => one.status), [400, 400, 400, 401, 400, 400]);
  mock.fault(entraFaults.unavailable(), { on: 'instance' });
  assert.deepEqual([(await instance()).status, (await service()).status, mock.count('app_service')], [503, 200, 2]);
});

// ---- Methods and forms --------------------------------------------------------------------------

const statusesOf = async (list) => (await Promise.all(list)).map((answer) => answer.status);

test('the endpoints of AWS accept only their own method and form', async (t) => {
  const mock = await startAwsSources(t, { imds: { v1: true } });
  const at = (method, path, headers = {}, body) => send(mock.url + path, { method, headers, body });
  const web = assume({ Action: 'AssumeRoleWithWebIdentity', WebIdentityToken: mock.webTokens.issue(60) });
  const bearer = { 'x-amz-sso_bearer_token': mock.ssoCache().accessToken };
  const typed = { 'content-type': 'application/json' };
  assert.deepEqual(await statusesOf([at('GET', '/nowhere'), at('PUT', '/'), at('GET', '/latest/api/token'), at('POST', '/latest/meta-data/placement/region'),
    at('POST', mock.container.path, { authorization: mock.container.token }), at('POST', '/federation/credentials?role_name=Developer&account_id=123456789012', bearer)]), [404, 405, 405, 405, 405, 405]);
  assert.equal((await at('GET', `/?${new URLSearchParams(web)}`)).status, 200);
  const twice = `${new URLSearchParams(web)}&RoleArn=${role}`;
  for (const answer of [await postForm(`${mock.url}/`, web, { 'content-type': 'text/plain' }), await send(`${mock.url}/`, { method: 'POST', headers: formType, body: twice })]) assert.equal(field(answer, 'Code'), 'MalformedInput');
  assert.match(field(await sts(mock, without(web, 'RoleArn')), 'Message'), /roleArn/);
  for (const [answer, words] of [[await at('POST', '/token', typed, '{'), 'not JSON'], [await at('POST', '/token', {}, '{}'), 'not a JSON POST']]) assert.equal(JSON.parse(answer.text).error_description, words);
});

test('the endpoints of Google accept only their own method and form', async (t) => {
  const mock = await startGoogleSources(t);
  const flavor = { 'metadata-flavor': 'Google' };
  const at = (method, path, headers = {}, body) => send(mock.url + path, { method, headers, body });
  const token = '/computeMetadata/v1/instance/service-accounts/default/token';
  const bearer = { authorization: `Bearer ${mock.tokens.issue(60)}` };
  assert.deepEqual(await statusesOf([at('GET', '/token'), at('POST', '/nowhere'), at('GET', token, { ...flavor, 'x-forwarded-for': '10.0.0.1' }), at('POST', token, flavor),
    at('GET', `${token}?scopes=email`, flavor), at('GET', '/computeMetadata/v1/nowhere', flavor), at('POST', '/v1/token', {}, 'x=1'),
    at('POST', `/v1/projects/-/serviceAccounts/${mock.email}:generateAccessToken`, bearer, '{')]), [404, 404, 403, 405, 400, 404, 400, 400]);
  assert.match(mock.refusals.join('\n'), /invalid_request: the content type[^]*Invalid JSON payload/);
});

test('the endpoints of Entra accept only their own method and form', async (t) => {
  const mock = await startEntra(t);
  const at = (method, url, headers = {}) => send(url, { method, headers });
  const { endpoint, header } = mock.appService;
  const query = (version, resource) => `?api-version=${version}&resource=${encodeURIComponent(resource)}`;
  const instance = `${mock.url}/metadata/identity/oauth2/token`;
  assert.deepEqual(await statusesOf([at('GET', mock.tokenUrl), at('POST', instance + query('2018-02-01', mock.audience), { metadata: 'true' }),
    at('POST', endpoint + query('2019-08-01', mock.audience), { 'x-identity-header': header }), at('GET', instance + query('2018-02-01', 'https://graph.test'), { metadata: 'true' })]), [404, 405, 405, 400]);
  const plain = await postForm(mock.tokenUrl, { grant_type: 'client_credentials' }, { 'content-type': 'text/plain' });
  assert.deepEqual(JSON.parse(plain.text).error_codes, [900144]);
});
