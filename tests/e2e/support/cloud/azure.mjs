// SPDX-License-Identifier: Apache-2.0
// Simulates Azure AI Foundry: the Messages API under /anthropic, a key or an Entra token, Azure's own errors about those.
import { canary } from '../relay.mjs';
import * as answers from '../answers.mjs';
import { Cloud, Refusal, bearerOf, split } from './base.mjs';
import { checkBody, parseBody } from './rules.mjs';

const invalid = 'invalid_request_error';
const azure = (status, type, message, headers) => new Refusal(status, type, message, { azure: true, headers });

export class Azure extends Cloud {
  /** tokens: those of the Entra mock (their audience is checked); deployments: names; answer. `key` is the API key. */
  constructor(options) {
    super(options, 'azure');
    this.tokens = options.tokens;
    this.deployments = options.deployments ?? ['claude-deployed'];
    this.key = options.key ?? `azure${canary}key`;
    this.audience = options.audience ?? 'https://ai.azure.com';
  }

  marks() {
    return { 'apim-request-id': `00000000-0000-4000-9000-${String(this.serial).padStart(12, '0')}`, 'request-id': `req_azure_${this.serial}`, 'x-ms-region': 'Sweden Central' };
  }

  refuse(reply, { status, type, message, more }) {
    const shape = more.azure ? { error: { code: type, message } } : answers.error(type, message, `req_azure_${this.serial}`);
    return this.json(reply, status, shape, more.headers);
  }

  authenticate(request) {
    const key = request.headers['x-api-key'] ?? request.headers['api-key'];
    const token = bearerOf(request);
    if (key === undefined && token) {
      const good = this.tokens?.state(token) === 'good' && this.tokens.find(token).audience === this.audience;
      if (!good) throw azure(401, 'Unauthorized', `Unauthorized. Access token is missing, invalid, audience is incorrect (${this.audience}), or have expired.`);
    } else if (key !== this.key) {
      throw azure(401, '401', 'Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.');
    }
  }

  async admit(request) {
    const { path } = split(request.target);
    const counting = path === '/anthropic/v1/messages/count_tokens';
    if (request.method !== 'POST' || !(counting || path === '/anthropic/v1/messages')) throw azure(404, '404', 'Resource not found');
    this.authenticate(request);
    if (!request.headers['anthropic-version']) throw new Refusal(400, invalid, 'anthropic-version: header is required');
    if (!['2023-06-01', '2026-10-21'].includes(request.headers['anthropic-version'])) throw new Refusal(400, invalid, 'anthropic-version: Invalid API version');
    if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) throw new Refusal(400, invalid, 'content-type: application/json is required');
    const body = parseBody(request.body, invalid, 'The request body is not valid JSON.');
    if (typeof body.model !== 'string') throw new Refusal(400, invalid, 'model: Field required');
    if (!this.deployments.includes(body.model)) throw azure(404, 'DeploymentNotFound', 'The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.');
    checkBody(body, { cloud: 'azure', type: invalid, model: '', counting });
    request.json = body;
    const operation = counting ? 'count_tokens' : 'messages';
    return { operation, model: body.model, body, run: (reply) => this.serveAs(operation, reply, body) };
  }

  serveAs(operation, reply, body) {
    if (operation === 'count_tokens') return this.json(reply, 200, { input_tokens: 42 });
    const { answer = {} } = this.options;
    const spec = { text: `served by ${this.name}`, from: 'azure', model: body.model, ...(typeof answer === 'function' ? answer(body) : answer) };
    if (body.stream !== true) return this.json(reply, 200, answers.message(spec));
    return this.stream(reply, answers.events(spec), { 'content-type': 'text/event-stream; charset=utf-8' }, spec.gap);
  }
}

export const startAzure = (t, options) => Azure.start(t, options);

const refused = (...given) => () => { throw azure(...given); };

export const azureFaults = {
  limited: (seconds = 2) => refused(429, 'RateLimitReached', `Your requests to this deployment have exceeded the token rate limit. Please retry after ${seconds} seconds.`, { 'retry-after': seconds }),
  denied: () => refused(403, 'PermissionDenied', 'The principal lacks the required data action to perform this operation.'),
  unauthenticated: () => refused(401, 'Unauthorized', 'Unauthorized. Access token is missing, invalid, audience is incorrect, or have expired.'),
  filtered: () => refused(400, 'content_filter', 'The response was filtered due to the prompt triggering the content management policy.'),
  internal: () => refused(500, 'InternalServerError', 'The server had an error while processing your request.'),
  unavailable: () => refused(503, 'ServiceUnavailable', 'The service is temporarily unable to process your request. Please try again later.'),
  overloaded: () => () => { throw new Refusal(529, 'overloaded_error', 'Overloaded'); },
};
