-- SPDX-License-Identifier: Apache-2.0
-- MiniMax: its own models behind the Messages API. The key is sent as a bearer token.
return {
  name = 'minimax',
  defaults = { base_url = 'https://api.minimax.io/anthropic' },
  credentials = 'key',
  supports = { safeguards = false },
  key_header = 'authorization',
  check = function() return { path = '/v1/models?limit=1' } end,
}
