-- SPDX-License-Identifier: Apache-2.0
-- Writes and reads errors in the shape of the Messages API: the type for a status, the status for a type, the body.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local html_text = require 'ccrelay.util.html_text'
local slice = require 'ccrelay.util.slice'
local texts = require 'ccrelay.util.text'

local M = {}

--- Returns the error type for an HTTP status.
---@param status integer
---@return string
function M.type_of(status)
  return ffi.string(C.cc_api_error_type(status))
end

--- Returns the HTTP status for an error type; 500 for an unknown one.
---@param kind string
---@return integer
function M.status_of(kind)
  return C.cc_api_error_status(kind, #kind)
end

--- Returns what an upstream gave as the type of an error if it is fit to be one. Other texts may quote the request.
---@param text string
---@return string? kind nil if it is not fit
function M.kind(text)
  return C.cc_api_error_is_type(text, #text) and text or nil
end

--- Tells whether the Messages API defines an error type.
---@param kind string
---@return boolean
function M.is_defined(kind)
  return M.type_of(M.status_of(kind)) == kind
end

--- Returns the data of the first error event of a body that is an event stream.
---@param body string
---@return string? data nil when there is none
function M.data(body)
  return C.cc_api_error_data(body, #body, slice.out, slice.out_size) == C.CC_OK and slice.taken() or nil
end

--- Returns an error body as JSON text.
---@param kind string
---@param message string
---@param request_id string
---@param error_code string? details.error_code, by which the SDKs tell errors of one status apart
---@return string
function M.body(kind, message, request_id, error_code)
  local details = error_code and ',"details":{"error_code":' .. json.quote(error_code) .. '}' or ''
  return '{"type":"error","error":{"type":' .. json.quote(kind) .. ',"message":' .. json.quote(message)
    .. details .. '},"request_id":' .. json.quote(request_id) .. '}'
end

--- Returns the error object of a decoded body in Anthropic's shape, or nil if it has another shape.
---@param value any
---@return { type: string, message: string, details: table? }?
function M.shaped(value)
  if type(value) ~= 'table' or value.type ~= 'error' then return nil end
  local inner = value.error
  if type(inner) == 'table' and type(inner.type) == 'string' and type(inner.message) == 'string' then return inner end
  return nil
end

local function message_in(value)
  if type(value) ~= 'table' then return nil end
  for _, key in ipairs { 'message', 'Message', 'error_description', 'detail', 'msg', 'status_msg' } do
    if type(value[key]) == 'string' and value[key] ~= '' then return value[key] end
  end
  return nil
end

--- Returns the message of an error body of any shape, unchanged. Of an HTML page it returns the visible text, of
--- any other body the body itself.
---@param value any the decoded body; nil if it is not JSON
---@param text string the body
---@return string
function M.message_of(value, text)
  if type(value) == 'table' then
    if type(value[1]) == 'table' then value = value[1] end
    local inner = message_in(value.error) or message_in(value) or message_in(value.base_resp)
      or (type(value.error) == 'string' and value.error ~= '' and value.error) or nil
    if inner then return inner end
  end
  return html_text.words(texts.trim(text))
end

--- Tells whether a response header of an upstream's error is passed on to the client.
---@param name string in lower case
---@return boolean
function M.travels(name)
  return name == 'x-should-retry' or string.sub(name, 1, 10) == 'anthropic-'
end

--- Tells whether a body has a Content-Encoding, so that its text cannot be read here.
---@param headers table<string, string?> names in lower case
---@return boolean
function M.is_encoded(headers)
  local encoding = headers['content-encoding']
  return encoding ~= nil and string.lower(encoding) ~= 'identity'
end

--- Returns the message for a client about an upstream's error: the upstream's own, or one of the relay if it has none.
---@param outcome ccrelay.Outcome
---@return string
function M.told_message(outcome)
  local message = M.is_encoded(outcome.headers) and '' or M.message_of(outcome.decoded, outcome.body or '')
  if message ~= '' then return message end
  return string.format('provider "%s" answered %d without a body', outcome.upstream.provider, outcome.status)
end

return M
