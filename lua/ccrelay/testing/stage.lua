-- SPDX-License-Identifier: Apache-2.0
-- Runs a worker on the scripted C side. Provider NAME is at http://NAME.test unless the test says otherwise; requests
-- go in, answers come out.
local each = require 'ccrelay.util.each'
local fake = require 'ccrelay.testing.c'
local config = require 'ccrelay.config'
local file = require 'ccrelay.config.file'
local generation = require 'ccrelay.generation'
local json = require 'ccrelay.util.json'
local loop = require 'ccrelay.server.loop'
local random = require 'ccrelay.util.random'

local M = {}

local Stage = {}
Stage.__index = Stage
M.Stage = Stage

local BODY = { model = 'claude-sonnet-4-5', max_tokens = 100, messages = { { role = 'user', content = 'hi' } } }

local function read(path)
  local text, reason = file.read(path, { insecure = true })
  return text or error(path .. ': ' .. reason, 0)
end

local adapters

local function scripts_with(more)
  local root, scripts = config.root(), {}
  if not adapters then
    adapters = {}
    for _, name in ipairs(file.scripts(root .. '/providers')) do
      adapters['providers/' .. name .. '.lua'] = read(root .. '/providers/' .. name .. '.lua')
    end
  end
  for path, text in each(adapters) do scripts[path] = text end
  for path, text in each(more or {}) do scripts[path] = text end
  return scripts
end

local function texts(faults)
  local list = {}
  for index, fault in ipairs(faults) do list[index] = tostring(fault) end
  return table.concat(list, '\n')
end

local function no_variables() return nil end

local function providers_of(options)
  local providers = options.providers or { { name = 'one', type = 'anthropic', keys = { { key = 'sk-one' } } } }
  for _, provider in ipairs(providers) do
    if provider.base_url == nil then provider.base_url = 'http://' .. provider.name .. '.test' end
    if provider.base_url == false then provider.base_url = nil end
  end
  return providers
end

local function strategy_of(options, scripts)
  local routing = options.routing or {}
  routing.strategy = routing.strategy or 'failover'
  local name = 'policies/' .. routing.strategy .. '.lua'
  if not options.policy then scripts[name] = scripts[name] or read(config.root() .. '/' .. name) end
  return routing
end

--- Builds a generation.
---@param options table sections of the configuration; policy: the text of a policy; policy_path; scripts; env
---@return table? generation nil if there are faults
---@return string? faults one a line
function M.build(options)
  local scripts, env = scripts_with(options.scripts), options.env or no_variables
  local loaded, faults = generation.adapters(scripts)
  if not loaded then return nil, texts(faults) end
  local configuration
  configuration, faults = config.load {
    data = { server = options.server, providers = providers_of(options), routing = strategy_of(options, scripts),
      health = options.health, logging = options.logging }, env = env, adapters = loaded,
  }
  if not configuration then return nil, texts(faults) end
  local built
  built, faults = generation.build {
    configuration = configuration, adapters = loaded, scripts = scripts, env = env, policy_text = options.policy,
    policy_path = options.policy and (options.policy_path or 'policy.lua'),
  }
  return built, not built and texts(faults) or nil
end

--- Makes a stage without a generation. The scripted C side is reset.
---@param class table? the class of the stage; Stage unless given
---@return table
function M.empty(class)
  local state = fake.reset()
  random.renew()
  return setmetatable({ state = state, relay = {}, replies = state.replies, lines = state.lines }, class or Stage)
end

--- Builds a generation and puts it in force. Raises an error if it has faults.
---@param options table as for build
function Stage:use(options)
  self:put_in_force(assert(M.build(options)))
end

--- Puts a generation in force, as a reload does: it serves the requests that come in from now on.
---@param built ccrelay.Generation
function Stage:put_in_force(built)
  if self.current then built:forgive_keys() end
  self.current = built
end

--- Returns the generation in force.
---@return ccrelay.Generation
function Stage:generation()
  return self.current
end

local function fill(request)
  if type(request.body) == 'table' then
    local body = {}
    for name, value in each(BODY) do body[name] = value end
    for name, value in each(request.body) do body[name] = value end
    request.body = json.encode(body)
  end
  if request.body == nil and (request.method or 'POST') == 'POST' then request.body = json.encode(BODY) end
  request.headers = request.headers or {}
  request.headers.host = request.headers.host or 'localhost:8787'
  if request.headers.host == '' then request.headers.host = nil end
  return request
end

--- Runs the event loop until no event is left.
function Stage:run()
  loop.run(self.relay, self)
end

--- Sends several requests, each at its .at, and runs until all are over. Returns their exchanges.
function Stage:requests(...)
  local list = {}
  for index, request in ipairs { ... } do list[index] = fake.arrive(request.at or 0, fill(request)) end
  self:run()
  return unpack(list)
end

--- Returns the last access line of the log.
---@return table<string, string>? fields its values by key
---@return string? line
function Stage:line()
  for index = #self.lines, 1, -1 do
    if self.lines[index]:find ' exchange ' then
      local fields = {}
      for name, value in self.lines[index]:gmatch '([%w_]+)=(%S+)' do fields[name] = value end
      return fields, self.lines[index]
    end
  end
end

--- Counts the lines of the log that match a pattern.
---@param pattern string a Lua pattern
---@return integer
function Stage:count(pattern)
  local count = 0
  for _, line in ipairs(self.lines) do
    if line:find(pattern) then count = count + 1 end
  end
  return count
end

return M
