// SPDX-License-Identifier: Apache-2.0
// A simulated provider with batches and files, which belong to the key that created them: other keys get a 404, as from
// the real one, and unknown credentials, such as the relay's own, a 401.
import { createHash } from 'node:crypto';
import * as answers from './answers.mjs';
import { Upstream } from './upstream.mjs';

const nothing = (reply, what) => reply.json(404, answers.error('not_found_error', `${what} not found`));

function batchObject(upstream, { id, requests, ended }) {
  const counts = { processing: ended ? 0 : requests.length, succeeded: ended ? requests.length : 0, errored: 0, canceled: 0, expired: 0 };
  return {
    id, type: 'message_batch', processing_status: ended ? 'ended' : 'in_progress', request_counts: counts,
    ended_at: ended ? '2026-01-01T00:00:00Z' : null, created_at: '2026-01-01T00:00:00Z', expires_at: '2026-01-02T00:00:00Z',
    archived_at: null, cancel_initiated_at: null, results_url: ended ? `${upstream.url}/v1/messages/batches/${id}/results` : null,
  };
}

/** Every file_id in the content blocks of a body. */
function filesOf(value) {
  if (Array.isArray(value)) return value.flatMap(filesOf);
  if (value === null || typeof value !== 'object') return [];
  return [...(typeof value.file_id === 'string' ? [value.file_id] : []), ...Object.values(value).flatMap(filesOf)];
}

class Workspace {
  constructor(upstream) {
    this.upstream = upstream;
    this.files = new Map();
    this.batches = new Map();
  }

  newId(kind) {
    this.upstream.made += 1;
    return `${kind}_${createHash('sha256').update(`${kind}${this.upstream.made}`).digest('hex').slice(0, 24)}`;
  }

  batch(request, reply, id, action) {
    const show = (batch) => reply.json(200, batchObject(this.upstream, batch));
    if (!id && request.method === 'POST') {
      const batch = { id: this.newId('msgbatch'), requests: JSON.parse(request.body.toString()).requests ?? [] };
      this.batches.set(batch.id, batch);
      return show(batch);
    }
    if (!id) return reply.json(200, { data: [...this.batches.values()].map((batch) => batchObject(this.upstream, batch)), has_more: false, first_id: null, last_id: null });
    const batch = this.batches.get(id);
    if (!batch) return nothing(reply, id);
    if (action === 'results') {
      const lines = batch.requests.map(({ custom_id }) => JSON.stringify({ custom_id, result: { type: 'succeeded', message: JSON.parse(JSON.stringify(answers.message({ text: `see ${this.upstream.url}/v1/messages/batches`, from: 'batch' }))) } }));
      return reply.body(200, `${lines.join('\n')}\n`, { 'content-type': 'application/x-jsonl' });
    }
    if (request.method === 'DELETE') {
      this.batches.delete(id);
      return reply.json(200, { id, type: 'message_batch_deleted' });
    }
    batch.ended = true;
    return show(batch);
  }

  file(request, reply, id, action) {
    if (!id && request.method === 'POST') {
      const file = { id: this.newId('file'), type: 'file', filename: 'https://example.org/v1/files/x', mime_type: 'text/plain', size_bytes: request.body.length, created_at: '2026-01-01T00:00:00Z', downloadable: true };
      this.files.set(file.id, file);
      return reply.json(200, file);
    }
    if (!id) return reply.json(200, { data: [...this.files.values()], has_more: false, first_id: null, last_id: null });
    if (!this.files.has(id)) return nothing(reply, `File ${id}`);
    if (request.method === 'DELETE') {
      this.files.delete(id);
      return reply.json(200, { id, type: 'file_deleted' });
    }
    return action === 'content' ? reply.body(200, 'contents', { 'content-type': 'text/plain' }) : reply.json(200, this.files.get(id));
  }

  message(request, reply) {
    const body = JSON.parse(request.body.toString());
    const missing = filesOf(body.messages).find((id) => !this.files.has(id));
    if (missing) return nothing(reply, `File ${missing}`);
    return reply.json(200, request.target.startsWith('/v1/messages/count_tokens') ? { input_tokens: 42 } : answers.message({ text: 'read', from: reply.from, model: body.model }));
  }
}

/** Starts the provider, with a workspace for each key: upstream.workspaces[key]. */
export async function workspaces(t, name, keys) {
  const upstream = await Upstream.start(t, name, (request, reply) => {
    const own = upstream.workspaces[request.headers['x-api-key']];
    if (!own) return reply.json(401, answers.error('authentication_error', 'invalid x-api-key'));
    const path = request.target.split('?')[0];
    const [, kind, id, action] = /^\/v1\/(files|messages\/batches)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path) ?? [];
    if (kind) return kind === 'files' ? own.file(request, reply, id, action) : own.batch(request, reply, id, action);
    return path.startsWith('/v1/messages') ? own.message(request, reply) : nothing(reply, path);
  });
  upstream.made = 0;
  upstream.workspaces = Object.fromEntries(keys.map((key) => [key, new Workspace(upstream)]));
  return upstream;
}
