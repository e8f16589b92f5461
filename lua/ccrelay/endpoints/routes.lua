-- SPDX-License-Identifier: Apache-2.0
-- Finds the endpoint of a path. A path is compared as it was sent, without the query.
local text = require 'ccrelay.util.text'

local M = {}

---@class ccrelay.Route
---@field methods table<string, boolean>
---@field allow string value of the Allow header
---@field endpoint table module with serve(exchange)
---@field decodes boolean? whether the endpoint needs the body without its content-encoding
---@field free boolean? whether it needs no key
---@field minor boolean? whether monitors ask for it: its log line has level debug

local function route(methods, name, free)
  local set = {}
  for method in string.gmatch(methods, '%u+') do set[method] = true end
  local endpoint = require('ccrelay.endpoints.' .. name)
  return { methods = set, allow = methods, endpoint = endpoint, decodes = endpoint.decodes, free = free }
end

local exact = {
  ['/v1/messages'] = route('POST', 'messages'),
  ['/v1/messages/count_tokens'] = route('POST', 'count_tokens'),
  ['/v1/models'] = route('GET, HEAD', 'models'),
  ['/v1/providers'] = route('GET, HEAD', 'providers'),
  ['/health'] = route('GET, HEAD', 'health', true),
  ['/health/ready'] = route('GET, HEAD', 'ready', true),
  ['/api/hello'] = route('GET, HEAD', 'hello', true),
  ['/api/oauth/usage'] = route('GET', 'oauth_usage'),
  ['/'] = route('GET, HEAD', 'root', true),
}

local files = route('GET, HEAD, POST, DELETE', 'passthrough')
local batches = route('GET, HEAD, POST, DELETE', 'passthrough')
batches.decodes = true -- its requests are counted
exact['/v1/messages/batches'] = batches
exact['/v1/files'] = files

exact['/health'].minor = true
exact['/health/ready'].minor = true

-- Ids are sent to a provider, so no server on the way may read one as another path: they have the unreserved characters
-- of RFC 3986, section 2.3, no escapes, and no dot at either end.
local function is_id(segment)
  return string.find(segment, '^[%w._~-]+$') and not string.find(segment, '^%.') and not string.find(segment, '%.$')
end

-- Names of models are only compared with known names.
local function is_name(segment)
  return segment ~= '' and segment ~= '.' and segment ~= '..' and not string.find(segment, '[%c\\;]')
end

---@class ccrelay.Subtree the paths below a served one
---@field root string
---@field route ccrelay.Route
---@field is_fit fun(segment: string): boolean whether a segment is valid
---@field takes string description of valid segments
---@field decoded boolean? whether the path is decoded before it is divided into segments

local ID = 'of letters, digits, "-", "_", "~" and (but not at either end) "."'
local NAME = 'that are not empty, "." or "..", without ";", "\\" and control characters'

local subtrees = {
  { root = '/v1/models', route = exact['/v1/models'], is_fit = is_name, takes = NAME, decoded = true },
  { root = '/v1/messages/batches', route = batches, is_fit = is_id, takes = ID },
  { root = '/v1/files', route = files, is_fit = is_id, takes = ID },
}

-- The rest of a path after the root; nil for one that only begins with the same letters, such as /v1/filesystem.
local function below(path, root)
  if string.sub(path, 1, #root) ~= root or string.find(path, '^[%w_-]', #root + 1) then return nil end
  return string.sub(path, #root + 1)
end

local function fault_of(rest, subtree)
  if subtree.decoded then rest = text.unescape(rest) end
  local fit = string.sub(rest, 1, 1) == '/'
  for segment in string.gmatch(string.sub(rest, 2) .. '/', '([^/]*)/') do
    fit = fit and subtree.is_fit(segment)
  end
  return not fit and 'below ' .. subtree.root .. ' a path has segments ' .. subtree.takes or nil
end

--- Finds the route of a path.
---@param path string
---@return ccrelay.Route?
---@return string? fault why the path is invalid; there is a route then, too
function M.find(path)
  local found = exact[path]
  if found then return found end
  for _, subtree in ipairs(subtrees) do
    local rest = below(path, subtree.root)
    if rest then return subtree.route, fault_of(rest, subtree) end
  end
  return nil
end

return M
