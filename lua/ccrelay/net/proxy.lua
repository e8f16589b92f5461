-- SPDX-License-Identifier: Apache-2.0
-- Chooses the HTTP proxy for an upstream, by the usual environment variables and curl's rules.
local address = require 'ccrelay.net.address'
local base64 = require 'ccrelay.util.base64'
local texts = require 'ccrelay.util.text'

local M = {}

local DEFAULT_PORT = 1080

---@class ccrelay.Proxy
---@field host string
---@field port integer
---@field auth string value for Proxy-Authorization, or ""

local function parse(text, name)
  local scheme, rest = string.match(text, '^(%a[%w+.-]*)://(.*)$')
  rest = string.gsub(rest or text, '/+$', '')
  if scheme and string.lower(scheme) ~= 'http' then
    return nil, name .. ': only http proxies are supported, not ' .. string.lower(scheme)
  end
  local user, place = string.match(rest, '^(.*)@([^@]*)$')
  place = place or rest
  local ported = string.find(place, ':%d+$') and not string.find(place, '^[^%[]*:.*:') or string.find(place, '%]:%d+$')
  local url = address.url('http://' .. place .. (ported and '' or ':' .. DEFAULT_PORT))
  if not url or url.path ~= '' then return nil, name .. ' is not the address of an http proxy' end
  local auth = user and user ~= '' and 'Basic ' .. base64.encode(texts.unescape(user)) or ''
  return { host = url.host, port = url.port, auth = auth }
end

local function either(env, name)
  for _, variant in ipairs { string.lower(name), name } do
    local value = env(variant)
    if value and value ~= '' then return value, variant end
  end
  return nil
end

local function exempts(entry, host, port)
  if string.find(entry, '/', 1, true) then return address.within(host, entry) end
  local name, digits = string.match(entry, '^(%[?[%x:]*%]?.-):(%d+)$')
  if digits and not address.ipv6(entry) then
    if tonumber(digits) ~= port then return false end
    entry = name
  end
  entry = string.lower(string.gsub(string.gsub(entry, '^%[(.*)%]$', '%1'), '^%*?%.', ''))
  if entry == '' then return false end
  return host == entry or string.sub(host, -#entry - 1) == '.' .. entry
end

local function is_exempt(env, host, port)
  host = string.lower(string.gsub(host, '%.$', ''))
  if host == 'localhost' or address.reach(host) == 'loopback' then return true end
  local list = either(env, 'NO_PROXY')
  if not list then return false end
  for entry in string.gmatch(list, '[^%s,]+') do
    if entry == '*' or exempts(entry, host, port) then return true end
  end
  return false
end

--- Returns the proxy for an upstream: nil if there is none, nil and a message if the variable is malformed.
---@param url ccrelay.Url
---@param env fun(name: string): string?
---@return ccrelay.Proxy?
---@return string? message
function M.of(url, env)
  local value, name = either(env, url.scheme == 'https' and 'HTTPS_PROXY' or 'HTTP_PROXY')
  if not value then value, name = either(env, 'ALL_PROXY') end
  if not value or is_exempt(env, url.host, url.port) then return nil end
  return parse(value, name)
end

return M
