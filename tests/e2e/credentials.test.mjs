// SPDX-License-Identifier: Apache-2.0
// The relay's credentials for clouds: every source, simulated as strictly as the real one, how often it is asked, and
// what happens while it is down.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, canary, post, run, secret } from './support/relay.mjs';
import { AwsKeys } from './support/cloud/tokens.mjs';
import { startAwsSources } from './support/cloud/aws_sources.mjs';
import { startEntra } from './support/cloud/entra.mjs';
import { googleFaults, startGoogleSources } from './support/cloud/google_sources.mjs';
import { azure, bedrock, vertex } from './support/clouds.mjs';

const clientKey = secret('client');
const authorized = { 'x-api-key': clientKey };
const config = (...providers) => ({ server: { auth: { api_key: clientKey } }, providers, routing: { strategy: 'failover' } });
const served = (relay, more = {}) => post(relay, ask(more), { headers: authorized });

/** A folder with files: { 'name': text or value for JSON }. */
function files(t, contents) {
  const folder = mkdtempSync(path.join(tmpdir(), 'ccrelay-credentials-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(contents)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 });
  }
  return folder;
}

async function aws(t, options = {}) {
  const keys = new AwsKeys();
  const source = await startAwsSources(t, { keys, ...options });
  const scene = await bedrock(t, { keys, source });
  return { ...scene, source, keys, env: {} };
}

const imds = (source) => ({ AWS_EC2_METADATA_SERVICE_ENDPOINT: source.url });

async function start(t, scene, env, more = {}) {
  return Relay.start(t, { config: { ...config(scene.provider), ...more }, env });
}

// ---- AWS: every source --------------------------------------------------------------------------

const lines = (fields) => Object.entries(fields).map(([name, value]) => `${name} = ${value}\n`).join('');
const staticKeys = (key) => lines({ aws_access_key_id: key.accessKeyId, aws_secret_access_key: key.secretAccessKey });
const inFiles = (folder) => ({ AWS_CONFIG_FILE: path.join(folder, 'config'), AWS_SHARED_CREDENTIALS_FILE: path.join(folder, 'credentials') });

const sources = {
  'a Bedrock API key': (t, { keys }) => ({ AWS_BEARER_TOKEN_BEDROCK: keys.bearer() }),
  'the environment': (t, { keys }) => {
    const key = keys.issue(3600);
    return { AWS_ACCESS_KEY_ID: key.accessKeyId, AWS_SECRET_ACCESS_KEY: key.secretAccessKey, AWS_SESSION_TOKEN: key.sessionToken };
  },
  'the credentials file': (t, { keys }) => inFiles(files(t, { credentials: `[default]\n${staticKeys(keys.add())}` })),
  'a named profile': (t, { keys }) => ({ ...inFiles(files(t, { credentials: `[work]\n${staticKeys(keys.add())}` })), AWS_PROFILE: 'work' }),
  'a role with a source profile': (t, { keys, source }) => ({
    ...inFiles(files(t, { credentials: `[base]\n${staticKeys(keys.add())}`, config: `[default]\n${lines({ role_arn: source.role, source_profile: 'base', region: source.region })}` })),
    AWS_ENDPOINT_URL_STS: source.url,
  }),
  'a role with the instance as its source': (t, { source }) => ({
    ...inFiles(files(t, { config: `[default]\n${lines({ role_arn: source.role, credential_source: 'Ec2InstanceMetadata' })}` })), ...imds(source), AWS_ENDPOINT_URL_STS: source.url,
  }),
  'a program': (t, { keys }) => {
    const key = keys.issue(3600);
    const answer = { Version: 1, AccessKeyId: key.accessKeyId, SecretAccessKey: key.secretAccessKey, SessionToken: key.sessionToken, Expiration: new Date(key.expires).toISOString() };
    const folder = files(t, { 'a file.json': answer });
    writeFileSync(path.join(folder, 'config'), `[default]\ncredential_process = /bin/cat "${folder}/a file.json"\n`, { mode: 0o600 });
    return inFiles(folder);
  },
  'single sign-on': (t, { source }) => {
    const cache = `home/.aws/sso/cache/${createHash('sha1').update('corp').digest('hex')}.json`;
    const folder = files(t, {
      config: `[default]\n${lines({ sso_session: 'corp', sso_account_id: source.sso.account, sso_role_name: source.sso.role })}\n[sso-session corp]\n${lines({ sso_start_url: 'https://an-org.awsapps.com/start', sso_region: source.region })}`,
      [cache]: source.ssoCache(),
    });
    return { ...inFiles(folder), HOME: path.join(folder, 'home'), AWS_ENDPOINT_URL_SSO: source.url, AWS_ENDPOINT_URL_SSO_OIDC: source.url };
  },
  'web identity': (t, { source }) => {
    const folder = files(t, { token: source.webTokens.issue(3600) });
    return { AWS_WEB_IDENTITY_TOKEN_FILE: path.join(folder, 'token'), AWS_ROLE_ARN: source.role, AWS_ENDPOINT_URL_STS: source.url };
  },
  'the container': (t, { source }) => ({ AWS_CONTAINER_CREDENTIALS_FULL_URI: source.url + source.container.path, AWS_CONTAINER_AUTHORIZATION_TOKEN: source.container.token }),
  'the container with a token file': (t, { source }) => ({
    AWS_CONTAINER_CREDENTIALS_FULL_URI: source.url + source.container.path, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: path.join(files(t, { token: source.container.token }), 'token'),
  }),
  'the instance': (t, { source }) => imds(source),
};
for (const [what, env] of Object.entries(sources)) {
  test(`bedrock with credentials from ${what}`, async (t) => {
    const scene = await aws(t);
    const relay = await start(t, scene, await env(t, scene));
    for (const stream of [false, true]) {
      const answer = await served(relay, { stream });
      assert.equal(answer.status, 200, `${answer.text}\n${scene.mock.refusals}\n${scene.source.refusals}`);
    }
    assert.deepEqual([scene.mock.refusals, scene.source.refusals], [[], []]);
  });
}

test('bedrock: an instance without IMDSv2 is asked by IMDSv1, unless that is switched off', async (t) => {
  const scene = await aws(t, { imds: { v1: true, v2: 404 } });
  const relay = await start(t, scene, imds(scene.source));
  assert.equal((await served(relay)).status, 200);
  const strict = await start(t, scene, { ...imds(scene.source), AWS_EC2_METADATA_V1_DISABLED: 'true' });
  assert.equal((await served(strict)).status, 502);
});

// ---- How often ----------------------------------------------------------------------------------

const fetchers = {
  bedrock: async (t) => {
    const scene = await aws(t);
    return { ...scene, env: await sources['the container'](t, scene), operation: 'container' };
  },
  vertex: async (t) => {
    const scene = await vertex(t);
    return { ...scene, operation: 'metadata:token' };
  },
  azure: async (t) => {
    const source = await startEntra(t);
    const scene = await azure(t, { tokens: source.tokens });
    const { keys: _, ...provider } = scene.provider;
    return { mock: scene.mock, source, operation: 'app_service', provider: { ...provider, azure_auth: 'entra_id' }, env: { IDENTITY_ENDPOINT: source.appService.endpoint, IDENTITY_HEADER: source.appService.header } };
  },
};
for (const [kind, prepare] of Object.entries(fetchers)) {
  test(`${kind}: 50 first requests at once make one fetch in all workers together`, async (t) => {
    const scene = await prepare(t);
    scene.source.delay = 100;
    const relay = await start(t, scene, scene.env);
    const list = await Promise.all(Array.from({ length: 50 }, () => served(relay)));
    assert.deepEqual(list.map((answer) => answer.status), Array(50).fill(200), `${list[0].text}\n${scene.mock.refusals}\n${scene.source.refusals}`);
    assert.equal(scene.source.count(scene.operation), 1);
  });

  test(`${kind}: credentials that expire under load fail no request`, async (t) => {
    const scene = await prepare(t);
    scene.source.life = 3;
    const relay = await start(t, scene, scene.env);
    const until = performance.now() + 7000;
    const seen = [];
    await Promise.all(Array.from({ length: 8 }, async () => {
      while (performance.now() < until) {
        seen.push((await served(relay)).status);
        await sleep(20);
      }
    }));
    assert.ok(seen.length > 100);
    assert.deepEqual(seen.filter((status) => status !== 200), [], scene.mock.refusals.join('\n'));
    assert.ok(scene.source.count(scene.operation) >= 3);
  });

  test(`${kind}: a source that is down fails no request while credentials are valid, and is logged once`, async (t) => {
    const scene = await prepare(t);
    scene.source.life = 20;
    const relay = await start(t, scene, scene.env);
    assert.equal((await served(relay)).status, 200);
    await scene.source.stop();
    scene.source.stop = async () => {};
    await sleep(10_500);
    for (let count = 0; count < 20; count += 1) {
      assert.equal((await served(relay)).status, 200);
      await sleep(200);
    }
    const warnings = relay.output.split('\n').filter((line) => line.includes('credentials cannot be fetched') && line.includes('"warn"'));
    assert.equal(warnings.length, 1, relay.output);
  });

  test(`${kind}: credentials that are refused are fetched again, once`, async (t) => {
    const scene = await prepare(t);
    const relay = await start(t, scene, scene.env);
    assert.equal((await served(relay)).status, 200);
    if (kind === 'bedrock') scene.keys.expire();
    else scene.source.tokens.expire();
    const answer = await served(relay);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(scene.source.count(scene.operation), 2);
  });
}

// ---- Google's files ------------------------------------------------------------------------------

const google = {
  'a service account': (source) => source.serviceAccount(),
  'a user': (source) => source.authorizedUser(),
  'an external account': (source) => source.externalAccount(),
  'an external account that impersonates': (source) => source.externalAccount({ impersonate: true }),
  'an impersonated service account': (source) => source.impersonated(source.authorizedUser()),
};
for (const [what, make] of Object.entries(google)) {
  test(`vertex with the credentials of ${what}`, async (t) => {
    const scene = await vertex(t);
    const file = path.join(files(t, { 'adc.json': make(scene.source) }), 'adc.json');
    const relay = await start(t, scene, { GOOGLE_APPLICATION_CREDENTIALS: file });
    const answer = await served(relay, { stream: true });
    assert.equal(answer.status, 200, `${answer.text}\n${scene.source.refusals}`);
    assert.deepEqual([scene.mock.refusals, scene.source.refusals], [[], []]);
  });
}

const subject = { type: 'json', subject_token_field_name: 'id_token' };
const federated = {
  'a file': (t, source) => {
    const token = path.join(files(t, { 'token.json': { id_token: source.subjects.issue(3600) } }), 'token.json');
    return { source: { file: token, format: subject } };
  },
  'a program': (t, source) => {
    const answer = { version: 1, success: true, token_type: 'urn:ietf:params:oauth:token-type:jwt', id_token: source.subjects.issue(3600), expiration_time: Math.floor(Date.now() / 1000) + 3600 };
    const said = path.join(files(t, { 'answer.json': answer }), 'answer.json');
    return { source: { executable: { command: `/bin/cat ${said}`, timeout_millis: 5000 } } };
  },
};
for (const [what, make] of Object.entries(federated)) {
  test(`vertex with an external account whose subject comes from ${what}`, async (t) => {
    const scene = await vertex(t);
    const file = path.join(files(t, { 'adc.json': scene.source.externalAccount(make(t, scene.source)) }), 'adc.json');
    const env = { GOOGLE_APPLICATION_CREDENTIALS: file, GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES: '1' };
    const relay = await start(t, scene, env);
    const answer = await served(relay);
    assert.equal(answer.status, 200, `${answer.text}\n${scene.source.refusals}`);
    assert.deepEqual([scene.mock.refusals, scene.source.refusals], [[], []]);
  });
}

// ---- Azure's identities --------------------------------------------------------------------------

const identities = {
  'a client secret': (t, source) => ({ AZURE_TENANT_ID: source.tenant, AZURE_CLIENT_ID: source.clientId, AZURE_CLIENT_SECRET: source.clientSecret, AZURE_AUTHORITY_HOST: source.url }),
  'a federated token': (t, source) => ({
    AZURE_TENANT_ID: source.tenant, AZURE_CLIENT_ID: source.clientId, AZURE_AUTHORITY_HOST: source.url,
    AZURE_FEDERATED_TOKEN_FILE: path.join(files(t, { token: source.federated.issue(3600) }), 'token'),
  }),
  'the identity of the machine': (t, source) => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: source.url }),
  'the identity of an app': (t, source) => ({ IDENTITY_ENDPOINT: source.appService.endpoint, IDENTITY_HEADER: source.appService.header }),
};
for (const [what, env] of Object.entries(identities)) {
  test(`azure with ${what}`, async (t) => {
    const source = await startEntra(t);
    const { mock, provider: { keys: _, ...provider } } = await azure(t, { tokens: source.tokens });
    const relay = await start(t, { provider: { ...provider, azure_auth: 'entra_id' } }, env(t, source));
    for (const stream of [false, true]) {
      const answer = await served(relay, { stream });
      assert.equal(answer.status, 200, `${answer.text}\n${source.refusals}`);
    }
    assert.deepEqual([mock.refusals, source.refusals], [[], []]);
    assert.ok(mock.requests.every((request) => request.headers['x-api-key'] === undefined));
  });
}

