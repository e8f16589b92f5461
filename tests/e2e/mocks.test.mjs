// SPDX-License-Identifier: Apache-2.0
// Tests the simulated clouds with the official SDKs and with raw requests: they accept what the SDKs send, and each refusal
// is triggered once.
import assert from 'node:assert/strict';
import codecs from '@smithy/eventstream-codec';
import utf8 from '@smithy/util-utf8';
import { test } from './support/test.mjs';
import { AnthropicBedrock as Bedrock0 } from 'bedrock0';
import { AnthropicBedrock as Bedrock1 } from 'bedrock1';
import { AnthropicFoundry as Foundry0 } from 'foundry0';
import { AnthropicFoundry as Foundry1 } from 'foundry1';
import { AnthropicVertex as Vertex0 } from 'vertex0';
import { AnthropicVertex as Vertex1 } from 'vertex1';
import { OAuth2Client } from 'google-auth-library';
import { ask, canary, secret, send } from './support/relay.mjs';
import { faults as common } from './support/upstream.mjs';
import { azureFaults, startAzure } from './support/cloud/azure.mjs';
import { faults } from './support/cloud/base.mjs';
import { bedrockFaults, members, startBedrock } from './support/cloud/bedrock.mjs';
import { startEntra } from './support/cloud/entra.mjs';
import { startGoogleSources } from './support/cloud/google_sources.mjs';
import { sign } from './support/cloud/sigv4.mjs';
import { startVertex, vertexFaults } from './support/cloud/vertex.mjs';

const weather = { name: 'weather', description: 'of a town', input_schema: { type: 'object', properties: { town: { type: 'string' } } } };
const useTool = (asked) => (asked.tools ? { blocks: [{ type: 'text', text: 'żółć 🎈' }, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { town: 'Ulm' } }] } : {});
const json = { 'content-type': 'application/json' };
const without = (object, name) => Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));

/** The same requests for each SDK: plain, streamed, a tool, an error. */
async function exercise(client, model, mock, throttle) {
  const asked = ask({ model });
  assert.equal((await client.messages.create(asked)).content[0].text, `served by ${mock.name}`);
  const whole = await client.messages.stream(asked).finalMessage();
  assert.equal(whole.content[0].text, `served by ${mock.name}`);
  assert.equal(whole.usage.output_tokens, 7);
  for (const message of [await client.messages.create({ ...asked, tools: [weather] }), await client.messages.stream({ ...asked, tools: [weather] }).finalMessage()]) {
    assert.deepEqual([message.stop_reason, message.content[0].text, message.content[1].input], ['tool_use', 'żółć 🎈', { town: 'Ulm' }]);
  }
  assert.deepEqual(mock.refusals, []);
  mock.fault(throttle, { times: 2 });
  await assert.rejects(client.messages.create(asked), { status: 429 });
  await assert.rejects(client.messages.stream(asked).finalMessage(), { status: 429 });
}

// ---- Bedrock ------------------------------------------------------------------------------------

const sonnet = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0';
const arn = 'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/jf2sje1c0jnb';
const invokeBody = (more = {}) => ({ anthropic_version: 'bedrock-2023-05-31', ...without(ask(), 'model'), ...more });

function sdkBedrock(SDK, mock, key) {
  return new SDK({ baseURL: mock.url, awsRegion: mock.region, awsAccessKey: key.accessKeyId, awsSecretKey: key.secretAccessKey, awsSessionToken: key.sessionToken, maxRetries: 0 });
}

/** A request made and signed by hand; `tamper(headers)` changes them after the signature. */
async function invoke(mock, { path = `/model/${sonnet}/invoke`, body = invokeBody(), key = mock.keys.add(), service = 'bedrock', region = mock.region, date, headers = json, tamper = (signed) => signed, sent } = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const signed = await sign(mock.url + path, { headers, body: text, key, service, region, date });
  return send(mock.url + path, { method: 'POST', headers: { ...tamper(signed), 'content-length': Buffer.byteLength(sent ?? text) }, body: sent ?? text });
}

const errorType = (answer) => answer.headers['x-amzn-errortype']?.split(':')[0];

