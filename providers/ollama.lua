-- SPDX-License-Identifier: Apache-2.0
-- Ollama: models on this machine, or in its cloud, which takes the key as a bearer; a local one ignores
-- it. Unknown fields, cache_control and thinking it ignores too.
return {
  name = 'ollama',
  defaults = { base_url = 'http://localhost:11434' },
  credentials = 'key',
  key_header = 'authorization',
  key_optional = true,
  supports = { pdf = false, image_url = false, tool_forced = false, count_tokens = false },
}
