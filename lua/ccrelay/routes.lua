-- SPDX-License-Identifier: Apache-2.0
-- The list of what is served. A path is compared as it was sent; the query decides nothing.
local M = {}

---@class ccrelay.Route
---@field methods table<string, boolean>
---@field allow string value of the Allow header
---@field endpoint table module with serve(exchange); decodes: it needs the body without content-encoding
---@field free boolean? needs no key

local function route(methods, name, free)
  local set = {}
  for method in string.gmatch(methods, '%u+') do set[method] = true end
  return { methods = set, allow = methods, endpoint = require('ccrelay.endpoints.' .. name), free = free }
end

local exact = {
  ['/v1/messages'] = route('POST', 'messages'),
  ['/v1/messages/count_tokens'] = route('POST', 'count_tokens'),
  ['/v1/models'] = route('GET, HEAD', 'models'),
  ['/v1/providers'] = route('GET, HEAD', 'providers'),
  ['/health'] = route('GET, HEAD', 'health', true),
  ['/api/hello'] = route('GET, HEAD', 'hello', true),
  ['/api/oauth/usage'] = route('GET', 'oauth_usage'),
  ['/'] = route('GET, HEAD', 'root', true),
}

local passthrough = route('GET, HEAD, POST, DELETE', 'passthrough')

local prefixes = {
  { '/v1/models/', exact['/v1/models'] },
  { '/v1/messages/batches/', passthrough },
  { '/v1/files/', passthrough },
}
exact['/v1/messages/batches'] = passthrough
exact['/v1/files'] = passthrough

--- The route of a path, or nil.
---@param path string
---@return ccrelay.Route?
function M.find(path)
  local found = exact[path]
  if found then return found end
  for _, entry in ipairs(prefixes) do
    local prefix = entry[1]
    if #path > #prefix and string.sub(path, 1, #prefix) == prefix then return entry[2] end
  end
  return nil
end

return M
