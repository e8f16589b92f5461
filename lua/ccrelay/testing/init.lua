-- SPDX-License-Identifier: Apache-2.0
-- The module ccrelay.testing for tests of policies (ccrelay test): a relay with one policy, whose clock, upstreams,
-- clients and randomness the test controls. A test gives the same result every time.
local deep_copy = require 'ccrelay.script.deep_copy'
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
---@field policy string? path of the policy, relative to the folder of the test's file
---@field strategy string? name of a strategy instead; failover if neither is given
---@field providers table[]? as providers of a configuration; type, keys and base_url are optional
---@field server table? the section server of the configuration
---@field routing table? the section routing
---@field health table? the section health
---@field env table<string, string>? environment variables, for ${NAME} in values
---@field seed integer? the seed of relay.random, 1 unless given
---@field time number? the time when the test begins, in milliseconds since 1970

---@class ccrelay.TestRequest
---@field body table|string|nil a table: its members replace those of a small request; a string: the whole body
---@field headers table<string, string>?
---@field features string[]? features the body counts as having: cache, pdf, image_url, tool_forced, signatures
---@field at number? when the request comes in, in milliseconds from now
---@field gone_after number? when the client disconnects, in milliseconds after that

---@class ccrelay.TestReply
---@field status integer? 200 unless given
---@field headers table<string, string>?
---@field body string|table|nil a table becomes JSON
---@field error string? a failure below HTTP instead of an answer: "CC_EREFUSED", ...
---@field after number? milliseconds until the reply comes, 1 unless given
---@field hang boolean? the reply never comes
---@field usage { input: integer?, output: integer? }?
---@field ending { error: string?, stream_error: string? }? the failure that ends a stream after it began

---@class ccrelay.TestAnswer
---@field status integer 0 if the client got no answer
---@field headers table<string, string>
---@field body string as the client got it
---@field json any the decoded body, if it is JSON
---@field tried string[] the key_id of each attempt, in order
---@field tries ccrelay.TestTry[] the attempts, in order
---@field provider string? the provider that answered; nil if the relay did
---@field broken boolean? whether the answer was cut off
---@field ms number milliseconds from the request's head to the return of the policy, or to the end

---@class ccrelay.TestTry
---@field key_id string the key that was used
---@field provider string the provider that was asked
---@field model string? the model in the body that was sent
---@field headers table<string, string>
---@field target string path and query
---@field json any the decoded body
---@field cancelled boolean whether it was cancelled before it had an outcome

---@class ccrelay.Stage
---@field lines string[] the lines of the log
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
  if type(given) ~= 'table' then error(what .. ' must be a table', level + 1) end
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
    error(('"%s" is not the name of an error; CC_EREFUSED is one'):format(name), level + 1)
  end
end

-- ---- The stage ---------------------------------------------------------------------------------

local OWN = debug.getinfo(1, 'S').source

-- Resolves a path relative to the test that is running: the first file on the stack other than this one.
local function resolve(path)
  if path:find '^/' then return path end
  for level = 3, math.huge do
    local info = debug.getinfo(level, 'S')
    local caller = info and info.source ~= OWN and info.source:match '^@(.*)$'
    if caller or not info then return (caller and caller:match '^.*/' or '') .. path end
  end
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

--- Loads another policy or configuration, as a reload does. Running exchanges keep the old one.
---@param options ccrelay.StageOptions
function Stage:use(options)
  check('a stage', options, OPTIONS, 2)
  local given, env, path = deep_copy.plain(options), options.env or {}, options.policy and resolve(options.policy)
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

--- Makes a stage for one policy. Clock, cells, limits and health are new.
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
  error(('the stage has no provider "%s"; it has %s'):format(tostring(name), fault.either(known)), 3)
end

local function reply_of(reply)
  check('a reply', reply, REPLY, 3)
  check_error(reply.error, 3)
  check_error(reply.ending and reply.ending.error, 3)
  local given = deep_copy.plain(reply)
  if type(given.body) == 'table' then given.body = json.encode(given.body) end
  return given
end

--- Sets the replies of a provider: one for each attempt in turn, the last one for all further attempts. Without it
--- every attempt gets a 200.
---@param name string
---@param ... ccrelay.TestReply
function Stage:reply(name, ...)
  local host, list = provider_called(self, name).base.host, {}
  for index = 1, select('#', ...) do list[index] = reply_of((select(index, ...))) end
  self.replies[host] = list
end

--- Moves the clock forward; nothing happens in that time.
---@param milliseconds number
function Stage:advance(milliseconds)
  if getmetatable(self) ~= Stage or type(milliseconds) ~= 'number' or milliseconds < 0 then
    error('stage:advance takes a number of milliseconds, 0 or more', 2)
  end
  world.advance(milliseconds)
end

--- Returns the cell that policies know by this name.
---@param name string
---@return ccrelay.Cell
function Stage:cell(name)
  if getmetatable(self) ~= Stage then error('stage:cell takes a name', 2) end
  return cell.of_policy(name)
end

--- Returns the lines of the log that report errors of scripts.
---@return string[]
function Stage:faults()
  local list = {}
  for _, line in ipairs(self.lines) do
    if line:find('script error', 1, true) then list[#list + 1] = line end
  end
  return list
end

-- ---- Requests and answers ----------------------------------------------------------------------

local function upstream_of(providers, try)
  for _, provider in ipairs(providers) do
    if provider.base.host == try.origin.host and provider.base.port == try.origin.port then
      for _, key in ipairs(provider.keys) do
        for _, value in each(try.headers) do
          local is_own = key.secret and (value == key.secret or value == 'Bearer ' .. key.secret)
          if is_own then return provider.name, key.id end
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

--- Sends several requests, each at its .at, and runs until all are over.
---@param ... ccrelay.TestRequest
---@return ccrelay.TestAnswer ... the answers, in the order of the requests
function Stage:requests(...)
  local list = { ... }
  for index, request in ipairs(list) do
    check('a request', request, REQUEST, 2)
    list[index] = deep_copy.plain(request)
  end
  local exchanges = { stage.Stage.requests(self, unpack(list)) }
  for index, exchange in ipairs(exchanges) do exchanges[index] = answer_of(self, exchange) end
  return unpack(exchanges)
end

--- Sends one request and runs until it is over.
---@param request ccrelay.TestRequest?
---@return ccrelay.TestAnswer
function Stage:request(request)
  return (self:requests(request or {}))
end

return M
