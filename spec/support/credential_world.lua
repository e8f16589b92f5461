-- SPDX-License-Identifier: Apache-2.0
-- A simulated world for credential schemes: variables, files, services that answer by method and address, programs. It
-- records requests, programs and pauses.
local fake = require 'support.fake_c'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'

ffi.cdef 'void *malloc(size_t size);'

local M = {}

M.CANARY = 'CANARY7f3a9d'
M.NOW = 1795000000000

local state = {}

-- ---- Functions of C ----------------------------------------------------------------------------

local function give(out, size, text)
  out[0], size[0] = ffi.cast('char *', ffi.C.malloc(#text + 1)), #text
  ffi.copy(out[0], text, #text)
  return fake.C.CC_OK
end

local ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

local function base64(text)
  local out = {}
  for index = 1, #text, 3 do
    local a, b, c = text:byte(index, index + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 3, 0, -1 do
      local digit = math.floor(bits / 64 ^ place) % 64 + 1
      out[#out + 1] = (place == 1 and not b or place == 0 and not c) and '=' or ALPHABET:sub(digit, digit)
    end
  end
  return table.concat(out)
end

M.base64 = base64

local function slice(from)
  return from.size > 0 and ffi.string(from.data, from.size) or ''
end

local function compute()
  local C = fake.C
  function C.cc_base64(data, size, url, out, out_size)
    assert(not url and #data == size)
    return give(out, out_size, base64(data))
  end
  function C.cc_jwt(key, key_size, header, header_size, claims, claims_size, out, out_size)
    assert(#key == key_size and #header == header_size and #claims == claims_size)
    if not key:find '^%-%-%-%-%-BEGIN R?S?A? ?PRIVATE KEY' then return C.CC_EINVAL end
    return give(out, out_size, 'jwt:' .. header .. claims)
  end
  function C.cc_sign(signer, now, method, host, target, headers, body, size, out, out_size)
    assert(headers == '' and body == '' and size == 0)
    state.signed = {
      access_key = slice(signer.access_key), secret_key = slice(signer.secret_key), region = slice(signer.region),
      service = slice(signer.service), now = now, method = method, host = host, target = target,
    }
    local session = slice(signer.session_token)
    if state.signed.access_key:find '%c' then return C.CC_EINVAL end
    local text = 'authorization: AWS4-HMAC-SHA256 Credential=' .. state.signed.access_key .. ', Signature=5e\n'
      .. 'x-amz-date: 20261118T000000Z\n'
    if session ~= '' then text = text .. 'x-amz-security-token: ' .. session .. '\n' end
    return give(out, out_size, text)
  end
end

-- ---- Services and programs ---------------------------------------------------------------------

local function next_of(list)
  if list[1] == nil then return list end
  return #list > 1 and table.remove(list, 1) or list[1]
end

local fetch, task = {}, {}

function fetch.send(spec)
  spec.method = spec.method or 'GET'
  state.requests[#state.requests + 1] = spec
  local name = spec.method .. ' ' .. spec.url
  local reply = next_of(assert(state.answers[name], 'nobody answers ' .. name))
  if reply.error then return nil, reply.error end
  local body = type(reply.body) == 'table' and json.encode(reply.body) or reply.body or ''
  local function header(wanted)
    for key, value in pairs(reply.headers or {}) do
      if key:lower() == wanted:lower() then return value end
    end
  end
  return { status = reply.status or 200, body = body, header = header }
end

function task.run(spec)
  state.runs[#state.runs + 1] = spec
  local reply = next_of(assert(state.programs, 'no program may run'))
  if reply.error then return nil, reply.error end
  local body = type(reply.body) == 'table' and json.encode(reply.body) or reply.body or ''
  return { status = reply.status or 0, body = body, complaint = reply.complaint or '' }
end

function task.sleep(milliseconds)
  state.sleeps[#state.sleeps + 1] = milliseconds
end

local cache = {}

function cache.get(_, source)
  local value, more = source.fetch()
  if value == nil then return nil, type(more) == 'table' and more.message or more end
  return value
end

function cache.void(source)
  state.voided = source
end

for name in pairs(package.loaded) do
  if name:find '^ccrelay%.credentials%.' or name == 'ccrelay.util.random' then package.loaded[name] = nil end
end
package.loaded['ccrelay.net.fetch'] = fetch
package.loaded['ccrelay.sched.task'], package.loaded['ccrelay.credentials.cache'] = task, cache

-- ---- For the specs -----------------------------------------------------------------------------

--- Resets the world.
---@param setting { env: table?, files: table?, answers: table?, programs: table? }?
---@return table state requests, runs, sleeps, signed, voided; context
function M.reset(setting)
  setting = setting or {}
  fake.reset()
  compute()
  state = {
    env = setting.env or {}, files = setting.files or {}, answers = setting.answers or {},
    programs = setting.programs, requests = {}, runs = {}, sleeps = {},
  }
  state.context = {
    env = function(name) return state.env[name] end,
    read = function(path)
      local text = state.files[path]
      if type(text) == 'table' then return nil, text.error end
      if not text then return nil, 'there is no such file' end
      return text
    end,
    time = function() return M.NOW end,
  }
  return state
end

function M.provider(settings)
  return { name = 'cloud', settings = settings or {} }
end

--- Returns what the scheme's source fetches: value and expiry, or nil and the problem. Fails if a message contains a
--- secret.
function M.fetch(scheme, settings)
  local value, more = scheme.source(M.provider(settings), state.context).fetch()
  if value == nil then
    assert(type(more) == 'table' and type(more.message) == 'string', 'a problem has a message')
    assert(not more.message:find(M.CANARY, 1, true), 'a secret in: ' .. more.message)
    assert(not more.message:find('[%c]'), 'control bytes in: ' .. more.message)
  end
  return value, more
end

--- Returns the notes of examine as "severity: message".
function M.examine(scheme, settings)
  local list = {}
  for index, note in ipairs(scheme.examine(M.provider(settings), state.context)) do
    assert(not note.message:find(M.CANARY, 1, true), 'a secret in: ' .. note.message)
    list[index] = note.severity .. ': ' .. note.message
  end
  return list
end

--- Returns the headers that apply sets; or nil and the message.
function M.apply(scheme, settings)
  local provider, headers = M.provider(settings), {}
  provider.source = scheme.source(provider, state.context)
  local request = { exchange = {} }
  function request:header(name, value) headers[name] = assert(self and value) end
  local ok, message = scheme.apply(request, { key = { provider = provider } }, {})
  if not ok then return nil, message end
  return headers
end

--- Returns a file of tests/data/google, as text and as a table.
function M.data(name)
  local file = assert(io.open('tests/data/google/' .. name .. '.json', 'rb'))
  local text = file:read '*a'
  file:close()
  return text, json.decode(text)
end

--- Decodes a form.
function M.form(body)
  local out = {}
  for name, value in body:gmatch '([^&=]+)=([^&]*)' do
    out[name] = value:gsub('%%(%x%x)', function(digits) return string.char(tonumber(digits, 16)) end)
  end
  return out
end

M.json = json

M.real = getmetatable(fake.C).__index

--- Uses the real library for this function of C until the next reset.
function M.with_real(name)
  fake.C[name] = nil
  return state
end

return M
