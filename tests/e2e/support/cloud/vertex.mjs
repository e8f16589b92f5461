// SPDX-License-Identifier: Apache-2.0
// Simulates Vertex AI: Google's tokens, errors of the gateway in Google's shape, errors of the model in Anthropic's.
import * as answers from '../answers.mjs';
import { Cloud, Refusal, bearerOf, split } from './base.mjs';
import { checkBody, checkVersion, knownBetas, messageBetas, parseBody } from './rules.mjs';

const versions = ['vertex-2023-10-16', '2026-10-21'];
const invalid = 'invalid_request_error';
const expects = 'Expected OAuth 2 access token, login cookie or other valid authentication credential.';

/** A refusal in Google's shape: `type` is the status by name. */
const google = (status, type, message, more) => new Refusal(status, type, message, { ...more, google: true });

export class Vertex extends Cloud {
  /** tokens: those of the Google mock (required); project, region; betas; models: undefined = any; answer. */
  constructor(options) {
    super(options, 'vertex');
    this.tokens = options.tokens;
    this.project = options.project ?? 'a-project';
    this.region = options.region ?? 'europe-west1';
    this.betas = options.betas ?? knownBetas.vertex;
  }

  marks() {
    return { server: 'scaffolding on HTTPServer2', 'request-id': `req_vrtx_${this.serial}`, vary: 'Origin, X-Origin, Referer' };
  }

  refuse(reply, { status, type, message, more }) {
    if (!more.google) return this.json(reply, status, answers.error(type, message, `req_vrtx_${this.serial}`), more.headers);
    const shape = { error: { code: status, message, status: type, ...(more.reason && { details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: more.reason, domain: 'googleapis.com' }] }) } };
    return this.json(reply, status, more.list ? [shape] : shape, { 'content-type': 'application/json; charset=UTF-8', ...more.headers });
  }

  authenticate(request) {
    const headers = { 'www-authenticate': 'Bearer realm="https://accounts.google.com/"' };
    const token = bearerOf(request);
    if (!token) throw google(401, 'UNAUTHENTICATED', `Request is missing required authentication credential. ${expects}`, { reason: 'CREDENTIALS_MISSING', headers });
    const state = this.tokens.state(token);
    const reason = state === 'expired' ? 'ACCESS_TOKEN_EXPIRED' : 'ACCESS_TOKEN_TYPE_UNSUPPORTED';
    if (state !== 'good') throw google(401, 'UNAUTHENTICATED', `Request had invalid authentication credentials. ${expects}`, { reason, headers });
  }

  route(request) {
    const { path } = split(request.target);
    const found = /^\/v1\/projects\/([^/]+)\/locations\/([^/]+)\/publishers\/anthropic\/models\/([^/:]+):(rawPredict|streamRawPredict)$/.exec(path);
    if (!found || request.method !== 'POST') throw google(404, 'NOT_FOUND', `The requested URL ${path} was not found on this server.`);
    const [, project, region, model, method] = found;
    if (project !== this.project) throw google(403, 'PERMISSION_DENIED', `Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/${project}/locations/${region}' (or it may not exist).`, { reason: 'IAM_PERMISSION_DENIED' });
    const counting = model === 'count-tokens' && method === 'rawPredict';
    const known = this.options.models ? this.options.models.includes(model) : /^claude-[\w.@-]+$/.test(model);
    if (region !== this.region || !(counting || known)) throw google(404, 'NOT_FOUND', `Publisher Model \`projects/${project}/locations/${region}/publishers/anthropic/models/${model}\` was not found or your project does not have access to it.`);
    return { model, method, counting };
  }

  checkBetas(request, counting) {
    const known = this.betas.filter((beta) => !(counting && messageBetas.includes(beta)));
    const asked = (request.headers['anthropic-beta'] ?? '').split(',').map((beta) => beta.trim()).filter(Boolean);
    const unknown = asked.filter((beta) => !known.includes(beta));
    if (unknown.length) throw new Refusal(400, invalid, `Unexpected value(s) ${unknown.map((beta) => `\`${beta}\``).join(', ')} for the \`anthropic-beta\` header. Please consult our documentation at docs.claude.com or try again without the header.`);
  }

  checkCount(body) {
    if (typeof body.model !== 'string' || !body.model) throw new Refusal(400, invalid, 'model: Field required');
    if (body.model.includes('@')) throw google(400, 'INVALID_ARGUMENT', `Model ${body.model} is not supported for token counting.`);
    if ('anthropic_version' in body) checkVersion(body, versions, invalid);
    checkBody(body, { cloud: 'vertex', type: invalid, model: body.model, counting: true });
  }

  checkPredict(body, model, method) {
    checkVersion(body, versions, invalid);
    checkBody(body, { cloud: 'vertex', type: invalid, model });
    const wanted = method === 'streamRawPredict';
    if ((body.stream === true) !== wanted) throw new Refusal(400, invalid, `stream: Input should be ${wanted} for ${method}`);
  }

  async admit(request) {
    this.authenticate(request);
    const { model, method, counting } = this.route(request);
    if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) throw google(400, 'INVALID_ARGUMENT', 'Request contains an invalid argument.');
    const body = parseBody(request.body, invalid, 'The request body is not valid JSON.');
    this.checkBetas(request, counting);
    if (counting) this.checkCount(body);
    else this.checkPredict(body, model, method);
    request.json = body;
    const operation = counting ? 'count-tokens' : method;
    return { operation, model, body, run: (reply) => this.serveAs(operation, reply, model, body) };
  }

  serveAs(operation, reply, model, body) {
    if (operation === 'count-tokens') return this.json(reply, 200, { input_tokens: 42 });
    const { answer = {} } = this.options;
    const spec = { text: `served by ${this.name}`, from: 'vrtx', model: model.split('@')[0], ...(typeof answer === 'function' ? answer(body) : answer) };
    if (operation === 'rawPredict') return this.json(reply, 200, answers.message(spec));
    return this.stream(reply, answers.events(spec), { 'content-type': 'text/event-stream; charset=utf-8' }, spec.gap);
  }
}

export const startVertex = (t, options) => Vertex.start(t, options);

const refused = (...given) => () => { throw google(...given); };

export const vertexFaults = {
  exhausted: (list = false) => refused(429, 'RESOURCE_EXHAUSTED', 'Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: anthropic-claude. Please submit a quota increase request.', { list }),
  unauthenticated: () => refused(401, 'UNAUTHENTICATED', `Request had invalid authentication credentials. ${expects}`),
  tooLarge: () => refused(400, 'INVALID_ARGUMENT', 'Request size 33554433 bytes exceeds the maximum allowed 30MB.'),
  denied: () => refused(403, 'PERMISSION_DENIED', "Permission 'aiplatform.endpoints.predict' denied on resource."),
  internal: () => refused(500, 'INTERNAL', 'Internal error encountered.'),
  unavailable: () => refused(503, 'UNAVAILABLE', 'The service is currently unavailable.'),
  overloaded: () => () => { throw new Refusal(529, 'overloaded_error', 'Overloaded'); },
};
