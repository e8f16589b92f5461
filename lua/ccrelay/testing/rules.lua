-- SPDX-License-Identifier: Apache-2.0
-- Rules checks what the scripted C side is given as the C side does (runtime/codec/http1_scan.c, try.c,
-- answer.c); spec/contract_spec.lua asks both the same.
local M = {}

local HOP = {
  connection = true, ['keep-alive'] = true, te = true, trailer = true, upgrade = true, ['transfer-encoding'] = true,
  ['proxy-connection'] = true, ['proxy-authorization'] = true, ['proxy-authenticate'] = true,
}
local OWN = { host = true, ['content-length'] = true, ['accept-encoding'] = true } -- of a request

--- Whether text is a token of RFC 9110, section 5.6.2: a method or the name of a header.
---@param text string
---@return boolean
function M.is_token(text)
  return text:find "^[%w!#$%%&'*+.^_`|~-]+$" ~= nil
end

--- Whether text may be the value of a header.
---@param text string
---@return boolean
function M.is_value(text)
  return not text:gsub('\t', ''):find '[%z\1-\31\127]'
end

--- Whether text may be the target of a request: a path, with a query or without.
---@param text string
---@return boolean
function M.is_target(text)
  return text:sub(1, 1) == '/' and not text:find '[^!"$-~]'
end

local function is_header(name, value)
  return M.is_token(name) and M.is_value(value) and not HOP[name:lower()]
end

--- Whether an attempt may set a header.
---@param name string
---@param value string
---@return boolean
function M.may_send(name, value)
  return is_header(name, value) and not OWN[name:lower()]
end

--- Whether an answer may set a header.
---@param name string
---@param value string
---@return boolean
function M.may_answer(name, value)
  return is_header(name, value) and name:lower() ~= 'content-length'
end

return M
