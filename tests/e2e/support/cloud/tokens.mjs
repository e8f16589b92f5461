// SPDX-License-Identifier: Apache-2.0
// What the credential servers hand out and the providers recognise: bearer tokens and AWS keys,
// each with the canary in it and with an end.
import { canary } from '../relay.mjs';

export class Tokens {
  /** `now()` gives ms; `prefix` is how the real ones begin. */
  constructor(now, prefix) {
    Object.assign(this, { now, prefix, known: new Map() });
  }

  /** A token good for `life` seconds; `about` is kept with it. */
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

  /** Ends one, or all that were issued so far. */
  expire(token) {
    for (const entry of this.known.values()) if (token === undefined || entry.token === token) entry.expires = this.now() - 1;
  }

  /** As if they had never been issued. */
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

  /** A temporary pair with its session token, good for `life` seconds. */
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

  /** Ends all temporary keys issued so far. */
  expire() {
    for (const key of this.known.values()) if (key.sessionToken) key.expires = this.now() - 1;
  }
}
