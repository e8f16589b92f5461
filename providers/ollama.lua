-- SPDX-License-Identifier: Apache-2.0
-- Ollama: models on this machine, or in Ollama's cloud, which needs a key as a bearer token. A local server ignores
-- the key. Ollama also ignores unknown fields, cache_control and thinking.

-- A name without a tag means the tag "latest".
local function names_of(reply)
  if type(reply.models) ~= 'table' then return nil end
  local names = {}
  for _, model in ipairs(reply.models) do
    names[#names + 1] = model.name
    names[#names + 1] = string.match(model.name, '^(.*):latest$')
  end
  return names
end

return {
  name = 'ollama',
  defaults = { base_url = 'http://localhost:11434' },
  credentials = 'key',
  key_header = 'authorization',
  key_optional = true,
  check = function() return { path = '/api/tags' } end,
  list_models = { path = '/api/tags', read = names_of },
  supports = { pdf = false, image_url = false, tool_forced = false, safeguards = false, count_tokens = false },
}