for (const [name, SDK] of [['0.x', Bedrock0], ['1.x', Bedrock1]]) {
  test(`bedrock-sdk ${name} and the Bedrock mock`, async (t) => {
    const mock = await startBedrock(t, { answer: useTool });
    for (const model of [sonnet, arn]) await exercise(sdkBedrock(SDK, mock, mock.keys.issue(3600)), model, mock, bedrockFaults.throttled());
    const permanent = sdkBedrock(SDK, mock, mock.keys.add());
    assert.equal((await permanent.beta.messages.create(ask({ model: sonnet, betas: ['interleaved-thinking-2025-05-14'] }))).role, 'assistant');
    await assert.rejects(permanent.beta.messages.create(ask({ model: sonnet, betas: ['context-management-2025-06-27'] })), /invalid beta flag/);
    const bearer = new SDK({ baseURL: mock.url, awsRegion: mock.region, apiKey: mock.keys.bearer(), maxRetries: 0 });
    assert.equal((await bearer.messages.create(ask({ model: sonnet }))).content[0].text, 'served by bedrock');
    assert.equal(mock.requests[0].target, `/model/${sonnet}/invoke`);
    assert.ok(mock.requests.some((request) => request.target.includes('profile%2Fjf2sje1c0jnb/invoke-with-response-stream')));
  });

  test(`bedrock-sdk ${name} sees the faults of a stream`, async (t) => {
    const mock = await startBedrock(t);
    const client = sdkBedrock(SDK, mock, mock.keys.add());
    const run = (fault) => { mock.fault(fault); return client.messages.stream(ask({ model: sonnet })).finalMessage(); };
    for (const fault of ['everyByte', 'allAtOnce', 'stranger']) assert.equal((await run(bedrockFaults[fault]())).content[0].text, 'served by bedrock', fault);
    for (const member of members) await assert.rejects(run(bedrockFaults.exception(member)), new RegExp(member), member);
    for (const fault of ['messageCrc', 'preludeCrc', 'payload', 'unmodelled', 'early']) await assert.rejects(run(bedrockFaults[fault]()), undefined, fault);
    for (const fault of [common.reset(), common.close()]) await assert.rejects(run(fault));
    const statuses = { notReady: 429, quota: 400, expired: 403, denied: 403, missing: 404, modelTimeout: 408, modelError: 424, internal: 500, unavailable: 503 };
    for (const [fault, status] of Object.entries(statuses)) await assert.rejects(run(bedrockFaults[fault]()), { status }, fault);
  });
}

