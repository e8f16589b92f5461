-- SPDX-License-Identifier: Apache-2.0
-- Checks names, values and targets as the C side does (runtime/codec/http1_scan.c, runtime/attempt/headers.c).
-- spec/product/contract_spec.lua compares both.
local M = {}

local HOP = {
  connection = true, ['keep-alive'] = true, te = true, trailer = true, upgrade = true, ['transfer-encoding'] = true,
  ['proxy-connection'] = true, ['proxy-authorization'] = true, ['proxy-authenticate'] = true,
}
local OWN = { host = true, ['content-length'] = true, ['accept-encoding'] = true } -- of a request

--- Tells whether text is a token (RFC 9110, section 5.6.2), as methods and names of headers are.
---@param text string
---@return boolean
function M.is_token(text)
  return text:find "^[%w!#$%%&'*+.^_`|~-]+$" ~= nil
end

--- Tells whether text may be the value of a header.
---@param text string
---@return boolean
function M.is_value(text)
  return not text:gsub('\t', ''):find '[%z\1-\31\127]'
end

--- Tells whether text may be the target of a request: a path, with or without a query.
---@param text string
---@return boolean
function M.is_target(text)
  return text:sub(1, 1) == '/' and not text:find '[^!"$-~]'
end

local function is_header(name, value)
  return M.is_token(name) and M.is_value(value) and not HOP[name:lower()]
end

--- Tells whether an attempt may set a header.
---@param name string
---@param value string
---@return boolean
function M.may_send(name, value)
  return is_header(name, value) and not OWN[name:lower()]
end

--- Tells whether an answer may set a header.
---@param name string
---@param value string
---@return boolean
function M.may_answer(name, value)
  return is_header(name, value) and name:lower() ~= 'content-length'
end

return M
