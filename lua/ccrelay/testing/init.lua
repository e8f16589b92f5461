-- SPDX-License-Identifier: Apache-2.0
-- What tests of policies get as require 'ccrelay.testing', under ccrelay test: a relay with one policy
-- whose clock, upstreams, clients and randomness are the test's.
local each = require 'ccrelay.util.each'
local stage = require 'ccrelay.testing.stage'
local cell = require 'ccrelay.shared.cell'
local fault = require 'ccrelay.util.fault'
local file = require 'ccrelay.config.file'
local json = require 'ccrelay.util.json'
local world = require 'ccrelay.testing.world'

---@class ccrelay.Testing
local M = {}

---@class ccrelay.StageOptions
---@field policy string? path of the policy, from the folder of the test's file
---@field strategy string? or the name of one of policies/; failover without either
---@field providers table[]? as under providers: of a configuration; type, keys and base_url need not be there
---@field server table? of the configuration
---@field routing table? of the configuration
---@field health table? of the configuration
---@field env table<string, string>? what ${NAME} stands for
---@field seed integer? of relay.random, 1 unless given
---@field time number? milliseconds since 1970 when it begins

---@class ccrelay.TestRequest
---@field body table|string|nil members over those of a small request, or the text itself
---@field headers table<string, string>?
---@field features string[]? what the body is taken to have: cache, pdf, image_url, tool_forced, signatures
---@field at number? milliseconds from now
---@field gone_after number? milliseconds until the client goes away

---@class ccrelay.TestReply
---@field status integer? 200 unless given
---@field headers table<string, string>?
---@field body string|table|nil a table becomes JSON
---@field error string? what goes wrong below HTTP: "CC_EREFUSED", ...
---@field after number? milliseconds until it is there, 1 unless given
---@field hang boolean? it never comes
---@field usage { input: integer?, output: integer? }?
---@field ending { error: string?, stream_error: string? }? how a stream that began well breaks

---@class ccrelay.TestAnswer
---@field status integer 0 when the client got none
---@field headers table<string, string>
---@field body string as the client got it
---@field json any the body, if it is JSON
---@field tried string[] key_id of each attempt, in order
---@field tries ccrelay.TestTry[] each attempt
---@field provider string? whose answer it is; nil if the relay's own
---@field broken boolean? cut off
---@field ms number from the request's head to the return of the policy, or the end

---@class ccrelay.TestTry
---@field key_id string at which key
---@field provider string at which provider
---@field model string? in the body it was sent
---@field headers table<string, string>
---@field target string path and query
---@field json any its body
---@field cancelled boolean given up before it had an outcome

---@class ccrelay.Stage
---@field lines string[] of the log
local Stage = setmetatable({}, { __index = stage.Stage })
Stage.__index = Stage

local OPTIONS = {
  policy = 'string', strategy = 'string', providers = 'table', server = 'table', routing = 'table', health = 'table',
  env = 'table', seed = 'number', time = 'number',
}
local REQUEST = {
  body = 'string|table', headers = 'table', features = 'table', at = 'number', gone_after = 'number',
}
local REPLY = {
  status = 'number', headers = 'table', body = 'string|table', error = 'string', after = 'number', hang = 'boolean',
  usage = 'table', ending = 'table',
}

