// SPDX-License-Identifier: Apache-2.0
// Simulates bedrock-runtime: signatures or API keys, bodies without model and stream, answers as event-stream frames.
import * as answers from '../answers.mjs';
import { Cloud, Refusal, bearerOf, split } from './base.mjs';
import { chunk, exception, spoil, stranger, unmodelled } from './frames.mjs';
import { checkBody, checkVersion, knownBetas, parseBody } from './rules.mjs';
import { verify } from './sigv4.mjs';
import { AwsKeys } from './tokens.mjs';

const invalid = 'ValidationException';
const versions = ['bedrock-2023-05-31', '2026-10-21'];
const streamType = 'application/vnd.amazon.eventstream';
const metrics = { inputTokenCount: 12, outputTokenCount: 7, invocationLatency: 31, firstByteLatency: 11, cacheReadInputTokenCount: 5, cacheWriteInputTokenCount: 3 };
const modelForm = /^(?:arn:aws[\w-]*:bedrock:[\w-]*:\d*:[\w-]+\/[\w.:-]+|(?:[a-z]{2,6}\.)?anthropic\.[\w.-]+(?::\d+)?)$/;

/** The events as frames. Bedrock sends no pings; the last frame has the metrics. */
function framesOf(spec) {
  const jsons = answers.events(spec).map((text) => text.slice(text.indexOf('data: ') + 6).trim()).filter((json) => !json.includes('"type":"ping"'));
  const last = { ...JSON.parse(jsons.pop()), 'amazon-bedrock-invocationMetrics': metrics };
  return [...jsons, JSON.stringify(last)].map(chunk);
}

export class Bedrock extends Cloud {
  /**
   * region; keys: an AwsKeys, shared with the credential servers; betas, models: what is known
   * (models undefined: any of the right form); profiles: { arn: model }; answer: as for healthy().
   */
  constructor(options) {
    super(options, 'bedrock');
    this.region = options.region ?? 'us-east-1';
    this.keys = options.keys ?? new AwsKeys(() => this.now());
    this.betas = options.betas ?? knownBetas.bedrock;
  }

  marks() {
    return { 'x-amzn-requestid': `00000000-0000-4000-8000-${String(this.serial).padStart(12, '0')}` };
  }

  refuse(reply, { status, type, message, more }) {
    return this.json(reply, status, { message, ...more.fields }, { 'x-amzn-errortype': `${type}:http://internal.amazon.com/coral/com.amazon.bedrock/`, ...more.headers });
  }

  async authenticate(request) {
    const { authorization } = request.headers;
    if (!authorization) throw new Refusal(403, 'MissingAuthenticationTokenException', 'Missing Authentication Token');
    if (!/^Bearer /i.test(authorization)) return verify(request, { keys: this.keys, service: 'bedrock', region: this.region, now: this.now() });
    if (this.keys.bearers.state(bearerOf(request)) !== 'good') throw new Refusal(403, 'AccessDeniedException', 'Authentication failed: Please make sure your API Key is valid.');
  }

  route(request) {
    const found = /^\/model\/([^/]+)\/(invoke|invoke-with-response-stream|count-tokens)$/.exec(split(request.target).path);
    if (!found || request.method !== 'POST') throw new Refusal(404, 'UnknownOperationException', 'The requested operation is not recognized by the service.');
    const [, wire, operation] = found;
    const model = decodeURIComponent(wire);
    const known = this.options.models ? this.options.models.includes(model) : modelForm.test(model);
    if (/%3A/i.test(wire) || /%(?!2F|20|23|25|3F)/.test(wire) || !known) throw new Refusal(400, invalid, 'The provided model identifier is invalid.');
    return { model, operation };
  }

  checkTypes(request, operation) {
    if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) throw new Refusal(400, invalid, 'The provided Content Type is invalid or not supported for this model');
    const accepted = (request.headers.accept ?? '*/*').split(',').map((one) => one.split(';')[0].trim());
    const fit = ['*/*', 'application/json', 'application/*', ...(operation === 'invoke-with-response-stream' ? [streamType] : [])];
    if (!accepted.some((one) => fit.includes(one))) throw new Refusal(400, invalid, 'The provided Accept Type is invalid or not supported for this model');
  }

  checkInvoke(bytes, model) {
    const body = parseBody(bytes, invalid, 'Malformed input request, please reformat your input and try again.');
    checkVersion(body, versions, invalid);
    checkBody(body, { cloud: 'bedrock', type: invalid, model: this.options.profiles?.[model] ?? model });
    const { anthropic_beta: asked = [] } = body;
    if (!Array.isArray(asked)) throw new Refusal(400, invalid, 'anthropic_beta: Input should be a valid list');
    if (asked.some((beta) => !this.betas.includes(beta))) throw new Refusal(400, invalid, 'invalid beta flag');
    return body;
  }

  checkCount(bytes, model) {
    if (!/^anthropic\./.test(model)) throw new Refusal(400, invalid, "The provided model doesn't support counting tokens.");
    const { input } = parseBody(bytes, invalid, 'Malformed input request, please reformat your input and try again.');
    const text = input?.invokeModel?.body;
    if (typeof text !== 'string' || Buffer.from(text, 'base64').toString('base64') !== text) throw new Refusal(400, 'SerializationException', 'input.invokeModel.body is not base64');
    const body = this.checkInvoke(Buffer.from(text, 'base64'), model);
    if (body.tools && body.tools.length === 0) throw new Refusal(400, invalid, 'tools: List should have at least 1 item after validation, not 0');
    const budget = body.thinking?.budget_tokens ?? 0;
    if (body.max_tokens <= budget) throw new Refusal(400, invalid, '`max_tokens` must be greater than `thinking.budget_tokens`.');
    return body;
  }

  async admit(request) {
    await this.authenticate(request);
    const { model, operation } = this.route(request);
    this.checkTypes(request, operation);
    const body = operation === 'count-tokens' ? this.checkCount(request.body, model) : this.checkInvoke(request.body, model);
    request.json = body;
    return { operation, model, body, run: (reply) => this[operation](reply, model, body) };
  }

  spec(model, asked) {
    const { answer = {} } = this.options;
    return { text: `served by ${this.name}`, from: 'bdrk', model, ...(typeof answer === 'function' ? answer(asked) : answer) };
  }

  invoke(reply, model, body) {
    const whole = JSON.stringify(answers.message(this.spec(model, body)));
    return this.say(reply, 200, whole, { 'x-amzn-bedrock-input-token-count': 12, 'x-amzn-bedrock-output-token-count': 7, 'x-amzn-bedrock-invocation-latency': 31 });
  }

  'invoke-with-response-stream'(reply, model, body) {
    const spec = this.spec(model, body);
    return this.frames(reply, framesOf(spec), spec.gap);
  }

  'count-tokens'(reply) {
    return this.json(reply, 200, { inputTokens: 42 });
  }

  frames(reply, parts, gap) {
    return this.stream(reply, parts, { 'content-type': streamType, 'x-amzn-bedrock-content-type': 'application/json' }, gap);
  }
}

