-- SPDX-License-Identifier: Apache-2.0
-- A client of the second relay: sends it what Claude Code might send, and asks the mock what arrived there.
local client_key = require 'ccrelay.cli.client_key'
local each = require 'ccrelay.util.each'
local fetch = require 'ccrelay.net.fetch'
local json = require 'ccrelay.util.json'
local mock = require 'ccrelay.cli.doctor.mock'
local model_table = require 'ccrelay.cli.model_table'
local task = require 'ccrelay.sched.task'
local stored_clients = require 'ccrelay.config.stored_clients'

local M = {}

local UP_MS, POLL_MS, ANSWER_MS = 8000, 30, 10000
local MOST_MODELS = 8
local SEEN = { 'content-type', 'retry-after', 'location' }
for name in each(mock.HEADERS) do SEEN[#SEEN + 1] = name end

---@class ccrelay.ContractAnswer
---@field status integer? nil if none came
---@field body string as far as it came
---@field headers table<string, string> those of the mock, content-type, retry-after, location
---@field failure string?

---@class ccrelay.ContractClient
---@field url string of the second relay
---@field mock_url string
---@field model string a model that is served
---@field key string? of server.auth
---@field credential table<string, string> headers
local Client = {}
Client.__index = Client

--- Sends a request.
---@param spec {method: string?, path: string, headers: table?, body: string?, timeout_ms: number?}
---@return ccrelay.ContractAnswer
function Client:send(spec)
  local headers = {}
  for name, value in each(self.credential) do headers[name] = value end
  for name, value in each(spec.headers or {}) do headers[name] = value end
  local answer, failure, part = fetch.send {
    url = self.url .. spec.path, method = spec.method, headers = headers, body = spec.body, direct = true,
    timeout_ms = spec.timeout_ms or ANSWER_MS, answer_bytes = 4 * 1024 * 1024,
  }
  if not answer then return { body = part or '', headers = {}, failure = failure } end
  local seen = {}
  for _, name in ipairs(SEEN) do seen[name] = answer.header(name) end
  return { status = answer.status, body = answer.body, headers = seen }
end

--- Returns a body for POST /v1/messages.
---@param text string of the user's message; "doctor:NAME" tells the mock how to answer
---@param members string? more members, each followed by a comma
---@return string
function Client:body(text, members)
  return ('{"model":"%s","max_tokens":16,%s"messages":[{"role":"user","content":"%s"}]}'):format(self.model,
    members or '', text)
end

--- Sends POST /v1/messages.
---@param body string
---@param more {headers: table?, query: string?, timeout_ms: number?}?
---@return ccrelay.ContractAnswer
function Client:post(body, more)
  more = more or {}
  local headers = { ['anthropic-version'] = '2023-06-01', ['content-type'] = 'application/json' }
  for name, value in each(more.headers or {}) do headers[name] = value end
  return self:send { method = 'POST', path = '/v1/messages?' .. (more.query or 'beta=true'), headers = headers,
    body = body, timeout_ms = more.timeout_ms }
end

--- Returns the last request that arrived at the mock.
---@return {path: string, query: string, headers: table<string, string>, body: string}
function Client:last()
  local answer = fetch.send { url = self.mock_url .. '/last', direct = true, answer_bytes = 4 * 1024 * 1024 }
  local ok, last = pcall(json.decode, answer and answer.body or '')
  return ok and last.path and last or { path = '', query = '', headers = {}, body = '' }
end

-- ---- Choosing what to ask for ------------------------------------------------------------------

local function models_of(generation)
  local models = {}
  for _, model in ipairs(model_table.models(generation)) do
    local name = model:gsub('%*', 'x')
    if #models < MOST_MODELS and model_table.row(generation, name) ~= 'none' then models[#models + 1] = name end
  end
  models[#models + 1] = mock.MODEL
  return models
end

local function key_of(auth)
  local first = (auth.clients or {})[1]
  return client_key.of(auth) or first and (first.key or stored_clients.made_up_key(first.name))
end

local function credentials_of(auth)
  local list = {}
  local key = key_of(auth)
  local is_bearer = key and auth.bearer_secret == key
  list[1] = is_bearer and { authorization = 'Bearer ' .. key } or { ['x-api-key'] = key or 'doctor-client' }
  if auth.allow_subscription then list[#list + 1] = { authorization = 'Bearer sk-ant-oat01-doctor' } end
  if not key and auth.allow_bearer then list[#list + 1] = { authorization = 'Bearer doctor' } end
  return list
end

local function is_up(self)
  for _ = 1, UP_MS / POLL_MS do
    if self:send({ path = '/health', timeout_ms = 500 }).status == 200 then return true end
    task.sleep(POLL_MS)
  end
  return false
end

--- Waits for the second relay, and finds a model and a credential that it serves. Must be called within a task.
---@param addresses ccrelay.SecondRelay
---@param generation ccrelay.Generation
---@return ccrelay.ContractClient? client
---@return string? message why there is none
function M.connect(addresses, generation)
  local self = setmetatable({ url = 'http://127.0.0.1:' .. addresses.port,
    mock_url = 'http://127.0.0.1:' .. addresses.mock_port, credential = {},
    key = key_of(generation.configuration.server.auth) }, Client)
  if not is_up(self) then return nil, 'the second relay did not start' end
  local answer
  for _, credential in ipairs(credentials_of(generation.configuration.server.auth)) do
    for _, model in ipairs(models_of(generation)) do
      self.model, self.credential = model, credential
      answer = self:post(self:body 'hello')
      if answer.status == 200 then return self end
    end
  end
  return nil, ('no request is served: %s %s'):format(answer.status or answer.failure, answer.body:sub(1, 300))
end

return M
