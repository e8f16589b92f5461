-- SPDX-License-Identifier: Apache-2.0
-- Identifies clients by key, bearer token or subscription. It guarantees that every configured key is compared, by
-- digest and in constant time, whatever the client sent.
local C = require 'ccrelay.c'
local address = require 'ccrelay.net.address'
local clients = require 'ccrelay.limits.clients'
local date = require 'ccrelay.util.date'
local key_scheme = require 'ccrelay.credentials.key'
local memoize = require 'ccrelay.util.memoize'
local sha256 = require 'ccrelay.util.sha256'
local texts = require 'ccrelay.util.text'

---@class ccrelay.Client exchange.client
---@field kind 'open'|'key'|'bearer'|'subscription'
---@field name string? of the configured client
---@field group string? of that client
---@field passes boolean whether its credential goes to a transparent provider
---@field allowance ccrelay.Allowance? what a configured client may use

---@class ccrelay.AuthEntry
---@field digest string of the key
---@field kind 'key'|'bearer'
---@field name string? of the client, as the following fields
---@field group string?
---@field allowance ccrelay.Allowance?
---@field revoked boolean?
---@field ends number? ms since 1970 when the key expires

---@class ccrelay.Auth
---@field entries ccrelay.AuthEntry[]
---@field open boolean whether no key is needed
local Auth = {}
Auth.__index = Auth

local M = {}

local function add(entries, secret, kind)
  if type(secret) ~= 'string' or secret == '' then return end
  entries[#entries + 1] = { digest = sha256.of(secret), kind = kind }
end

local function bytes_of(hex)
  return (string.gsub(hex, '%x%x', function(digits) return string.char(tonumber(digits, 16)) end))
end

local function add_client(entries, settings)
  if settings.key == '' then return end
  local digest = settings.key_sha256 and bytes_of(settings.key_sha256) or sha256.of(settings.key)
  entries[#entries + 1] = {
    digest = digest, kind = 'key', name = settings.name, group = settings.group,
    allowance = clients.allowance(settings), revoked = settings.revoked ~= nil,
    ends = settings.expires and date.end_of(settings.expires),
  }
end

--- Prepares the rules of server.auth.
---@param rules table?
---@return ccrelay.Auth
function M.new(rules)
  rules = rules or {}
  local entries = {}
  local keys = rules.api_key or {}
  for _, key in ipairs(type(keys) == 'table' and keys or { keys }) do add(entries, key, 'key') end
  for _, settings in ipairs(rules.clients or {}) do add_client(entries, settings) end
  add(entries, rules.bearer_secret, 'bearer')
  return setmetatable({
    entries = entries,
    open = #entries == 0 and not rules.allow_bearer,
    any_bearer = #entries == 0 and rules.allow_bearer or false,
    subscription = rules.allow_subscription or false,
  }, Auth)
end

-- The entry with this secret. The time depends on the length of the secret alone.
function Auth:match(presented, bearer)
  if #self.entries == 0 then return nil end
  local seen = sha256.of(presented)
  local found
  for index = 1, #self.entries do
    local entry = self.entries[index]
    if sha256.equal(seen, entry.digest) and (bearer or entry.kind ~= 'bearer') then found = found or entry end
  end
  return found
end

--- The token of an Authorization: Bearer header, "" when it is none.
---@param value string?
---@return string
function M.bearer(value)
  if not value or not string.find(value, '^[Bb][Ee][Aa][Rr][Ee][Rr][ \t]') then return '' end
  return (texts.trim(string.sub(value, 8)))
end

local function client(kind, passes, entry)
  entry = entry or {}
  return { kind = kind, passes = passes, name = entry.name, group = entry.group, allowance = entry.allowance }
end

-- Why the key of an entry is not accepted any more.
local function over(entry)
  if entry.revoked then return string.format('the key of client "%s" has been revoked', entry.name) end
  if entry.ends and C.cc_time() >= entry.ends then
    return string.format('the key of client "%s" has expired', entry.name)
  end
  return nil
end

-- A client with none of the keys. presented: it has a credential of its own.
function Auth:without_key(token, presented)
  if self.subscription and key_scheme.is_subscription(token) then return client('subscription', true) end
  if self.any_bearer then return token ~= '' and client('bearer', true) or nil end
  if self.open then return client('open', presented) end
  return nil
end

--- Identifies the client by its credentials; nil when it may not use the relay.
---@param authorization string?
---@param api_key string?
---@return ccrelay.Client?
---@return string? reason why a known key is not accepted
function Auth:identify(authorization, api_key)
  local token, key = M.bearer(authorization), api_key or ''
  local by_token, by_key = self:match(token, true), self:match(key, false)
  if by_token and by_key and token ~= key then return nil end
  local entry = by_key or by_token
  if not entry then return self:without_key(token, (authorization or '') ~= '' or key ~= '') end
  local reason = over(entry)
  if reason then return nil, reason end
  return client(entry.kind, false, entry)
end

local function host_of(authority)
  return string.match(authority, '^%[([%x:.]+)%]:?%d*$') or string.match(authority, '^[^:]+$')
    or string.match(authority, '^([^:]+):%d*$')
end

local is_loopback = memoize.results(function(authority)
  local host = host_of(authority)
  if not host then return false end
  host = string.lower(string.gsub(host, '%.$', ''))
  return host == 'localhost' or address.reach(host) == 'loopback'
end)

--- Whether a Host header is a host with or without a port (RFC 9110, 7.2): a name, an IPv4 address or an IPv6
--- address in brackets.
---@param host string
---@return boolean
function M.is_authority(host)
  local name = host_of(host)
  return name ~= nil and string.find(name, '^[%w._~:-]+$') ~= nil
end

--- Whether Host and Origin name this machine. A listener without keys checks that, so that no web page whose own name
--- resolves to this machine can use the relay (DNS rebinding).
---@param host string?
---@param origin string?
---@return boolean
function M.is_local(host, origin)
  if not host or not is_loopback(host) then return false end
  local site = origin and string.match(origin, '^https?://([^/]*)$')
  return not origin or site ~= nil and is_loopback(site)
end

return M