export const startBedrock = (t, options) => Bedrock.start(t, options);

/** `change(frames)` returns the parts to write in place of the healthy stream. */
const streamed = (change) => (request, reply, mock, job) => mock.frames(reply, change(framesOf(mock.spec(job.model, job.body))));

/** Spoils the frame at `at` and sends the rest as usual; 'cut' ends the stream there. */
const spoiled = (how) => (at = 2) => streamed((list) => [...list.slice(0, at), spoil[how](list[at]), ...(how === 'cut' ? [] : list.slice(at + 1))]);

const exceptions = {
  internalServerException: 'The system encountered an unexpected error during processing. Try your request again.',
  modelStreamErrorException: 'Model produced an error while streaming. Try your request again.',
  validationException: 'Input is too long for requested model.',
  throttlingException: 'Too many tokens, please wait before trying again.',
  modelTimeoutException: 'Model has timed out in processing the request. Try your request again.',
  serviceUnavailableException: 'Bedrock is unable to process your request.',
};
export const members = Object.keys(exceptions);

const refused = (status, type, message, headers) => () => { throw new Refusal(status, type, message, { headers }); };

export const bedrockFaults = {
  /** An exception in place of the event at `at`; nothing follows it. */
  exception: (member, at = 2) => streamed((list) => [...list.slice(0, at),
    exception(member, exceptions[member], member === 'modelStreamErrorException' ? { originalStatusCode: 500, originalMessage: 'of the model' } : {})]),
  unmodelled: (at = 2) => streamed((list) => [...list.slice(0, at), unmodelled('novelException', 'never heard of')]),
  /** A chunk whose JSON has no type, which readers skip. */
  typeless: (at = 2) => streamed((list) => [...list.slice(0, at), chunk('{"amazon-bedrock-guardrailAction":"NONE"}'), ...list.slice(at)]),
  /** The frames with another content-type, which readers ignore. */
  labelled: (type) => (request, reply, mock, job) => mock.stream(reply, framesOf(mock.spec(job.model, job.body)), { 'content-type': type }),
  stranger: (at = 2) => streamed((list) => [...list.slice(0, at), stranger(), ...list.slice(at)]),
  messageCrc: spoiled('messageCrc'),
  preludeCrc: spoiled('preludeCrc'),
  payload: spoiled('payload'),
  cut: spoiled('cut'),
  huge: spoiled('huge'),
  /** A clean end of the HTTP body between frames, before message_stop. */
  early: (at = 2) => streamed((list) => list.slice(0, at)),
  everyByte: () => streamed((list) => [...Buffer.concat(list)].map((byte) => Buffer.from([byte]))),
  allAtOnce: () => streamed((list) => [Buffer.concat(list)]),
  throttled: () => refused(429, 'ThrottlingException', exceptions.throttlingException),
  notReady: () => refused(429, 'ModelNotReadyException', 'The model specified in the request is not ready to serve inference requests.'),
  quota: () => refused(400, 'ServiceQuotaExceededException', 'Your request exceeds the service quota for your account.'),
  expired: () => refused(403, 'ExpiredTokenException', 'The security token included in the request is expired'),
  denied: () => refused(403, 'AccessDeniedException', "You don't have access to the model with the specified model ID."),
  missing: () => refused(404, 'ResourceNotFoundException', 'Could not resolve the foundation model from the provided model identifier.'),
  modelTimeout: () => refused(408, 'ModelTimeoutException', exceptions.modelTimeoutException),
  modelError: () => (request, reply, mock) => mock.refuse(reply, new Refusal(424, 'ModelErrorException', 'The request failed due to an error while processing the model.',
    { fields: { originalStatusCode: 500, resourceName: 'of the model' } })),
  internal: () => refused(500, 'InternalServerException', exceptions.internalServerException),
  unavailable: () => refused(503, 'ServiceUnavailableException', exceptions.serviceUnavailableException, { 'retry-after': '2' }),
};
