-- SPDX-License-Identifier: Apache-2.0
-- Connects to a provider and sends it the request that its adapter declares as free of charge, once with each key. The
-- checks of reachability, certificates, keys and clock share the results.
local C = require 'ccrelay.c'
local call = require 'ccrelay.script.call'
local date = require 'ccrelay.util.date'
local each = require 'ccrelay.util.each'
local fetch = require 'ccrelay.net.fetch'
local key_scheme = require 'ccrelay.credentials.key'
local task = require 'ccrelay.sched.task'

local M = {}

local CONNECT_MS, ANSWER_MS, POLL_MS = 8000, 10000, 20
local ANY = { path = '/v1/models?limit=1' }

---@class ccrelay.ProbeAnswer
---@field key ccrelay.Key? nil: without one of its keys
---@field authenticated boolean whether the request had a credential
---@field declared boolean whether the adapter declares the request
---@field status integer? nil if no answer came
---@field failure string?
---@field body string?
---@field error_type string? x-amzn-errortype
---@field location string? of a redirect
---@field skew_ms number? how far the provider's clock is ahead of ours

---@class ccrelay.Probe
---@field connected boolean
---@field failure string?
---@field error integer? of the connection
---@field expires number when its certificates expire, ms since 1970; 0: unknown
---@field answers ccrelay.ProbeAnswer[]

-- A model that the entry names, by the name that is sent.
local function model_of(provider)
  local names = {}
  for _, model in each(provider.settings.model_mapping or {}) do names[#names + 1] = model end
  table.sort(names)
  return names[1] or (provider.settings.models or {})[1]
end

local function request_of(provider)
  local check = provider.adapter.check
  if not check then return ANY, false end
  local ok, request = pcall(call.adapter, check, provider.visible, model_of(provider))
  return ok and request or ANY, ok and request ~= nil
end

local function skew_of(answer, began, ended)
  local there = date.http(answer.header 'date' or '')
  if not there then return nil end
  if there < began and there + 1000 > began then return 0 end -- Date has whole seconds
  return there - (began + ended) / 2
end

local function send(provider, request, headers, signer)
  for name, value in each(request.headers or {}) do headers[name] = value end
  headers['anthropic-version'], headers.accept = '2023-06-01', 'application/json'
  if request.body then headers['content-type'] = 'application/json' end
  local began = C.cc_time()
  local answer, failure = fetch.send {
    url = provider:base_url() .. request.path, method = request.method, headers = headers, body = request.body,
    signer = signer, origin = provider:origin(task.relay()), timeout_ms = ANSWER_MS, answer_bytes = 1024 * 1024,
  }
  if not answer then return { failure = failure } end
  return {
    status = answer.status, body = answer.body, error_type = answer.header 'x-amzn-errortype',
    location = answer.header 'location', skew_ms = skew_of(answer, began, C.cc_time()),
  }
end

local function with_key(provider, request, key)
  local headers = {}
  key_scheme.apply({
    key = key.secret, credential = 'own', client_header = function() end,
    header = function(_, name, value) headers[name] = value end,
  }, nil, provider.adapter)
  local answer = send(provider, request, headers)
  answer.key, answer.authenticated = key, true
  return answer
end

local function signer_of(provider, value)
  return {
    access_key = value.access_key, secret_key = value.secret_key, session_token = value.session_token,
    region = provider.settings.aws_region, service = provider.adapter.service or 'bedrock',
  }
end

local function with_source(provider, request, value)
  local token = value.bearer or value.token
  local headers = { authorization = token and 'Bearer ' .. token or nil }
  if type(value.quota_project) == 'string' then headers['x-goog-user-project'] = value.quota_project end
  local answer = send(provider, request, headers, value.access_key and signer_of(provider, value) or nil)
  answer.authenticated = true
  return answer
end

local function ask(doctor, provider, probe)
  local request, declared = request_of(provider)
  local value = doctor.fetched and doctor.fetched[provider]
  local answers = probe.answers
  if declared and value then
    answers[1] = with_source(provider, request, value)
  elseif not provider.source then
    for index, key in ipairs(provider.keys) do answers[index] = with_key(provider, request, key) end
  end
  if #answers == 0 then answers[1] = send(provider, ANY, {}) end
  for _, answer in ipairs(answers) do answer.declared = declared end
end

local function make(doctor, provider, probe)
  local number, message = provider:origin(task.relay())
  if not number then
    probe.failure = message
    return
  end
  local facts
  probe.connected, probe.failure, facts = fetch.connect(number, CONNECT_MS)
  if facts then probe.error, probe.expires = facts.error, facts.expires end
  if probe.connected then ask(doctor, provider, probe) end
end

-- Probes all providers at once, so that many that do not answer take no longer than one.
local function make_all(doctor)
  local left = 0
  for _, provider in ipairs(doctor.generation.providers) do
    local probe = { connected = false, expires = 0, answers = {} }
    doctor.probes[provider], left = probe, left + 1
    task.start(function()
      make(doctor, provider, probe)
      left = left - 1
    end)
  end
  while left > 0 do task.sleep(POLL_MS) end
end

--- Returns the probe of a provider. The first call makes those of all. Must be called within a task.
---@param doctor ccrelay.Doctor
---@param provider ccrelay.Provider
---@return ccrelay.Probe
function M.of(doctor, provider)
  if not doctor.probes then
    doctor.probes = {}
    make_all(doctor)
  end
  return doctor.probes[provider]
end

return M
