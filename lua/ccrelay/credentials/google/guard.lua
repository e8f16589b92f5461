-- SPDX-License-Identifier: Apache-2.0
-- Checks the addresses in a credentials file. It guarantees that a file from elsewhere cannot make the relay send
-- requests to any address it likes, only to Google, AWS, this machine, or for subject tokens to an https address.
local address = require 'ccrelay.net.address'

local M = {}

local TOKEN_HOSTS = {
  ['oauth2.googleapis.com'] = true, ['oauth2.mtls.googleapis.com'] = true, ['accounts.google.com'] = true,
  ['www.googleapis.com'] = true,
}

-- The hosts of a service: plain, regional, private, with mutual TLS.
local FORMS = {
  '^NAME%.googleapis%.com$', '^NAME%.[%w-]+%.googleapis%.com$', '^[%w-]+%.NAME%.googleapis%.com$',
  '^[%w-]+%-NAME%.googleapis%.com$', '^NAME%-[%w-]+%.p%.googleapis%.com$', '^NAME%.[%w-]+%.rep%.googleapis%.com$',
}

local function parse(text)
  local url = type(text) == 'string' and address.url((string.match(text, '^[^?#]*')))
  if not url or string.find(text, '[%s%c#]') then return nil end
  url.host = string.lower(url.host)
  return url
end

local function is_loopback(url)
  return url.host == 'localhost' or address.reach(url.host) == 'loopback'
end

local function is_service(host, name)
  for _, form in ipairs(FORMS) do
    if string.find(host, (string.gsub(form, 'NAME', name))) then return true end
  end
  return false
end

local function judge(name, text, allowed, what)
  local url = parse(text)
  if not url then return name .. ' is not an http or https address' end
  if is_loopback(url) or allowed(url) then return nil end
  return string.format('%s goes to %s://%s, which is refused: it must be %s', name, url.scheme, url.host, what)
end

--- Tells why an address must not be asked for tokens; nil if it may.
---@param name string the member of the file, for messages
---@param text any its value
---@return string?
function M.token(name, text)
  return judge(name, text, function(url) return url.scheme == 'https' and TOKEN_HOSTS[url.host] end,
    'https to oauth2.googleapis.com')
end

--- Tells why an address is not one of a service of Google; nil if it is.
---@param name string the member of the file, for messages
---@param text any its value
---@param service 'sts'|'iamcredentials'
---@return string?
function M.service(name, text, service)
  return judge(name, text, function(url) return url.scheme == 'https' and is_service(url.host, service) end,
    'https to ' .. service .. '.googleapis.com or one of its regional hosts')
end

--- Tells why an address is not one for generating access tokens; nil if it is.
---@param name string the member of the file, for messages
---@param text any its value
---@return string?
function M.impersonation(name, text)
  local message = M.service(name, text, 'iamcredentials')
  if message then return message end
  if string.find(text, '/serviceAccounts/[^/?]+:generateAccessToken$') then return nil end
  return name .. ' does not end in /serviceAccounts/ACCOUNT:generateAccessToken'
end

-- 169.254.0.0/16, fe80::/10, and the IPv6 address of AWS's metadata service.
local function is_local_link(host)
  local four, six = address.ipv4(host), address.ipv6(host)
  if four then return four[1] == 169 and four[2] == 254 end
  if not six then return false end
  return six[1] >= 0xfe80 and six[1] <= 0xfebf or host == 'fd00:ec2::254'
end

--- Tells why an address must not be asked for a subject token or metadata; nil if it may.
---@param name string the member of the file, for messages
---@param text any its value
---@return string?
function M.subject(name, text)
  return judge(name, text, function(url) return url.scheme == 'https' or is_local_link(url.host) end,
    'https, or http to this machine or a link-local metadata address')
end

--- Tells why an address is not one of AWS's Security Token Service; nil if it is.
---@param name string the member of the file, for messages
---@param text any its value
---@return string?
function M.aws(name, text)
  local function allowed(url)
    return url.scheme == 'https' and (string.find(url.host, '^sts%.[%w-]+%.amazonaws%.com$')
      or string.find(url.host, '^sts%.[%w-]+%.amazonaws%.com%.cn$') or url.host == 'sts.amazonaws.com')
  end
  return judge(name, text, allowed, 'https to sts.REGION.amazonaws.com')
end

return M
