-- SPDX-License-Identifier: Apache-2.0
-- Anthropic's own API. Only providers of this type may receive a client's own credential.
return {
  name = 'anthropic',
  models = { 'claude-*' },
  defaults = { base_url = 'https://api.anthropic.com' },
  credentials = 'key',
  transparent = true,
  supports = { batches = true, files = true },
  -- The Models API is free of charge.
  check = function() return { path = '/v1/models?limit=1' } end,
  counts_cache_reads = { 'claude-3-opus-*', 'claude-3-sonnet-*', 'claude-3-haiku-*', 'claude-3-5-*' },
}