local function check(what, given, allowed, level)
  if type(given) ~= 'table' then error(what .. ' is a table', level + 1) end
  local known = {}
  for name in each(allowed) do known[#known + 1] = name end
  table.sort(known)
  for name, value in each(given) do
    if not allowed[name] then
      error(('%s has no "%s"; it may have %s'):format(what, tostring(name), table.concat(known, ', ')), level + 1)
    end
    if not ('|' .. allowed[name] .. '|'):find('|' .. type(value) .. '|', 1, true) then
      error(('"%s" of %s is a %s, expected a %s'):format(name, what, type(value), allowed[name]), level + 1)
    end
  end
end

local function check_error(name, level)
  if name and not (name:find '^CC_E' and pcall(function() return world.real[name] end)) then
    error(('"%s" is no error; CC_EREFUSED is one'):format(name), level + 1)
  end
end

-- ---- What is on the stage ----------------------------------------------------------------------

local OWN = debug.getinfo(1, 'S').source

-- From the folder of the test that is running: of the first file on the stack but this one.
local function place(path)
  if path:find '^/' then return path end
  for level = 3, math.huge do
    local info = debug.getinfo(level, 'S')
    local caller = info and info.source ~= OWN and info.source:match '^@(.*)$'
    if caller or not info then return (caller and caller:match '^.*/' or '') .. path end
  end
end

local function copy(value)
  if type(value) ~= 'table' then return value end
  local result = {}
  for name, member in each(value) do result[name] = copy(member) end
  return result
end

local function complete(providers)
  for _, provider in ipairs(providers or {}) do
    if type(provider) == 'table' and type(provider.name) == 'string' then
      provider.type = provider.type or 'anthropic'
      provider.keys = provider.keys or { { key = 'key-of-' .. provider.name } }
      provider.base_url = provider.base_url or 'http://' .. provider.name:lower():gsub('[^%w]', '-') .. '.test'
    end
  end
  return providers
end

--- Puts another policy or configuration in force, as a reload does; exchanges go on with the old one.
---@param options ccrelay.StageOptions
function Stage:use(options)
  check('a stage', options, OPTIONS, 2)
  local given, env, path = copy(options), options.env or {}, options.policy and place(options.policy)
  local text, reason
  if path then
    text, reason = file.read(path, { insecure = true })
    if not text then error(path .. ': ' .. reason, 2) end
  end
  given.routing = given.routing or {}
  given.routing.strategy = given.strategy
  local built, faults = stage.build { policy = text, policy_path = path, providers = complete(given.providers),
    server = given.server, routing = given.routing, health = given.health, env = function(name) return env[name] end }
  if not built then error(faults, 2) end
  self:put_in_force(built)
end

--- A stage for one policy. Everything begins anew: clock, cells, limits, health.
---@param options ccrelay.StageOptions?
---@return ccrelay.Stage
function M.stage(options)
  options = options or {}
  local self = stage.empty(Stage)
  check('a stage', options, OPTIONS, 2)
  self.state.seed = options.seed or 1
  self.state.time = (options.time or self.state.time) - self.state.now
  self:use(options)
  return self
end

local function provider_called(self, name)
  local known = {}
  for _, provider in ipairs(self.current.providers) do
    if provider.name == name then return provider end
    known[#known + 1] = provider.name
  end
  error(('there is no provider "%s" on the stage; there are %s'):format(tostring(name), fault.either(known)), 3)
end

local function reply_of(reply)
  check('a reply', reply, REPLY, 3)
  check_error(reply.error, 3)
  check_error(reply.ending and reply.ending.error, 3)
  local given = copy(reply)
  if type(given.body) == 'table' then given.body = json.encode(given.body) end
  return given
end

--- What a provider answers: a reply for each attempt in turn, the last one from then on. Without it
--- every attempt gets a 200.
---@param name string
---@param ... ccrelay.TestReply
function Stage:reply(name, ...)
  local host, list = provider_called(self, name).base.host, {}
  for index = 1, select('#', ...) do list[index] = reply_of((select(index, ...))) end
  self.replies[host] = list
end

--- Lets time pass in which nothing happens.
---@param milliseconds number
function Stage:advance(milliseconds)
  if getmetatable(self) ~= Stage or type(milliseconds) ~= 'number' or milliseconds < 0 then
    error('stage:advance takes milliseconds', 2)
  end
  world.advance(milliseconds)
end

--- The cell that the policy knows by this name.
---@param name string
---@return ccrelay.Cell
function Stage:cell(name)
  if getmetatable(self) ~= Stage then error('stage:cell takes a name', 2) end
  return cell.of_policy(name)
end

--- The errors of scripts there were, as the log has them.
---@return string[]
function Stage:faults()
  local list = {}
  for _, line in ipairs(self.lines) do
    if line:find('script error', 1, true) then list[#list + 1] = line end
  end
  return list
end

-- ---- Requests and what comes of them -----------------------------------------------------------

local function upstream_of(providers, try)
  for _, provider in ipairs(providers) do
    if provider.base.host == try.origin.host and provider.base.port == try.origin.port then
      for _, slot in ipairs(provider.slots) do
        for _, value in each(try.headers) do
          if slot.key and (value == slot.key or value == 'Bearer ' .. slot.key) then return provider.name, slot.id end
        end
      end
      return provider.name, provider.name
    end
  end
  return try.origin.host, try.origin.host
end

local function describe(self, exchange, try)
  local provider, key_id = upstream_of(self.current.providers, try)
  local body = try.body or world.view_of(exchange, try)
  local decoded = json.decode(body)
  return {
    provider = provider, key_id = key_id, target = try.target, headers = try.headers, json = decoded,
    model = type(decoded) == 'table' and decoded.model or nil, cancelled = try.cancelled or false,
  }
end

local function answer_of(self, exchange)
  local given = exchange.answer or {}
  local answer = {
    status = given.status or 0, headers = given.headers or {}, body = given.body or '', broken = given.broken,
    ms = exchange.over_at - exchange.at, tries = {}, tried = {},
  }
  answer.json = json.decode(answer.body)
  for index, try in ipairs(exchange.tries) do
    answer.tries[index] = describe(self, exchange, try)
    answer.tried[index] = answer.tries[index].key_id
  end
  if given.attempt then answer.provider = upstream_of(self.current.providers, exchange.attempts[given.attempt]) end
  return answer
end

--- Lets requests come in together, each at its .at, and runs until all are over.
---@param ... ccrelay.TestRequest
---@return ccrelay.TestAnswer ... one for each
function Stage:requests(...)
  local list = { ... }
  for index, request in ipairs(list) do
    check('a request', request, REQUEST, 2)
    list[index] = copy(request)
  end
  local exchanges = { stage.Stage.requests(self, unpack(list)) }
  for index, exchange in ipairs(exchanges) do exchanges[index] = answer_of(self, exchange) end
  return unpack(exchanges)
end

--- One request, from its head to the end of its answer.
---@param request ccrelay.TestRequest?
---@return ccrelay.TestAnswer
function Stage:request(request)
  return (self:requests(request or {}))
end

return M
