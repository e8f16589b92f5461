-- SPDX-License-Identifier: Apache-2.0
-- Sends the relay's own HTTP requests, for credentials and lists of models, and checks whether an origin accepts
-- connections. Must be called within tasks (sched/task.lua): a task waits while the loop goes on.
local C = require 'ccrelay.c'
local address = require 'ccrelay.net.address'
local lists = require 'ccrelay.util.lists'
local ffi = require 'ffi'
local origin = require 'ccrelay.net.origin'
local proxy = require 'ccrelay.net.proxy'
local signer = require 'ccrelay.net.signer'
local slice = require 'ccrelay.util.slice'
local task = require 'ccrelay.sched.task'

local M = {}

local TIMEOUT_MS, ANSWER_BYTES = 5000, 65536

local fetch_spec, value = ffi.new 'struct cc_fetch', ffi.new 'struct cc_slice'

local function origin_of(url, spec)
  local through, complaint = nil, nil
  if not spec.direct then through, complaint = proxy.of(url, spec.env or os.getenv) end
  if complaint then return nil, complaint end
  return origin.number(task.relay(), url, { proxy = through, ca_file = spec.ca_file })
end

local function lines_of(headers)
  local lines = {}
  for index, name in ipairs(lists.names(headers or {})) do lines[index] = name .. ': ' .. headers[name] .. '\n' end
  return table.concat(lines)
end

local function host_of(url)
  return (string.gsub(address.text { scheme = url.scheme, host = url.host, port = url.port, path = '' }, '^%a+://', ''))
end

local function header_of(id, name)
  local code = C.cc_fetched_header(task.relay(), id, name, #name, value)
  return code == C.CC_OK and slice.text(value) or nil
end

---@class ccrelay.FetchSpec
---@field url string with path and query
---@field method string? GET by default
---@field headers table<string, string>?
---@field body string?
---@field timeout_ms number? 5000 by default
---@field answer_bytes number? largest answer; 65536 by default
---@field signer ccrelay.Signer?
---@field direct boolean? without a proxy
---@field ca_file string?
---@field origin integer? origin of a provider, instead of one made from url, direct and ca_file

---@class ccrelay.Fetched
---@field status integer
---@field body string
---@field header fun(name: string): string? valid until the task waits again

local function split(text)
  local base, query = string.match(text, '^([^?#]*)(.*)$')
  local url = address.url(base)
  if not url then return nil end
  local path = string.match(base, '^%a+://[^/]*(/.*)$') or '/'
  return url, path .. string.gsub(query, '#.*$', '')
end

-- Returns the header lines of a request, including its signature; nil and a message if it cannot be signed.
local function head_of(spec, url, target, method)
  local lines = lines_of(spec.headers)
  if not spec.signer then return lines end
  local signed, code = signer.sign(spec.signer, C.cc_time(),
    { method = method, host = host_of(url), target = target, lines = lines, body = spec.body or '' })
  if not signed then return nil, 'the request cannot be signed: ' .. ffi.string(C.cc_error_text(code)) end
  return lines .. signed
end

--- Sends a request and waits for its answer, whatever its status. Does not follow redirects. Must be called within a
--- task.
---@param spec ccrelay.FetchSpec
---@return ccrelay.Fetched? answer
---@return string? message
---@return string? part of the body that came before the failure
function M.send(spec)
  local url, target = split(spec.url)
  if not url then return nil, '"' .. spec.url .. '" is no http or https address' end
  local number, message = spec.origin, nil
  if not number then number, message = origin_of(url, spec) end
  if not number then return nil, message end
  local method, body = spec.method or 'GET', spec.body or ''
  local lines, complaint = head_of(spec, url, target, method)
  if not lines then return nil, complaint end
  fetch_spec.origin = number
  slice.put(fetch_spec.method, method)
  slice.put(fetch_spec.target, target)
  slice.put(fetch_spec.headers, lines)
  slice.put(fetch_spec.body, body)
  fetch_spec.timeout_ms, fetch_spec.answer_bytes = spec.timeout_ms or TIMEOUT_MS, spec.answer_bytes or ANSWER_BYTES
  local id = C.cc_fetch(task.relay(), fetch_spec)
  if id < 0 then return nil, 'the request cannot be sent: ' .. ffi.string(C.cc_error_text(id)) end
  local fetched = task.await(id)
  local failure = task.failure(fetched)
  if failure then
    return nil, fetched and failure .. ', at ' .. host_of(url) or failure, fetched and slice.text(fetched.body)
  end
  return { status = fetched.status, body = slice.text(fetched.body), header = function(name)
    return header_of(id, name)
  end }
end

--- Connects to an origin, sends nothing and closes. Must be called within a task.
---@param number integer of the origin
---@param timeout_ms number
---@return boolean connected
---@return string? message what went wrong
---@return { error: integer, expires: number }? facts error of C; when the peer's certificates expire, 0 without TLS
function M.connect(number, timeout_ms)
  local result = task.await(C.cc_connect_check(task.relay(), number, timeout_ms))
  local failure = task.failure(result)
  return failure == nil, failure, result and { error = result.error, expires = result.expires }
end

return M
