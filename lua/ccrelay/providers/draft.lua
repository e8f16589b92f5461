-- SPDX-License-Identifier: Apache-2.0
-- The request of one attempt, which the adapter and the credential scheme write: target, headers, edits of the body.
local C = require 'ccrelay.c'
local call = require 'ccrelay.script.call'
local base64 = require 'ccrelay.util.base64'
local each = require 'ccrelay.util.each'
local deep_copy = require 'ccrelay.script.deep_copy'
local handle = require 'ccrelay.script.handle'
local features = require 'ccrelay.providers.features'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local signer = require 'ccrelay.net.signer'
local slice = require 'ccrelay.util.slice'
local wait = require 'ccrelay.sched.wait'

---@class ccrelay.Request
---@field model string? model name to send
---@field original_model string? model name that the client sent
---@field stream boolean whether the client wants a stream
---@field endpoint 'messages'|'count_tokens'|'passthrough' what is requested
---@field path string the client's path
---@field query string the client's query, without '?'
---@field base string path of the base address, without a trailing slash
---@field settings table the provider's entry in the configuration
---@field package features integer enum cc_feature
---@field package beta_header string? the value of anthropic-beta that the adapter has set
---@field key string? the relay's own key for this attempt
---@field credential 'own'|'client'|'adapter' whose credential is sent
---@field max_tokens number 0 if absent
local Request = {}
Request.__index = Request
Request.__metatable = false

local M = {}

local value_slice = ffi.new 'struct cc_slice'

local function must(self, code, what)
  if code == C.CC_OK then return end
  if wait.is_over(code) then wait.vanish(self.exchange) end
  error(what .. ': ' .. ffi.string(C.cc_error_text(code)), 3)
end

--- Returns the client's header, or nil.
---@param name string
---@return string?
function Request:client_header(name)
  return self.exchange.header[name]
end

