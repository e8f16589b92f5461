-- SPDX-License-Identifier: Apache-2.0
-- Work of the relay's own, in coroutines beside those of the exchanges: requests and programs for
-- credentials, connections to see who is there. Nothing here blocks; a task waits while the loop goes on.
local C = require 'ccrelay.c'
local address = require 'ccrelay.net.address'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local proxy = require 'ccrelay.net.proxy'

local M = {}

M.TIMER = 15 -- the process's timer that tasks share

local FETCH_MS, FETCH_BYTES = 5000, 65536
local RUN_MS, RUN_BYTES = 60000, 65536

local relay
local waiting = {} -- threads by the id of what they fetch
local sleepers = {} -- { due =, thread = }

--- The process's relay: what was under way for another one is forgotten.
---@param handle ffi.cdata*
function M.attach(handle)
  relay, waiting, sleepers = handle, {}, {}
end

local function resume(thread, ...)
  local ok, message = coroutine.resume(thread, ...)
  if not ok then error(debug.traceback(thread, tostring(message)), 0) end
end

--- Begins a task; it runs at once until it waits for the first time.
---@param work function
---@param ... any
function M.start(work, ...)
  resume(coroutine.create(work), ...)
end

-- ---- Time --------------------------------------------------------------------------------------

local function arm()
  local first = math.huge
  for _, sleeper in ipairs(sleepers) do first = math.min(first, sleeper.due) end
  C.cc_timer(relay, M.TIMER, first < math.huge and math.max(first - C.cc_now(), 0) or -1)
end

