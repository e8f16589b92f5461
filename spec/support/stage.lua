-- SPDX-License-Identifier: Apache-2.0
-- A worker with a fake C side: providers NAME at http://NAME.test, requests in, answers out.
local fake = require 'support.fake_c'
local config = require 'ccrelay.config'
local generation = require 'ccrelay.generation'
local json = require 'ccrelay.json'
local loop = require 'ccrelay.loop'

local M = {}

local Stage = {}
Stage.__index = Stage

local ADAPTERS = {
  'anthropic', 'zai', 'minimax', 'ollama', 'azure', 'bedrock', 'vertex', 'mantle', 'claude_aws', 'claude_google',
}
local BODY = { model = 'claude-sonnet-4-5', max_tokens = 100, messages = { { role = 'user', content = 'hi' } } }

local function read(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read '*a'
  file:close()
  return text
end

M.read = read

local function scripts_with(more)
  local scripts = {}
  for _, name in ipairs(ADAPTERS) do
    local path = 'providers/' .. name .. '.lua'
    scripts[path] = read(path)
  end
  for path, text in pairs(more or {}) do scripts[path] = text end
  return scripts
end

local function no_variables() return nil end

--- Builds a generation: nil and texts of the faults when it has any.
---@param options table
---@return table? generation
---@return string? faults
function M.build(options)
  local function texts(faults)
    local list = {}
    for index, fault in ipairs(faults) do list[index] = tostring(fault) end
    return table.concat(list, '\n')
  end
  local scripts = scripts_with(options.scripts)
  local adapters, faults = generation.adapters(scripts)
  if not adapters then return nil, texts(faults) end
  local providers = options.providers or { { name = 'one', type = 'anthropic', keys = { { key = 'sk-one' } } } }
  for _, provider in ipairs(providers) do
    if provider.base_url == nil then provider.base_url = 'http://' .. provider.name .. '.test' end
    if provider.base_url == false then provider.base_url = nil end
  end
  local routing = options.routing or {}
  routing.strategy = routing.strategy or 'failover'
  local policy = 'policies/' .. routing.strategy .. '.lua'
  if not options.policy then scripts[policy] = scripts[policy] or read(policy) end
  local configuration
  configuration, faults = config.load {
    data = { server = options.server, providers = providers, routing = routing, health = options.health,
      logging = options.logging }, env = options.env or no_variables, adapters = adapters,
  }
  if not configuration then return nil, texts(faults) end
  local built
  built, faults = generation.build {
    configuration = configuration, adapters = adapters, scripts = scripts, env = options.env or no_variables,
    policy_text = options.policy, policy_path = options.policy and 'policy.lua',
  }
  return built, not built and texts(faults) or nil
end

--- A stage with a generation in force.
---@param options table?
function M.new(options)
  local state = fake.reset()
  local self = setmetatable({ state = state, relay = {}, replies = state.replies, lines = state.lines }, Stage)
  self:use(options or {})
  return self
end

--- Swaps the generation.
function Stage:use(options)
  self.current = assert(M.build(options))
end

--- What an upstream answers: a reply for each attempt in turn, the last one from then on.
function Stage:reply(host, ...)
  self.replies[host .. '.test'] = { ... }
end

local function fill(request)
  if type(request.body) == 'table' then
    local body = {}
    for name, value in pairs(BODY) do body[name] = value end
    for name, value in pairs(request.body) do body[name] = value end
    request.body = json.encode(body)
  end
  if request.body == nil and (request.method or 'POST') == 'POST' then request.body = json.encode(BODY) end
  request.headers = request.headers or {}
  request.headers.host = request.headers.host or 'localhost:8787'
  if request.headers.host == '' then request.headers.host = nil end
  return request
end

--- Runs until nothing is left to happen.
function Stage:run()
  loop.run(self.relay, self)
end

function Stage:generation()
  return self.current
end

--- Lets requests come in together, each at its .at: their exchanges when all are over.
function Stage:requests(...)
  local list = {}
  for index, request in ipairs { ... } do list[index] = fake.arrive(request.at or 0, fill(request)) end
  self:run()
  return unpack(list)
end

--- One request: its answer, and the exchange with .tries.
---@param request table?
function Stage:request(request)
  local exchange = self:requests(request or {})
  local answer = exchange.answer or {}
  answer.json = answer.body and json.decode(answer.body)
  return answer, exchange
end

--- The line of the log that tells of an exchange, the last one; what is in it as a table.
function Stage:line()
  for index = #self.lines, 1, -1 do
    if self.lines[index]:find ' exchange ' then
      local fields = {}
      for name, value in self.lines[index]:gmatch '([%w_]+)=(%S+)' do fields[name] = value end
      return fields, self.lines[index]
    end
  end
end

--- How many lines match a pattern.
function Stage:count(pattern)
  local count = 0
  for _, line in ipairs(self.lines) do
    if line:find(pattern) then count = count + 1 end
  end
  return count
end

M.advance = fake.advance
M.fresh = fake.fresh
M.post = fake.post
M.C = fake.C

return M