// ---- Google's login and token service -------------------------------------------------------------

test('vertex: the login of gcloud is found', async (t) => {
  const scene = await vertex(t);
  const folder = files(t, { 'application_default_credentials.json': scene.source.authorizedUser() });
  const relay = await start(t, scene, { CLOUDSDK_CONFIG: folder });
  assert.equal((await served(relay)).status, 200);
});

test('vertex: a token service that fails for a moment is asked again', async (t) => {
  const scene = await vertex(t);
  const file = path.join(files(t, { 'adc.json': scene.source.authorizedUser() }), 'adc.json');
  scene.source.fault(googleFaults.unavailable());
  const relay = await start(t, scene, { GOOGLE_APPLICATION_CREDENTIALS: file });
  assert.equal((await served(relay)).status, 200);
});

test('vertex: the error for an expired login says what to do', async (t) => {
  const scene = await vertex(t);
  const file = path.join(files(t, { 'adc.json': scene.source.authorizedUser() }), 'adc.json');
  scene.source.fault(googleFaults.invalidGrant(), { times: 9 });
  const relay = await start(t, scene, { GOOGLE_APPLICATION_CREDENTIALS: file });
  const answer = await served(relay);
  assert.equal(answer.status, 502);
  assert.match(JSON.parse(answer.text).error.message, /gcloud auth application-default login/);
});

