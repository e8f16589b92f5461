-- SPDX-License-Identifier: Apache-2.0
-- Answers the admin listener. It guarantees that no page is shown without the token, if one is set, or else to other
-- machines and other sites. Each page is a file in server/admin/; all are read-only and without secrets.
local C = require 'ccrelay.c'
local api_error = require 'ccrelay.util.api_error'
local client_auth = require 'ccrelay.exchange.client_auth'
local dashboard = require 'ccrelay.server.admin.dashboard'
local each = require 'ccrelay.util.each'
local events = require 'ccrelay.server.admin.events'
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
---@field public boolean? it is shown without the token, as nothing of the relay is in it
---@field headers table<string, string>? further headers of its answers
---@field below boolean? it also answers the paths below its own
---@field later boolean? it answers with request.reply or request.stream, not with what answer returns
---@field answer fun(master: table, request: ccrelay.AdminRequest): string?, integer?, string? the body; or nil, a
--- status and an error message

---@class ccrelay.AdminRequest
---@field id integer of the exchange
---@field method 'GET'|'HEAD'
---@field path string
---@field rest string what follows the path of the page and "/"; "" for the page itself
---@field query string without "?"
---@field reply fun(body: string?, status: integer?, message: string?, type: string?) answers with what answer may
--- return
---@field stream fun(type: string, text: string) answers with a text to which the page appends

local M = {}

---@type table<string, ccrelay.AdminPage> by path
local PAGES = {
  ['/'] = dashboard, ['/dashboard'] = dashboard, ['/events'] = events, ['/health'] = health, ['/metrics'] = metrics,
  ['/requests'] = requests, ['/status'] = status, ['/usage'] = usage,
}
local NAMES = '/ (dashboard), /status, /metrics, /requests, /usage, /events and /health'

-- Of every answer: no other site may use it, and no browser may guess what it is.
local ALWAYS = {
  ['cache-control'] = 'no-store', ['cross-origin-resource-policy'] = 'same-origin',
  ['x-content-type-options'] = 'nosniff',
}

local function set_headers(relay, id, headers)
  for name, value in each(headers or {}) do C.cc_answer_header(relay, id, name, #name, value, #value) end
end

local function respond(relay, id, code, body, extra)
  set_headers(relay, id, ALWAYS)
  set_headers(relay, id, extra)
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

-- Tells whether the client may read a page; if not, answers it.
local function enter(master, id, page)
  local relay = master.relay
  local local_only = master.generation.configuration.admin.token == ''
  if local_only and not client_auth.is_local(header(relay, id, 'host'), header(relay, id, 'origin')) then
    refuse(relay, id, 403, 'this listener answers loopback names only')
    return false
  end
  if not (page and page.public) and not is_allowed(master, relay, id) then
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

-- A request as a page gets it, with functions that answer it.
local function asked(relay, id, page, request)
  local function reply(body, code, message, kind)
    if not body then return refuse(relay, id, code, message) end
    set_headers(relay, id, page.headers)
    respond(relay, id, 200, body, { ['content-type'] = kind or page.type or 'application/json' })
  end
  local function stream(kind, text)
    set_headers(relay, id, ALWAYS)
    set_headers(relay, id, { ['content-type'] = kind })
    C.cc_answer_begin(relay, id, 200)
    C.cc_answer_write(relay, id, text, #text)
  end
  request.id, request.reply, request.stream = id, reply, stream
  return request
end

--- Answers a request to the admin listener.
---@param master table
---@param id number
function M.answer(master, id)
  local relay, request = master.relay, ffi.new 'struct cc_request'
  if C.cc_request(relay, id, request) ~= C.CC_OK then return end
  local method, path = slice.text(request.method), slice.text(request.path)
  local page, rest = find(path, master.generation.configuration)
  if not enter(master, id, page) then return end
  if not page then return refuse(relay, id, 404, 'there is no such page; there are ' .. NAMES) end
  if method ~= 'GET' and method ~= 'HEAD' then
    return refuse(relay, id, 405, path .. ' takes GET', { allow = 'GET, HEAD' })
  end
  local given = asked(relay, id, page, {
    method = method, path = path, rest = rest, query = slice.text(request.query),
  })
  if page.later then return page.answer(master, given) end
  given.reply(page.answer(master, given))
end

M.timer, M.writable, M.done = events.tick, events.writable, events.done
M.TIMER = events.TIMER

return M
