-- SPDX-License-Identifier: Apache-2.0
-- A simulated machine for specs of AWS credentials: its environment, files and clock, and the answers to its requests.
local fake = require 'support.fake_c'

local M = {}

M.CANARY = 'CANARY7f3a9d'
M.SECRET = 'wJalr/CANARY7f3a9d'
M.NOW = 1795600000000
M.SHA1 = {
  corp = 'ee0bfd2552fbd840c02cc48b6e823320543c450f',
  ['https://corp.awsapps.com/start'] = 'a51746d4aa793ae07b25e90c3a5db96fc7832bd7',
}

local stage

local function answer_of(given)
  local headers = given.headers or {}
  return { status = given.status or 200, body = given.body or '', header = function(name) return headers[name] end }
end

local function next_of(list)
  return #list > 1 and table.remove(list, 1) or list[1]
end

package.loaded['ccrelay.net.fetch'] = {
  send = function(spec)
    stage.requests[#stage.requests + 1] = spec
    local given = stage.answers[(spec.method or 'GET') .. ' ' .. spec.url]
    if type(given) == 'table' and given[1] then given = next_of(given) end
    if type(given) == 'function' then given = given(spec) end
    if given == nil then return nil, 'no connection to ' .. spec.url end
    if type(given) == 'string' then return nil, given end
    return answer_of(given)
  end,
}

package.loaded['ccrelay.sched.task'] = {
  run = function(spec)
    stage.runs[#stage.runs + 1] = spec
    if not stage.program then return nil, 'there is no such program' end
    return stage.program(spec)
  end,
  sleep = function(milliseconds) stage.sleeps[#stage.sleeps + 1] = milliseconds end,
}

package.loaded['ccrelay.credentials.cache'] = {
  get = function(_, source)
    local value, more = source.fetch()
    if value then return value end
    return nil, type(more) == 'table' and more.message or more
  end,
  void = function(source) stage.voided[#stage.voided + 1] = source end,
}

-- Digests are computed by the real library if it has them.
if not pcall(function() return fake.C.cc_sha1 end) then
  local ffi = require 'ffi'
  rawset(fake.C, 'cc_sha1', function(text, size, out)
    local digits = assert(M.SHA1[text:sub(1, size)])
    for index = 0, 19 do out[index] = tonumber(digits:sub(index * 2 + 1, index * 2 + 2), 16) end
    return ffi.sizeof(out) == 20 and 0 or -1
  end)
end

--- Makes a machine. answers has by "METHOD url" an answer, a list of answers in turn, a function, or a string: the
--- request fails with this message.
---@param given { env: table?, files: table?, answers: table?, program: function? }
---@return table stage with context, requests, runs, sleeps, voided
function M.new(given)
  fake.reset()
  stage = {
    env = given.env or {}, files = given.files or {}, answers = given.answers or {}, program = given.program,
    requests = {}, runs = {}, sleeps = {}, voided = {}, now = M.NOW,
  }
  if stage.env.HOME == nil then stage.env.HOME = '/home/me' end
  local own = stage
  stage.context = {
    env = function(name) return own.env[name] end,
    read = function(path)
      local text = own.files[path]
      if type(text) == 'table' then return nil, text[1] end
      if not text then return nil, 'there is no such file' end
      return text
    end,
    time = function() return own.now end,
  }
  return stage
end

--- Returns an RFC 3339 time so many minutes from now.
---@param minutes number
---@return string
function M.time(minutes)
  return os.date('!%Y-%m-%dT%H:%M:%SZ', M.NOW / 1000 + minutes * 60)
end

--- Returns a Date header so many minutes from now.
---@param minutes number
---@return string
function M.date(minutes)
  return os.date('!%a, %d %b %Y %H:%M:%S GMT', M.NOW / 1000 + minutes * 60)
end

--- Returns a good answer of STS.
---@param action string
---@param minutes number
---@param id string?
---@return table
function M.sts(action, minutes, id)
  return { body = ('<%sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <%sResult>\n    <Credentials>'
    .. '<AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken>'
    .. '<Expiration>%s</Expiration></Credentials></%sResult></%sResponse>'):format(action, action, id or 'ASIAROLE',
    M.SECRET, 'token/' .. M.CANARY, M.time(minutes), action, action) }
end

--- Returns an error of STS.
---@param status integer
---@param code string
---@param words string
---@param headers table?
---@return table
function M.sts_error(status, code, words, headers)
  return { status = status, headers = headers,
    body = '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    .. '<Error><Type>Sender</Type><Code>' .. code .. '</Code><Message>' .. words .. '</Message></Error>'
    .. '<RequestId>1</RequestId></ErrorResponse>' }
end

--- Returns the message of a failure. Fails if there is a value, or if the message contains a secret.
---@param value any
---@param more any
---@return string
function M.message(value, more)
  assert(value == nil, 'credentials where there should be none')
  local text = type(more) == 'table' and more.message or more
  assert(type(text) == 'string', 'no message')
  assert(not text:find(M.CANARY, 1, true), 'a secret in: ' .. text)
  return text
end

return M
