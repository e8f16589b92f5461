-- SPDX-License-Identifier: Apache-2.0
-- Runs a policy against simulated requests on the scripted C side, for ccrelay check. It opens no socket and asks no
-- provider. It loads the library anew, so the process must do nothing else.
local each = require 'ccrelay.util.each'

local M = {}

local CLASSES = { 'main', 'subagent', 'workflow', 'compaction', 'auxiliary', 'side_reply' }
local MOST_ERRORS = 8 -- bounds the time, as each error may be a script that ran into its deadline
local MODEL = 'claude-sonnet-4-5'
local OVERLOADED = '{"type":"error","error":{"type":"overloaded_error","message":"made up"}}'

-- Unloads the library except its C side, which the scripted one uses for functions that only compute.
local function forget_library()
  for name in each(package.loaded) do
    if name:find '^ccrelay' and name ~= 'ccrelay.c' then package.loaded[name] = nil end
  end
end

-- The headers of a client that authenticates: a key of the configuration, else a credential of its own.
local function credential_of(auth)
  local client = (auth.clients or {})[1]
  local key = (auth.api_key or {})[1] or client and client.key
  if key then return { ['x-api-key'] = key } end
  local bearer = (auth.bearer_secret or '') ~= '' and auth.bearer_secret or 'sk-ant-oat01-made-up'
  return { authorization = 'Bearer ' .. bearer }
end

local function request(auth, model, class, stream)
  local headers = credential_of(auth)
  headers['x-claude-code-request-class'] = class
  return { headers = headers, body = { model = model, stream = stream } }
end

local function requests(generation)
  local auth = generation.configuration.server.auth or {}
  local list = {
    { 'a plain request', request(auth, MODEL) }, { 'a stream', request(auth, MODEL, nil, true) },
    { 'a request for an unknown model', request(auth, 'made-up-model') },
  }
  for _, class in ipairs(CLASSES) do
    list[#list + 1] = { 'a request of class ' .. class, request(auth, MODEL, class) }
  end
  return list
end

-- Returns a logger that keeps each error of a script once and writes nothing, and a function to call before each
-- request: it returns false after MOST_ERRORS errors.
local function recorder(faults, real)
  local seen, at, count = {}, nil, 0
  local function nothing() end
  local logger = setmetatable({ line = nothing, writes = nothing, body = nothing, outcome = nothing },
    { __index = real })
  function logger.say(_, level, message)
    local text = level == 'error' and message:match '^script error: (.*)$'
    count = count + (text and 1 or 0)
    if not text or seen[text] then return end
    seen[text] = true
    local file, line, rest = text:match '^([^\n]-):(%d+): (.*)$'
    faults[#faults + 1] = { file = file, line = tonumber(line), path = '', message = ('%s (with %s)'):format(
      rest or text, at) }
  end
  local function begin(what)
    at = what
    return count < MOST_ERRORS
  end
  return logger, begin
end

local function fail_everywhere(stage, generation)
  for _, provider in ipairs(generation.providers) do
    stage.replies[provider.base.host] = { { status = 529, body = OVERLOADED } }
  end
end

local function play(stage, generation)
  local faults = {}
  local logger, begin = recorder(faults, generation.logger)
  generation.logger = logger
  stage:put_in_force(generation)
  for _, fails in ipairs { false, true } do
    if fails then fail_everywhere(stage, generation) end
    for _, entry in ipairs(requests(generation)) do
      if not begin(entry[1] .. (fails and ' while all providers fail' or '')) then return faults end
      stage:requests(entry[2])
    end
  end
  return faults
end

--- Runs the policy of a bundle against simulated requests: plain, a stream, one of each class of Claude Code; once with
--- providers that answer and once with providers that fail.
---@param bundle ccrelay.Bundle
---@param options ccrelay.RunOptions
---@return boolean ok
---@return ccrelay.Fault[] faults the errors of scripts, without repetitions
function M.run(bundle, options)
  forget_library()
  local stages = require 'ccrelay.testing.stage'
  local stage = stages.empty()
  local generation, faults = require('ccrelay.generation.bundle').build(bundle, options)
  if not generation then return false, faults end
  local auth = generation.configuration.server.auth
  if auth then
    require('ccrelay.config.stored_clients').make_up_keys(auth)
    generation.auth = require('ccrelay.exchange.client_auth').new(auth)
  end
  faults = play(stage, generation)
  return #faults == 0, faults
end

return M