--- Sets path and query, from the leading slash on.
---@param target string
function Request:target(target)
  must(self, C.cc_attempt_target(self.relay, self.handle, self.number, target, #target), 'the target of the request')
end

---@param method string
function Request:method(method)
  must(self, C.cc_attempt_method(self.relay, self.handle, self.number, method, #method), 'the method of the request')
end

--- Sets a header, in place of the client's; "" drops the client's.
---@param name string
---@param value string
function Request:header(name, value)
  if string.lower(name) == 'anthropic-beta' then self.beta_header = value end
  local code = C.cc_attempt_header(self.relay, self.handle, self.number, name, #name, value, #value)
  must(self, code, 'the header "' .. name .. '"')
end

--- Sets a top-level member of the body to JSON text.
---@param field string
---@param text string
function Request:set_json(field, text)
  local code = C.cc_attempt_set(self.relay, self.handle, self.number, field, #field, text, #text)
  must(self, code, 'the member "' .. field .. '"')
end

--- Sets a top-level member of the body to a value.
---@param field string
---@param value string|number|boolean|table
function Request:set(field, value)
  self:set_json(field, json.encode(value))
end

--- Removes the members of the body at a path, if any: names joined by ".", with "[]" after a name for every
--- item of that array ("messages[].content[].cache_control").
---@param path string
function Request:remove(path)
  local code = C.cc_attempt_remove(self.relay, self.handle, self.number, path, #path)
  if code ~= C.CC_ENOTFOUND then must(self, code, 'the member "' .. path .. '"') end
end

--- Returns whether the client's body has a feature: pdf, image_url, tool_forced, safeguards, cache_scope.
---@param feature string
---@return boolean
function Request:has(feature)
  return features.has(self.features, feature)
end

local function take(self, code, what)
  must(self, code, what)
  return (slice.taken())
end

--- Returns the body with all edits so far.
---@return string
function Request:edited()
  local code = C.cc_attempt_body(self.relay, self.handle, self.number, slice.out, slice.out_size)
  return take(self, code, 'the body of the request')
end

--- Sends another body instead of the client's: earlier edits have no effect, later ones are refused.
---@param text string
function Request:replace(text)
  must(self, C.cc_attempt_replace(self.relay, self.handle, self.number, text, #text), 'the body of the request')
end

--- Returns a JSON object's text without the members at a path (as in remove); all other bytes stay.
---@param text string
---@param path string
---@return string
function Request:without(text, path)
  local code = C.cc_json_without(text, #text, path, #path, slice.out, slice.out_size)
  return take(self, code, 'the member "' .. path .. '"')
end

--- Returns the base64 of bytes, with padding.
---@param text string
---@return string
function Request:base64(text) -- luacheck: no unused args
  return (base64.encode(text))
end

local signer_spec = ffi.new 'struct cc_signer'

--- Signs the request (AWS Signature Version 4) each time it is sent.
---@param from ccrelay.Signer
function Request:sign(from)
  signer.fill(signer_spec, from)
  must(self, C.cc_attempt_sign(self.relay, self.handle, self.number, signer_spec), 'the AWS credentials')
end

--- Returns the JSON text of the client's member at a dotted path, or nil.
---@param path string
---@return string?
function Request:raw(path)
  local code = C.cc_request_field(self.relay, self.handle, path, #path, value_slice)
  return code == C.CC_OK and slice.text(value_slice) or nil
end

--- Returns the client's body.
---@return string
function Request:body()
  local code = C.cc_request_body(self.relay, self.handle, value_slice)
  return code == C.CC_OK and slice.text(value_slice) or ''
end

--- Puts model into the body if it differs from the client's.
function Request:rename()
  if self.model and self.model ~= self.original_model then self:set('model', self.model) end
end

--- Sets the client's path and query on the base address, and renames the model. This is the default
--- for adapters without prepare.
function Request:pass()
  local query = self.query ~= '' and '?' .. self.query or ''
  self:target(self.base .. self.path .. query)
  self:rename()
end

local SHOWN = {}
for _, name in ipairs {
  'model', 'original_model', 'stream', 'endpoint', 'path', 'query', 'base', 'key', 'credential', 'max_tokens',
} do SHOWN[name] = true end

local shown = {} -- methods by name

local function text_of(name, value)
  local kind = type(value)
  if kind ~= 'string' and kind ~= 'number' then error('request:' .. name .. ' takes strings', 0) end
  return tostring(value)
end

local function texts(name, count, value, ...)
  if count == 0 then return end
  return text_of(name, value), texts(name, count - 1, ...)
end

local function request_of(value, name)
  return handle.object(value, 'request') or error('request:' .. name .. ' must be called on a request', 0)
end

for name, method in each(Request) do
  if type(method) == 'function' and name ~= 'set' and name ~= 'sign' then
    shown[name] = call.library(function(self, ...)
      local request = request_of(self, name)
      return method(request, texts(name, select('#', ...), ...))
    end)
  end
end

shown.sign = call.library(function(self, from)
  local keys, request = deep_copy.plain(from), request_of(self, 'sign')
  for _, name in ipairs { 'access_key', 'secret_key', 'region', 'service' } do
    text_of('sign', handle.member(keys, name))
  end
  return request:sign(keys)
end)

function shown:set(name, value)
  return shown.set_json(self, name, json.encode(value))
end

handle.define('request', Request, function(self, name)
  if shown[name] then return shown[name] end
  if name == 'settings' then return self.upstream.key.provider.visible end
  return SHOWN[name] and self[name] or nil
end)

--- Makes the request of an attempt.
---@param exchange ccrelay.Exchange
---@param number integer the number of the attempt, from cc_attempt_begin
---@param upstream ccrelay.Upstream
---@return ccrelay.Request
function M.new(exchange, number, upstream)
  local key = upstream.key
  return (setmetatable({
    exchange = exchange, upstream = upstream, relay = exchange.relay, handle = exchange.handle, number = number,
    model = upstream.model or nil, original_model = exchange.original_model, stream = exchange.stream,
    endpoint = exchange.endpoint, path = exchange.path, query = exchange.query, base = key.provider.base.path,
    settings = key.provider.settings, features = exchange.feature_bits, max_tokens = exchange.max_tokens,
    key = key.secret, credential = upstream.credential,
  }, Request))
end

return M