// ---- Clocks and faults ---------------------------------------------------------------------------

for (const [name, hours] of [['slow', 1], ['fast', -1]]) {
  test(`bedrock: a clock that is an hour ${name} is detected once for all workers`, async (t) => {
    const scene = await bedrock(t);
    scene.mock.skew = hours * 3600_000;
    const relay = await start(t, scene, scene.env);
    for (let count = 0; count < 6; count += 1) assert.equal((await served(relay)).status, 200);
    assert.equal(scene.mock.refusals.length, 1, scene.mock.refusals.join('\n'));
    await relay.printed(/clock/);
  });
}

const problems = {
  'no credentials at all': { env: { AWS_EC2_METADATA_DISABLED: 'true' }, says: /no AWS credentials/ },
  'a login that has ended': {
    env: (t) => {
      const cache = `home/.aws/sso/cache/${createHash('sha1').update('corp').digest('hex')}.json`;
      const folder = files(t, {
        config: '[default]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n[sso-session corp]\nsso_start_url = https://an-org.awsapps.com/start\nsso_region = us-east-1\n',
        [cache]: { startUrl: 'https://an-org.awsapps.com/start', region: 'us-east-1', accessToken: `aoa${canary}`, expiresAt: '2020-01-01T00:00:00Z' },
      });
      return { ...inFiles(folder), HOME: path.join(folder, 'home') };
    },
    says: /aws sso login/,
  },
};
for (const [what, problem] of Object.entries(problems)) {
  test(`bedrock: ${what} is reported at the start, by check, and to the client`, async (t) => {
    const scene = await aws(t);
    const env = typeof problem.env === 'function' ? problem.env(t) : problem.env;
    const relay = await start(t, scene, env);
    await relay.printed(problem.says);
    const answer = await served(relay);
    assert.equal(answer.status, 502);
    assert.match(JSON.parse(answer.text).error.message, problem.says);
    const checked = await run(['check', '--config', relay.configPath], env);
    assert.match(checked.output, problem.says);
  });
}

test('check and the start refuse a malformed region and a missing project', async (t) => {
  const folder = files(t, {
    'region.yaml': 'providers: [{name: b, type: bedrock, aws_region: virginia}]\n',
    'project.yaml': 'providers: [{name: v, type: vertex, gcp_region: us-east5}]\n',
    'entra.yaml': 'providers: [{name: z, type: azure, azure_resource_name: r, azure_auth: entra_id}]\n',
  });
  const said = async (name, env = {}) => run(['check', '--config', path.join(folder, name)], env);
  const region = await said('region.yaml');
  assert.deepEqual([region.code, /aws_region.*us-east-1/.test(region.output)], [78, true], region.output);
  const project = await said('project.yaml');
  assert.deepEqual([project.code, /gcp_project_id/.test(project.output)], [78, true], project.output);
  const entra = await said('entra.yaml', { AZURE_TENANT_ID: 'x', AZURE_CLIENT_ID: 'y' });
  assert.deepEqual([entra.code, /AZURE_CLIENT_SECRET/.test(entra.output)], [78, true], entra.output);
});
