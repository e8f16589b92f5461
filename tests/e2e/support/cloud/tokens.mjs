// SPDX-License-Identifier: Apache-2.0
// Bearer tokens and AWS keys that the simulated token services issue and the simulated providers accept. Each contains
// the canary and expires.
import { canary } from '../relay.mjs';

export class Tokens {
  /** `now()` returns ms; `prefix` is how real tokens begin. */
  constructor(now, prefix) {
    Object.assign(this, { now, prefix, known: new Map() });
  }

  /** A token that is valid for `life` seconds; `about` is stored with it. */
  issue(life, about = {}) {
    const token = `${this.prefix}${canary}-${this.known.size + 1}`;
    this.known.set(token, { token, expires: this.now() + life * 1000, ...about });
    return token;
  }

  find(token) {
    return this.known.get(token);
  }

  /** 'good', 'expired' or 'unknown'. */
  state(token) {
    const found = this.known.get(token);
    if (!found) return 'unknown';
    return found.expires > this.now() ? 'good' : 'expired';
  }

  /** Expires one token, or all that were issued so far. */
  expire(token) {
    for (const entry of this.known.values()) if (token === undefined || entry.token === token) entry.expires = this.now() - 1;
  }

  /** Forgets tokens, as if they had never been issued. */
  revoke(token) {
    if (token === undefined) this.known.clear();
    else this.known.delete(token);
  }
}

export class AwsKeys {
  constructor(now = Date.now) {
    Object.assign(this, { now, known: new Map(), bearers: new Tokens(now, 'ABSK') });
  }

  /** A permanent key pair. */
  add(name = `K${this.known.size + 1}`) {
    const key = { accessKeyId: `AKIA${canary}${name}`, secretAccessKey: `${canary}/secret+of/${name}` };
    this.known.set(key.accessKeyId, key);
    return key;
  }

  /** A temporary pair with its session token, valid for `life` seconds. */
  issue(life, about = {}) {
    const name = `T${this.known.size + 1}`;
    const key = { accessKeyId: `ASIA${canary}${name}`, secretAccessKey: `${canary}/secret+of/${name}`,
      sessionToken: `IQoJ//${canary}+${name}==`, expires: Math.floor(this.now() / 1000) * 1000 + life * 1000, ...about };
    this.known.set(key.accessKeyId, key);
    return key;
  }

  /** A Bedrock API key. */
  bearer(life = 86400) {
    return this.bearers.issue(life);
  }

  find(id) {
    return this.known.get(id);
  }

  /** Expires all temporary keys issued so far. */
  expire() {
    for (const key of this.known.values()) if (key.sessionToken) key.expires = this.now() - 1;
  }
}
