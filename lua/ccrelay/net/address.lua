-- SPDX-License-Identifier: Apache-2.0
-- Parses and compares addresses: those to listen on, and base URLs.
local bit = require 'bit'

local M = {}

---@class ccrelay.Address
---@field host string? without brackets; "localhost" is replaced by 127.0.0.1
---@field port integer?
---@field path string? of a unix socket
---@field proxied boolean? whether connections begin with a header of the PROXY protocol
---@field loopback boolean whether it cannot be reached from other machines

local LONGEST_HOST = 253
local LONGEST_SOCKET = 107

--- Returns the four bytes of a dotted IPv4 address, or nil.
---@param text string
---@return integer[]?
function M.ipv4(text)
  local bytes = { text:match '^(%d+)%.(%d+)%.(%d+)%.(%d+)$' }
  if #bytes == 0 then return nil end
  for i, digits in ipairs(bytes) do
    if #digits > 3 or digits:find '^0%d' or tonumber(digits) > 255 then return nil end
    bytes[i] = tonumber(digits)
  end
  return bytes
end

local function groups(text, out)
  if text == '' then return true end
  for group in (text .. ':'):gmatch '([^:]*):' do
    local last = M.ipv4(group)
    if last then
      out[#out + 1] = last[1] * 256 + last[2]
      out[#out + 1] = last[3] * 256 + last[4]
    elseif group:find '^%x%x?%x?%x?$' then
      out[#out + 1] = tonumber(group, 16)
    else
      return false
    end
  end
  return true
end

--- Returns the eight groups of an IPv6 address, or nil.
---@param text string
---@return integer[]?
function M.ipv6(text)
  if not text:find ':' then return nil end
  if text:find '%.' and not M.ipv4(text:match '[^:]*$') then return nil end
  local head, tail = text:match '^(.-)::(.*)$'
  local left, right = {}, {}
  if not groups(head or text, left) or not groups(tail or '', right) then return nil end
  local missing = 8 - #left - #right
  if head and missing < 1 or not head and missing ~= 0 then return nil end
  for _ = 1, missing do left[#left + 1] = 0 end
  for _, group in ipairs(right) do left[#left + 1] = group end
  return left
end

-- Returns a literal as groups of 16 bits, IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2), and whether it is IPv4.
local function bits_of(text)
  local four = M.ipv4(text)
  if four then return { 0, 0, 0, 0, 0, 0xffff, four[1] * 256 + four[2], four[3] * 256 + four[4] }, true end
  local six = M.ipv6(text)
  return six, six and table.concat(six, ' ', 1, 6) == '0 0 0 0 0 65535'
end

--- Whether an address is in a range in CIDR notation (RFC 4632, section 3.1; RFC 4291, section 2.3). IPv4 addresses
--- are only in IPv4 ranges.
---@param host string a literal without brackets; a name is in no range
---@param range string such as "10.0.0.0/8" or "fd00::/8"
---@return boolean
function M.within(host, range)
  local text, digits = range:match '^([^/]+)/(%d%d?%d?)$'
  if not text then return false end
  local wanted, wanted_is_four = bits_of(text)
  local found, found_is_four = bits_of(host)
  local size = tonumber(digits)
  if not wanted or not found or wanted_is_four ~= found_is_four or size > (found_is_four and 32 or 128) then
    return false
  end
  if found_is_four then size = size + 96 end
  for index = 1, 8 do
    local bits = math.min(math.max(size - (index - 1) * 16, 0), 16)
    if bit.rshift(bit.bxor(wanted[index], found[index]), 16 - bits) ~= 0 then return false end
  end
  return true
end

local function private4(a, b)
  if a == 127 then return 'loopback' end
  if a == 10 or a == 172 and bit.band(b, 240) == 16 or a == 192 and b == 168 or a == 169 and b == 254 then
    return 'private'
  end
  return 'public'
end

--- Returns 'loopback', 'private' or 'public' for a literal, nil for a name.
---@param host string
---@return string?
function M.reach(host)
  local four = M.ipv4(host)
  if four then return private4(four[1], four[2]) end
  local six = M.ipv6(host)
  if not six then return nil end
  local zeros = six[1] + six[2] + six[3] + six[4] + six[5] == 0
  if zeros and six[6] == 0 and six[7] == 0 and six[8] == 1 then return 'loopback' end
  if zeros and six[6] == 0xffff then return private4(bit.rshift(six[7], 8), bit.band(six[7], 255)) end
  if bit.band(six[1], 0xfe00) == 0xfc00 or bit.band(six[1], 0xffc0) == 0xfe80 then return 'private' end
  return 'public'
end

-- Returns the numbers of an address, so that two spellings of the same address are equal; nil for a name.
local function numbers(host)
  local four, six = M.ipv4(host), M.ipv6(host)
  if six and six[1] + six[2] + six[3] + six[4] + six[5] == 0 and six[6] == 0xffff then
    four = { bit.rshift(six[7], 8), bit.band(six[7], 255), bit.rshift(six[8], 8), bit.band(six[8], 255) }
  end
  return four and table.concat(four, '.') or six and table.concat(six, ':')
end

local EVERY = { ['0.0.0.0'] = '127.0.0.1', ['0:0:0:0:0:0:0:0'] = '0:0:0:0:0:0:0:1' } -- and where connecting to it leads

local function is_localhost(name)
  name = name:lower():gsub('%.$', '')
  return name == 'localhost' or name:find '%.localhost$' ~= nil
end

--- Whether a connection to a URL certainly reaches a listener. Other names of this machine and the addresses of its
--- interfaces are not known here.
---@param url ccrelay.Url
---@param listen ccrelay.Address
---@return boolean
function M.leads_to(url, listen)
  if not listen.port or listen.port == 0 or url.port ~= listen.port then return false end
  local there, own = numbers(url.host), numbers(listen.host)
  if not there then return is_localhost(url.host) and (listen.loopback or EVERY[own] ~= nil) end
  there = EVERY[there] or there
  return there == own or EVERY[own] ~= nil and M.reach(url.host) == 'loopback' or there == EVERY[own]
end

local function port_of(digits)
  local port = #digits <= 5 and digits:find '^%d+$' and not digits:find '^0%d' and tonumber(digits)
  return port and port <= 65535 and port or nil
end

local function read_address(text)
  local path = text:match '^unix:(.+)$'
  if path then
    if path:sub(1, 1) ~= '/' or #path > LONGEST_SOCKET then return nil end
    return { path = path, loopback = true }
  end
  local host, digits = text:match '^%[([%x:.]+)%]:(%d+)$'
  if host and not M.ipv6(host) then return nil end
  if not host then
    host, digits = text:match '^([^:]+):(%d+)$'
    if host == 'localhost' then host = '127.0.0.1' end
    if not host or not M.ipv4(host) then return nil end
  end
  local port = port_of(digits)
  if not port then return nil end
  return { host = host, port = port, loopback = M.reach(host) == 'loopback' }
end

--- Reads "host:port", "[v6]:port" or "unix:/path", and " proxy_protocol" behind it.
---@param text string
---@return ccrelay.Address? address nil if it is none of these
function M.listen(text)
  local where = text:match '^(%S+) +proxy_protocol$'
  local found = read_address(where or text)
  if found and where then found.proxied = true end
  return found
end

--- Returns the URL at which a client on this machine reaches a listener.
---@param where string "host:port" or "[v6]:port"
---@param tls boolean whether it serves https
---@return string? url nil if it has no port, like a Unix socket, or if clients need a proxy to reach it
function M.client_url(where, tls)
  local place = M.listen(where)
  if not place or not place.host or place.proxied then return nil end
  local host = place.host
  if host == '0.0.0.0' then host = '127.0.0.1' elseif host == '::' then host = '::1' end
  if host:find(':', 1, true) then host = '[' .. host .. ']' end
  return ('%s://%s:%d'):format(tls and 'https' or 'http', host, place.port)
end

local function host_name(host)
  if #host > LONGEST_HOST or host:find '%.%.' or host:find '^[.-]' then return false end
  local last = host:match '([^.]+)%.?$'
  return host:find '^[%w._-]+$' ~= nil and not last:find '^%d+$' and not last:find '^0[xX]%x*$'
end

---@class ccrelay.Url
---@field scheme string
---@field host string without brackets
---@field port integer
---@field path string without a trailing slash

local PORTS = { http = 80, https = 443 }

--- Formats a URL, without the default port of its scheme.
---@param url ccrelay.Url
---@return string
function M.text(url)
  local host = url.host:find(':', 1, true) and '[' .. url.host .. ']' or url.host
  local port = url.port ~= PORTS[url.scheme] and ':' .. url.port or ''
  return ('%s://%s%s%s'):format(url.scheme, host, port, url.path)
end

--- Reads an http or https URL without user, query and fragment.
---@param text string
---@return ccrelay.Url? url nil when it is not one
function M.url(text)
  local scheme, rest = text:match '^([hH][tT][tT][pP][sS]?)://([^%s%c?#]+)$'
  if not scheme then return nil end
  scheme = scheme:lower()
  local authority, path = rest:match '^([^/]*)(.*)$'
  local host, tail = authority:match '^%[([%x:.]+)%](.*)$'
  if host and not M.ipv6(host) then return nil end
  if not host then
    host, tail = authority:match '^([^:@]+)(.*)$'
    if not host or not M.ipv4(host) and not host_name(host) then return nil end
  end
  local port = tail == '' and PORTS[scheme] or tail:sub(1, 1) == ':' and port_of(tail:sub(2))
  if not port or port == 0 then return nil end
  return { scheme = scheme, host = host, port = port, path = (path:gsub('/+$', '')) }
end

return M