test('Bedrock refuses a wrong signature with the message of the real service', async (t) => {
  const mock = await startBedrock(t);
  const temporary = mock.keys.issue(3600);
  const expired = mock.keys.issue(-5);
  const change = (name, value) => ({ tamper: (signed) => ({ ...signed, [name]: value }) });
  const rewrite = (from, to) => ({ tamper: (signed) => ({ ...signed, authorization: signed.authorization.replace(from, to) }) });
  const cases = [
    [{ tamper: (signed) => without(signed, 'authorization') }, 'MissingAuthenticationTokenException', /Missing Authentication Token/],
    [change('authorization', 'AWS4-HMAC-SHA256 Credential=x'), 'IncompleteSignatureException', /complete/],
    [{ key: { accessKeyId: 'AKIANOBODY', secretAccessKey: secret('none') } }, 'UnrecognizedClientException', /security token/],
    [{ key: without(temporary, 'sessionToken') }, 'UnrecognizedClientException', /security token/],
    [{ key: { ...temporary, sessionToken: 'of another' } }, 'UnrecognizedClientException', /security token/],
    [{ key: expired }, 'ExpiredTokenException', /is expired/],
    [{ key: { ...mock.keys.add(), secretAccessKey: secret('wrong') } }, 'InvalidSignatureException', /does not match/],
    [{ region: 'eu-west-1' }, 'InvalidSignatureException', /valid region/],
    [{ service: 'sts' }, 'InvalidSignatureException', /correct service: 'bedrock'/],
    [{ date: new Date(Date.now() - 302_000) }, 'InvalidSignatureException', /Signature expired: \d{8}T\d{6}Z is now earlier than/],
    [{ date: new Date(Date.now() + 303_000) }, 'InvalidSignatureException', /not yet current/],
    [{ sent: JSON.stringify(invokeBody({ max_tokens: 65 })) }, 'InvalidSignatureException', /does not match/],
    [change('x-amz-content-sha256', '0'.repeat(64)), 'InvalidSignatureException', /does not match/],
    [change('content-type', 'application/json; charset=utf-8'), 'InvalidSignatureException', /does not match/],
    [{ key: temporary, tamper: (signed) => ({ ...signed, authorization: signed.authorization.replace(';x-amz-security-token', '') }) }, 'InvalidSignatureException', /must be a 'SignedHeader'/],
    [{ tamper: (signed) => without(signed, 'x-amz-date') }, 'IncompleteSignatureException', /X-Amz-Date/],
    [rewrite(/\/\d{8}\//, '/20200101/'), 'InvalidSignatureException', /'20200101' != /],
    [rewrite(';host;', ';'), 'InvalidSignatureException', /'Host' or/],
    [rewrite('content-type;host', 'host;content-type'), 'InvalidSignatureException', /in order/],
    [change('authorization', `Bearer ABSK${canary}-other`), 'AccessDeniedException', /API Key is valid/],
  ];
  for (const [given, type, words] of cases) {
    const answer = await invoke(mock, given);
    assert.deepEqual([answer.status, errorType(answer)], [403, type], JSON.stringify(given));
    assert.match(JSON.parse(answer.text).message, words);
  }
  assert.equal((await invoke(mock, { key: temporary })).status, 200);
  mock.keys.expire();
  assert.equal(errorType(await invoke(mock, { key: temporary })), 'ExpiredTokenException');
});

test('spoiled frames are spoiled as described', async (t) => {
  const mock = await startBedrock(t);
  const codec = new codecs.EventStreamCodec(utf8.toUtf8, utf8.fromUtf8);
  const raw = (fault) => { mock.fault(fault); return invoke(mock, { path: `/model/${sonnet}/invoke-with-response-stream` }); };
  const frameAt = (bytes, index) => {
    let at = 0;
    for (let n = 0; n < index; n += 1) at += bytes.readUInt32BE(at);
    return bytes.subarray(at, at + Math.min(bytes.readUInt32BE(at), bytes.length - at));
  };
  const whole = await raw(bedrockFaults.allAtOnce());
  assert.equal(whole.headers['content-type'], 'application/vnd.amazon.eventstream');
  const payload = JSON.parse(Buffer.from(codec.decode(frameAt(whole.bytes, 2)).body).toString());
  assert.deepEqual(Object.keys(payload), ['bytes', 'p']);
  assert.equal(JSON.parse(Buffer.from(payload.bytes, 'base64').toString()).type, 'content_block_delta');
  assert.equal(frameAt(whole.bytes, 0).length > 16, true);
  for (const [fault, words] of [['messageCrc', /message checksum/], ['payload', /message checksum/], ['preludeCrc', /prelude checksum/], ['cut', /message length does not match/], ['huge', /message length does not match/]]) {
    const { bytes } = await raw(bedrockFaults[fault]());
    codec.decode(frameAt(bytes, 1));
    assert.throws(() => codec.decode(frameAt(bytes, 2)), words, fault);
  }
  const { bytes } = await raw(bedrockFaults.exception('modelStreamErrorException', 1));
  const { headers, body } = codec.decode(frameAt(bytes, 1));
  assert.deepEqual([headers[':message-type'].value, headers[':exception-type'].value, JSON.parse(Buffer.from(body).toString()).originalStatusCode], ['exception', 'modelStreamErrorException', 500]);
});

test('the Bedrock mock has its own clock', async (t) => {
  const mock = await startBedrock(t);
  mock.skew = 3600_000;
  const refused = await invoke(mock);
  assert.match(refused.text, /Signature expired/);
  const there = Date.parse(refused.headers.date);
  assert.ok(Math.abs(there - Date.now() - 3600_000) < 5000);
  assert.equal((await invoke(mock, { date: new Date(there) })).status, 200);
});

test('Bedrock refuses bodies and paths of another API', async (t) => {
  const mock = await startBedrock(t);
  const encoded = (body) => ({ input: { invokeModel: { body: Buffer.from(JSON.stringify(body)).toString('base64') } } });
  const bare = '/model/anthropic.claude-sonnet-4-5-20250929-v1:0/count-tokens';
  const extra = (name, value = 'x') => [{ body: invokeBody({ [name]: value }) }, new RegExp(`^${name}: Extra inputs are not permitted`)];
  const cases = [
    extra('model'), extra('stream', false), extra('context_management', {}), extra('safeguards', []), extra('novelty'),
    [{ body: without(invokeBody(), 'anthropic_version') }, /anthropic_version: Field required/],
    [{ body: invokeBody({ anthropic_version: '2023-06-01' }) }, /Invalid API version/],
    [{ body: invokeBody({ anthropic_beta: ['advanced-tool-use-2025-11-20'] }) }, /^invalid beta flag$/],
    [{ body: invokeBody({ anthropic_beta: 'effort-2025-11-24' }) }, /valid list/],
    [{ body: invokeBody({ thinking: { type: 'enabled', budget_tokens: 1024, display: 'omitted' } }) }, /display: Extra inputs/],
    [{ body: without(invokeBody(), 'max_tokens') }, /max_tokens: Field required/],
    [{ body: without(invokeBody(), 'messages') }, /messages: Field required/],
    [{ body: invokeBody({ messages: [] }) }, /at least one message/],
    [{ body: '{"anthropic_version":' }, /Malformed input request/],
    [{ headers: { 'content-type': 'text/plain' } }, /Content Type is invalid/],
    [{ headers: { ...json, accept: 'text/event-stream' } }, /Accept Type is invalid/],
    [{ path: `/model/${sonnet.replace(':', '%3A')}/invoke` }, /model identifier is invalid/],
    [{ path: '/model/claude-sonnet-4-5/invoke' }, /model identifier is invalid/],
    [{ path: `/model/${sonnet}/count-tokens`, body: encoded(invokeBody()) }, /doesn't support counting/],
    [{ path: bare, body: encoded(invokeBody({ model: 'm' })) }, /model: Extra inputs/],
    [{ path: bare, body: { input: { invokeModel: { body: '{}' } } } }, /not base64/],
  ];
  for (const [given, words] of cases) {
    const answer = await invoke(mock, given);
    assert.equal(answer.status, 400, `${JSON.stringify(given)} ${answer.text}`);
    assert.match(JSON.parse(answer.text).message, words);
  }
  assert.equal((await invoke(mock, { path: `/model/${arn}/invoke` })).status, 404);
  assert.equal((await invoke(mock, { path: `/model/${arn.replace('/', '%2F')}/invoke` })).status, 200);
  assert.deepEqual(JSON.parse((await invoke(mock, { path: bare, body: encoded(invokeBody()) })).text), { inputTokens: 42 });
  const display = { thinking: { type: 'adaptive', display: 'omitted' } };
  assert.equal((await invoke(mock, { path: '/model/global.anthropic.claude-opus-5-5-v1:0/invoke', body: invokeBody(display) })).status, 200);
  assert.equal(mock.refusals.length, cases.length + 1);
});

// ---- Vertex -------------------------------------------------------------------------------------

const dated = 'claude-sonnet-4-5@20250929';

for (const [name, SDK] of [['0.x', Vertex0], ['1.x', Vertex1]]) {
  test(`vertex-sdk ${name} and the Vertex mock`, async (t) => {
    const google = await startGoogleSources(t);
    const mock = await startVertex(t, { tokens: google.tokens, answer: useTool });
    const authClient = new OAuth2Client();
    authClient.setCredentials({ access_token: google.tokens.issue(3600) });
    const client = new SDK({ baseURL: `${mock.url}/v1`, region: mock.region, projectId: mock.project, authClient, maxRetries: 0 });
    await exercise(client, dated, mock, vertexFaults.exhausted());
    assert.equal((await client.messages.countTokens({ model: dated.split('@')[0], messages: ask().messages })).input_tokens, 42);
    assert.equal((await client.beta.messages.create(ask({ model: dated, betas: ['web-search-2025-03-05'] }))).role, 'assistant');
    for (const [fault, status] of Object.entries({ unauthenticated: 401, denied: 403, internal: 500, unavailable: 503, overloaded: 529 })) {
      mock.fault(vertexFaults[fault]());
      await assert.rejects(client.messages.create(ask({ model: dated })), { status }, fault);
    }
    google.tokens.expire();
    await assert.rejects(client.messages.create(ask({ model: dated })), { status: 401 });
  });
}

test('Vertex refuses what the real one refuses', async (t) => {
  const google = await startGoogleSources(t);
  const mock = await startVertex(t, { tokens: google.tokens });
  const token = google.tokens.issue(3600);
  const body = (more = {}) => ({ anthropic_version: 'vertex-2023-10-16', ...without(ask(), 'model'), ...more });
  const post = (more = {}) => {
    const { project = mock.project, region = mock.region, method = `${dated}:rawPredict`, asked = body(), headers = {}, path } = more;
    return send(mock.url + (path ?? `/v1/projects/${project}/locations/${region}/publishers/anthropic/models/${method}`),
      { method: 'POST', headers: { ...json, authorization: `Bearer ${token}`, ...headers }, body: JSON.stringify(asked) });
  };
  const shaped = [
    [{ headers: { authorization: undefined } }, 401, 'UNAUTHENTICATED', /missing required/],
    [{ headers: { authorization: 'Bearer ya29.of-nobody' } }, 401, 'UNAUTHENTICATED', /invalid authentication/],
    [{ headers: { authorization: `Bearer ${google.tokens.issue(-1)}` } }, 401, 'UNAUTHENTICATED', /invalid authentication/],
    [{ project: 'another' }, 403, 'PERMISSION_DENIED', /denied/],
    [{ region: 'us-east5' }, 404, 'NOT_FOUND', /Publisher Model/],
    [{ method: 'gemini:rawPredict' }, 404, 'NOT_FOUND', /Publisher Model/],
    [{ path: '/v1/messages' }, 404, 'NOT_FOUND', /was not found/],
    [{ headers: { 'content-type': 'text/plain' } }, 400, 'INVALID_ARGUMENT', /invalid argument/],
  ];
  for (const [given, code, status, words] of shaped) {
    const answer = await post(given);
    const { error } = JSON.parse(answer.text);
    assert.deepEqual([answer.status, error.code, error.status], [code, code, status]);
    assert.match(error.message, words);
  }
  const counting = 'count-tokens:rawPredict';
  const inner = [
    [{ asked: body({ model: dated }) }, /^model: Extra inputs/],
    [{ asked: without(body(), 'anthropic_version') }, /anthropic_version: Field required/],
    [{ asked: body({ anthropic_version: '2023-06-01' }) }, /Invalid API version/],
    [{ asked: body({ context_management: {} }) }, /context_management: Extra inputs/],
    [{ asked: body({ stream: true }) }, /^stream: /],
    [{ method: `${dated}:streamRawPredict` }, /^stream: /],
    [{ asked: body({ stream: 'no' }) }, /valid boolean/],
    [{ headers: { 'anthropic-beta': 'effort-2025-11-24, context-management-2025-06-27' } }, /`context-management-2025-06-27`/],
    [{ asked: body({ thinking: { type: 'enabled', budget_tokens: 1024, display: 'omitted' } }) }, /display: Extra inputs/],
    [{ method: counting, asked: { messages: ask().messages } }, /model: Field required/],
    [{ method: counting, asked: ask() }, /max_tokens: Extra inputs/],
  ];
  for (const [given, words] of inner) {
    const answer = await post(given);
    const whole = JSON.parse(answer.text);
    assert.deepEqual([answer.status, whole.type, whole.error.type], [400, 'error', 'invalid_request_error'], answer.text);
    assert.match(whole.error.message, words);
  }
  mock.fault(vertexFaults.exhausted(true));
  assert.equal(JSON.parse((await post()).text)[0].error.status, 'RESOURCE_EXHAUSTED');
  assert.equal((await post()).status, 200);
  assert.equal(mock.count('rawPredict'), 2);
});

// ---- Azure --------------------------------------------------------------------------------------

for (const [name, SDK] of [['0.x', Foundry0], ['1.x', Foundry1]]) {
  test(`foundry-sdk ${name} and the Azure mock`, async (t) => {
    const entra = await startEntra(t);
    const mock = await startAzure(t, { tokens: entra.tokens, answer: useTool });
    const baseURL = `${mock.url}/anthropic/`;
    const client = new SDK({ baseURL, apiKey: mock.key, maxRetries: 0 });
    await exercise(client, 'claude-deployed', mock, azureFaults.limited());
    assert.equal((await client.messages.countTokens({ model: 'claude-deployed', messages: ask().messages })).input_tokens, 42);
    await assert.rejects(client.messages.create(ask({ model: 'claude-elsewhere' })), (error) => error.status === 404 && /DeploymentNotFound/.test(error.message));
    const token = new SDK({ baseURL, azureADTokenProvider: async () => entra.issue(), maxRetries: 0 });
    assert.equal((await token.messages.create(ask({ model: 'claude-deployed' }))).role, 'assistant');
    const stranger = new SDK({ baseURL, azureADTokenProvider: async () => 'eyJ.of.nobody', maxRetries: 0 });
    await assert.rejects(stranger.messages.create(ask({ model: 'claude-deployed' })), { status: 401 });
    for (const [fault, status] of Object.entries({ denied: 403, unauthenticated: 401, filtered: 400, internal: 500, unavailable: 503, overloaded: 529 })) {
      mock.fault(azureFaults[fault]());
      await assert.rejects(client.messages.create(ask({ model: 'claude-deployed' })), { status }, fault);
    }
  });
}

test('Azure refuses what the real one refuses', async (t) => {
  const entra = await startEntra(t);
  const mock = await startAzure(t, { tokens: entra.tokens });
  const good = { ...json, 'anthropic-version': '2023-06-01', 'x-api-key': mock.key };
  const asked = ask({ model: 'claude-deployed' });
  const post = ({ path = '/anthropic/v1/messages?beta=true', headers = {}, body = asked }) => send(mock.url + path, { method: 'POST', headers: { ...good, ...headers }, body: JSON.stringify(body) });
  const bearer = (token) => ({ 'x-api-key': undefined, authorization: `Bearer ${token}` });
  const cases = [
    [{ headers: { 'x-api-key': undefined } }, 401, '401'],
    [{ headers: { 'x-api-key': secret('other') } }, 401, '401'],
    [{ headers: bearer(entra.tokens.issue(-1, { audience: 'https://ai.azure.com' })) }, 401, 'Unauthorized'],
    [{ headers: bearer(entra.tokens.issue(60, { audience: 'https://graph.test' })) }, 401, 'Unauthorized'],
    [{ body: ask({ model: 'other' }) }, 404, 'DeploymentNotFound'],
    [{ path: '/v1/messages' }, 404, '404'],
  ];
  for (const [given, status, code] of cases) {
    const answer = await post(given);
    assert.deepEqual([answer.status, JSON.parse(answer.text).error.code], [status, code]);
  }
  const inner = [[{ headers: { 'anthropic-version': undefined } }, /header is required/], [{ headers: { 'anthropic-version': 'tomorrow' } }, /Invalid API version/], [{ headers: { 'content-type': 'text/plain' } }, /content-type/],
    [{ body: { ...asked, novelty: 1 } }, /novelty: Extra inputs/], [{ path: '/anthropic/v1/messages/count_tokens' }, /max_tokens: Extra inputs/], [{ body: without(asked, 'model') }, /model/]];
  for (const [given, words] of inner) {
    const answer = await post(given);
    assert.deepEqual([answer.status, JSON.parse(answer.text).error.type], [400, 'invalid_request_error'], answer.text);
    assert.match(JSON.parse(answer.text).error.message, words);
  }
  assert.equal((await post({ headers: { 'x-api-key': undefined, 'api-key': mock.key }, body: { ...asked, context_management: {} } })).status, 200);
});

test('faults are used in turn, by operation, and counted', async (t) => {
  const mock = await startAzure(t);
  const ask2 = (path) => send(`${mock.url}/anthropic/v1/messages${path}`, { method: 'POST', headers: { ...json, 'anthropic-version': '2023-06-01', 'x-api-key': mock.key },
    body: JSON.stringify(path ? { model: 'claude-deployed', messages: ask().messages } : ask({ model: 'claude-deployed' })) });
  mock.fault(faults.raw(502, 'bad gateway', { 'content-type': 'text/html' }), { on: 'messages', times: 2 });
  mock.fault(faults.slow(120), { on: 'count_tokens' });
  const before = performance.now();
  assert.deepEqual([(await ask2('/count_tokens')).status, performance.now() - before >= 118], [200, true]);
  assert.deepEqual([(await ask2('')).text, (await ask2('')).status, (await ask2('')).status], ['bad gateway', 502, 200]);
  mock.fault(faults.refuse(418, 'teapot', 'as ordered'));
  assert.deepEqual([(await ask2('')).status, mock.refusals], [418, []]);
  mock.fault(common.reset(), { times: Infinity });
  await assert.rejects(ask2(''));
  await assert.rejects(ask2(''));
  mock.heal();
  assert.equal((await ask2('')).status, 200);
  assert.deepEqual(mock.counts, { messages: 7, count_tokens: 1 });
});
