-- SPDX-License-Identifier: Apache-2.0
-- Answers the admin listener. It guarantees that no page is shown without the token, if one is set, or else to other
-- machines and other sites. Each page is a file in server/admin/; all are read-only and without secrets.
local C = require 'ccrelay.c'
local api_error = require 'ccrelay.util.api_error'
local client_auth = require 'ccrelay.exchange.client_auth'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local health = require 'ccrelay.server.admin.health'
local metrics = require 'ccrelay.server.admin.metrics'
local requests = require 'ccrelay.server.admin.requests'
local sha256 = require 'ccrelay.util.sha256'
local slice = require 'ccrelay.util.slice'
local status = require 'ccrelay.server.admin.status'
local usage = require 'ccrelay.server.admin.usage'

---@class ccrelay.AdminPage
---@field type string? content type; nil: application/json
---@field is_on (fun(configuration: table): boolean)? whether it is there; nil: always
---@field below boolean? it also answers the paths below its own
---@field later boolean? it answers with request.reply, not with what answer returns
---@field answer fun(master: table, request: ccrelay.AdminRequest): string?, integer?, string? the body; or nil, a
--- status and an error message

---@class ccrelay.AdminRequest
---@field path string
---@field rest string what follows the path of the page and "/"; "" for the page itself
---@field query string without "?"
---@field reply fun(body: string?, status: integer?, message: string?) answers with what answer may return

local M = {}

---@type table<string, ccrelay.AdminPage> by path
local PAGES = {
  ['/health'] = health, ['/metrics'] = metrics, ['/requests'] = requests, ['/status'] = status, ['/usage'] = usage,
}
local NAMES = '/status, /metrics, /requests, /usage and /health'

local function respond(relay, id, code, body, extra)
  for name, value in each(extra or {}) do C.cc_answer_header(relay, id, name, #name, value, #value) end
  C.cc_answer(relay, id, code, body, #body)
end

local function refuse(relay, id, code, message, extra)
  respond(relay, id, code, api_error.body(api_error.type_of(code), message, 'admin'), extra)
end

local function header(relay, id, name)
  local value = ffi.new 'struct cc_slice'
  if C.cc_request_header(relay, id, name, #name, value) ~= C.CC_OK then return nil end
  return slice.text(value)
end

local function is_allowed(master, relay, id)
  local token = master.generation.configuration.admin.token
  if token == '' then return true end
  local given = (header(relay, id, 'authorization') or ''):match '^[Bb]earer%s+(.+)$' or ''
  return sha256.equal(sha256.of(given), sha256.of(token))
end

-- Whether the client may read pages; if not, answers it.
local function enter(master, id)
  local relay = master.relay
  local local_only = master.generation.configuration.admin.token == ''
  if local_only and not client_auth.is_local(header(relay, id, 'host'), header(relay, id, 'origin')) then
    refuse(relay, id, 403, 'this listener answers loopback names only')
    return false
  end
  if not is_allowed(master, relay, id) then
    refuse(relay, id, 401, 'the admin token is missing or wrong', { ['www-authenticate'] = 'Bearer' })
    return false
  end
  return true
end

-- The page of a path, and what follows the path of the page.
local function find(path, configuration)
  local page, rest = PAGES[path], ''
  if not page then
    local first, below = string.match(path, '^(/[^/]+)/(.+)$')
    page, rest = PAGES[first], below
    if not (page and page.below) then return nil end
  end
  if page.is_on and not page.is_on(configuration) then return nil end
  return page, rest
end

--- Answers a request to the admin listener.
---@param master table
---@param id number
function M.answer(master, id)
  local relay, request = master.relay, ffi.new 'struct cc_request'
  if C.cc_request(relay, id, request) ~= C.CC_OK or not enter(master, id) then return end
  local method, path = slice.text(request.method), slice.text(request.path)
  local page, rest = find(path, master.generation.configuration)
  if not page then return refuse(relay, id, 404, 'there is no such page; there are ' .. NAMES) end
  if method ~= 'GET' and method ~= 'HEAD' then
    return refuse(relay, id, 405, path .. ' takes GET', { allow = 'GET, HEAD' })
  end
  local function reply(body, code, message)
    if not body then return refuse(relay, id, code, message) end
    respond(relay, id, 200, body, {
      ['content-type'] = page.type or 'application/json', ['cache-control'] = 'no-store',
    })
  end
  local asked = { path = path, rest = rest, query = slice.text(request.query), reply = reply }
  if page.later then return page.answer(master, asked) end
  reply(page.answer(master, asked))
end

return M
