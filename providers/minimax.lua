-- SPDX-License-Identifier: Apache-2.0
-- MiniMax: its models behind the Messages API; the key travels as a bearer.
return {
  name = 'minimax',
  defaults = { base_url = 'https://api.minimax.io/anthropic' },
  credentials = 'key',
  supports = { safeguards = false },
  key_header = 'authorization',
}
