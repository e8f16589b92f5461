-- SPDX-License-Identifier: Apache-2.0
-- Anthropic's own API. Only providers of this type may receive a client's own credential.
return {
  name = 'anthropic',
  models = { 'claude-*' },
  defaults = { base_url = 'https://api.anthropic.com' },
  credentials = 'key',
  transparent = true,
  supports = { batches = true, files = true },
  counts_cache_reads = { 'claude-3-opus-*', 'claude-3-sonnet-*', 'claude-3-haiku-*', 'claude-3-5-*' },
}