--- Waits so many milliseconds.
---@param milliseconds number
function M.sleep(milliseconds)
  sleepers[#sleepers + 1] = { due = C.cc_now() + milliseconds, thread = coroutine.running() }
  arm()
  coroutine.yield()
end

--- The shared timer rang: those whose time has come go on.
function M.rang()
  local now, due, later = C.cc_now(), {}, {}
  for _, sleeper in ipairs(sleepers) do
    local list = sleeper.due <= now and due or later
    list[#list + 1] = sleeper
  end
  sleepers = later
  for _, sleeper in ipairs(due) do resume(sleeper.thread) end
  arm()
end

-- ---- Requests ----------------------------------------------------------------------------------

local origin_spec, fetch_spec = ffi.new 'struct cc_origin', ffi.new 'struct cc_fetch'
local command_spec, signer_spec = ffi.new 'struct cc_command', ffi.new 'struct cc_signer'
local fetched, slice = ffi.new 'struct cc_fetched', ffi.new 'struct cc_slice'
local out, out_size = ffi.new 'char *[1]', ffi.new 'uint32_t[1]'

local function put(into, text)
  into.data, into.size = text, #text
end

local function text_of(from)
  return from.size > 0 and ffi.string(from.data, from.size) or ''
end

local function origin_of(url, spec)
  local through, complaint = nil, nil
  if not spec.direct then through, complaint = proxy.of(url, spec.env or os.getenv) end
  if complaint then return nil, complaint end
  through = through or { host = '', port = 0, auth = '' }
  local ca_file = spec.ca_file or ''
  origin_spec.tls, origin_spec.allow_public_http = url.scheme == 'https', false
  put(origin_spec.host, url.host)
  origin_spec.port = url.port
  put(origin_spec.ca_file, ca_file)
  put(origin_spec.proxy_host, through.host)
  origin_spec.proxy_port = through.port
  put(origin_spec.proxy_auth, through.auth)
  local number = C.cc_origin(relay, origin_spec)
  if number < 0 then return nil, ffi.string(C.cc_error_text(number)) end
  return number
end

local function lines_of(headers)
  local names, lines = {}, {}
  for name in each(headers or {}) do names[#names + 1] = name end
  table.sort(names)
  for index, name in ipairs(names) do lines[index] = name .. ': ' .. headers[name] .. '\n' end
  return table.concat(lines)
end

local function host_of(url)
  local host = url.host:find(':', 1, true) and '[' .. url.host .. ']' or url.host
  local standard = url.scheme == 'https' and 443 or 80
  return url.port == standard and host or host .. ':' .. url.port
end

--- Fills the border's form of a signer; the texts must live as long as it is used.
---@param into ffi.cdata*
---@param signer ccrelay.Signer
function M.put_signer(into, signer)
  put(into.access_key, signer.access_key)
  put(into.secret_key, signer.secret_key)
  put(into.session_token, signer.session_token or '')
  put(into.region, signer.region)
  put(into.service, signer.service)
  into.skew_ms = signer.skew_ms or 0
end

local function sign(url, target, spec, method, lines)
  M.put_signer(signer_spec, spec.signer)
  local body = spec.body or ''
  local code = C.cc_sign(signer_spec, C.cc_time(), method, host_of(url), target, lines, body, #body, out, out_size)
  if code ~= C.CC_OK then return nil, 'the request cannot be signed: ' .. ffi.string(C.cc_error_text(code)) end
  local signed = ffi.string(out[0], out_size[0])
  C.cc_free(out[0])
  return signed
end

local function reason_of(url)
  local words = ffi.string(C.cc_error_text(fetched.error))
  local detail = text_of(fetched.detail)
  if detail ~= '' then words = words .. ' (' .. detail .. ')' end
  return url and words .. ', at ' .. host_of(url) or words
end

local function header_of(id, name)
  local code = C.cc_fetched_header(relay, id, name, #name, slice)
  return code == C.CC_OK and text_of(slice) or nil
end

-- The answer is C's only until the loop goes on.
local function await(id, url)
  waiting[id] = coroutine.running()
  coroutine.yield()
  if C.cc_fetched(relay, id, fetched) ~= C.CC_OK then return nil, 'the answer was lost' end
  if fetched.error ~= C.CC_OK then return nil, reason_of(url) end
  return text_of(fetched.body)
end

---@class ccrelay.Signer
---@field access_key string
---@field secret_key string
---@field session_token string?
---@field region string
---@field service string
---@field skew_ms number?

---@class ccrelay.FetchSpec
---@field url string with path and query
---@field method string? GET
---@field headers table<string, string>?
---@field body string?
---@field timeout_ms number? 5000
---@field answer_bytes number? 65536
---@field signer ccrelay.Signer?
---@field direct boolean? by no proxy
---@field ca_file string?
---@field origin integer? of a provider, in place of what url, direct and ca_file make

---@class ccrelay.Fetched
---@field status integer
---@field body string
---@field header fun(name: string): string? until the task waits again

local function split(text)
  local base, query = string.match(text, '^([^?#]*)(.*)$')
  local url = address.url(base)
  if not url then return nil end
  local path = string.match(base, '^%a+://[^/]*(/.*)$') or '/'
  return url, path .. string.gsub(query, '#.*$', '')
end

--- Sends a request of the relay's own and waits for its answer, whatever its status. Redirects are
--- not followed. Within a task only.
---@param spec ccrelay.FetchSpec
---@return ccrelay.Fetched? answer
---@return string? message
function M.fetch(spec)
  local url, target = split(spec.url)
  if not url then return nil, '"' .. spec.url .. '" is no http or https address' end
  local origin, message = spec.origin, nil
  if not origin then origin, message = origin_of(url, spec) end
  if not origin then return nil, message end
  local method, lines, body = spec.method or 'GET', lines_of(spec.headers), spec.body or ''
  if spec.signer then
    local signed, complaint = sign(url, target, spec, method, lines)
    if not signed then return nil, complaint end
    lines = lines .. signed
  end
  fetch_spec.origin = origin
  put(fetch_spec.method, method)
  put(fetch_spec.target, target)
  put(fetch_spec.headers, lines)
  put(fetch_spec.body, body)
  fetch_spec.timeout_ms, fetch_spec.answer_bytes = spec.timeout_ms or FETCH_MS, spec.answer_bytes or FETCH_BYTES
  local id = C.cc_fetch(relay, fetch_spec)
  if id < 0 then return nil, 'the request cannot be sent: ' .. ffi.string(C.cc_error_text(id)) end
  local text, complaint = await(id, url)
  if not text then return nil, complaint end
  return { status = fetched.status, body = text, header = function(name) return header_of(id, name) end }
end

--- Connects to an origin, sends nothing and closes: whether that went well, and what hindered it.
--- Within a task only.
---@param origin integer
---@param timeout_ms number
---@return boolean
---@return string? message
function M.knock(origin, timeout_ms)
  local text, complaint = await(C.cc_connect_check(relay, origin, timeout_ms))
  return text ~= nil, complaint
end

---@class ccrelay.RunSpec
---@field arguments string[] the program first
---@field timeout_ms number? 60000
---@field answer_bytes number? 65536

--- Runs a program, without a shell, and waits for its end. Within a task only.
---@param spec ccrelay.RunSpec
---@return { status: integer, body: string, complaint: string }? result
---@return string? message
function M.run(spec)
  local arguments = table.concat(spec.arguments, '\0') .. '\0'
  put(command_spec.arguments, arguments)
  command_spec.timeout_ms, command_spec.answer_bytes = spec.timeout_ms or RUN_MS, spec.answer_bytes or RUN_BYTES
  local id = C.cc_run(relay, command_spec)
  if id < 0 then return nil, ffi.string(C.cc_error_text(id)) end
  local text, complaint = await(id)
  if not text then return nil, complaint end
  return { status = fetched.status, body = text, complaint = text_of(fetched.detail) }
end

--- Lets another process do work, and waits for its end. Within a task only.
---@param work function runs in that process alone
---@param timeout_ms number
---@param answer_bytes number of what it says, at most
---@param ... any for work
---@return { error: integer, status: integer, body: string }? result
---@return string? message
function M.apart(work, timeout_ms, answer_bytes, ...)
  local id = C.cc_preflight(relay, timeout_ms, answer_bytes)
  if id == 0 then
    pcall(work, ...)
    C.cc_preflight_end()
  end
  if id < 0 then return nil, ffi.string(C.cc_system_error()) end
  waiting[id] = coroutine.running()
  coroutine.yield()
  if C.cc_fetched(relay, id, fetched) ~= C.CC_OK then return nil, 'the answer was lost' end
  return { error = fetched.error, status = fetched.status, body = text_of(fetched.body) }
end

--- A FETCH event has come.
---@param id number
function M.fetched(id)
  local thread = waiting[id]
  waiting[id] = nil
  if thread then resume(thread) end
end

return M
