-- SPDX-License-Identifier: Apache-2.0
-- The list of what is served, and which paths below it may be asked for. A path is compared as it was sent; the
-- query decides nothing.
local text = require 'ccrelay.util.text'

local M = {}

---@class ccrelay.Route
---@field methods table<string, boolean>
---@field allow string value of the Allow header
---@field endpoint table module with serve(exchange)
---@field decodes boolean? the endpoint needs the body without its content-encoding
---@field free boolean? needs no key
---@field minor boolean? asked for by monitors: its line in the log is of level debug

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

-- Goes on to a provider, so that nothing in it may be read as another path by a server on the way: what RFC 3986
-- (2.3) calls unreserved, never escaped, and no dot at either end.
local function is_id(segment)
  return string.find(segment, '^[%w._~-]+$') and not string.find(segment, '^%.') and not string.find(segment, '%.$')
end

-- Is only compared with names that are known here.
local function is_name(segment)
  return segment ~= '' and segment ~= '.' and segment ~= '..' and not string.find(segment, '[%c\\;]')
end

---@class ccrelay.Subtree the paths below one that is served
---@field root string
---@field route ccrelay.Route
---@field is_fit fun(segment: string): boolean whether a segment is one that may be asked for
---@field takes string what is_fit wants, in words
---@field decoded boolean? whether segments are judged, and divided, without their percent-encoding

local ID = 'of letters, digits, "-", "_", "~" and (but not at either end) "."'
local NAME = 'that are not empty, "." or "..", without ";", "\\" and control characters'

local subtrees = {
  { root = '/v1/models', route = exact['/v1/models'], is_fit = is_name, takes = NAME, decoded = true },
  { root = '/v1/messages/batches', route = batches, is_fit = is_id, takes = ID },
  { root = '/v1/files', route = files, is_fit = is_id, takes = ID },
}

-- What is behind the root in a path; nil for one that only begins with the same letters, as /v1/filesystem.
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

--- The route of a path, or nil.
---@param path string
---@return ccrelay.Route?
---@return string? fault why a path below one that is served cannot be asked for, in words; there is a route then too
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
