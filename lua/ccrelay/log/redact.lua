-- SPDX-License-Identifier: Apache-2.0
-- Removes secrets from text that goes to a log or an error: those of the configuration, and whatever looks like one.
local each = require 'ccrelay.util.each'
local memoize = require 'ccrelay.util.memoize'

local M = {}

local HIDDEN = '[redacted]'
local SHORTEST = 8
local SECRET_NAMES = { key = true, api_key = true, token = true, bearer_secret = true }

local function is_secret_name(name)
  return SECRET_NAMES[name] or string.find(name, 'secret', 1, true) or string.find(name, '_token', 1, true)
    or string.find(name, 'access_key', 1, true)
end

local function collect(value, name, secrets)
  if type(value) == 'table' then
    for key, member in each(value) do
      collect(member, type(key) == 'string' and key or name, secrets)
    end
  elseif type(value) == 'string' and #value >= SHORTEST and name and is_secret_name(name) then
    secrets[#secrets + 1] = value
  end
end

-- Values of headers, word by word: what follows "Bearer" is the secret.
local function collect_words(headers, secrets)
  for _, value in each(headers) do
    for word in string.gmatch(value, '%S+') do secrets[#secrets + 1] = #word >= SHORTEST and word or nil end
  end
end

-- Longest first: if one secret is the beginning of another, the end of the longer one must not remain.
local function by_size(a, b)
  return #a > #b
end

local function cut(text, secret)
  local from, out = 1, nil
  while true do
    local first, last = string.find(text, secret, from, true)
    if not first then break end
    out = (out or '') .. string.sub(text, from, first - 1) .. HIDDEN
    from = last + 1
  end
  return out and out .. string.sub(text, from) or text
end

local function scheme(word, space)
  return word .. space .. HIDDEN
end

--- Replaces whatever looks like a secret.
---@param text string
---@return string
function M.looks(text)
  if string.find(text, 'sk-', 1, true) then text = string.gsub(text, 'sk%-[%w_%-]+', HIDDEN) end
  if string.find(text, '[Bb][Ee][Aa][Rr][Ee][Rr]') then
    text = string.gsub(text, '([Bb][Ee][Aa][Rr][Ee][Rr])(%s+)[%w%._~%+/=%-]+', scheme)
  end
  if string.find(text, '=', 1, true) then
    text = string.gsub(text, '([Tt][Oo][Kk][Ee][Nn])(=)[^%s&"\']+', scheme)
    text = string.gsub(text, '([Kk][Ee][Yy])(=)[^%s&"\']+', scheme)
    text = string.gsub(text, '([Ss][Ee][Cc][Rr][Ee][Tt])(=)[^%s&"\']+', scheme)
  end
  return text
end

local function is_clean(text, result)
  return text == result
end

--- Makes a filter that removes the secrets of a configuration. It caches texts that have none.
---@param configuration table
---@return fun(text: string): string
function M.new(configuration)
  local secrets = {}
  collect(configuration.server and configuration.server.auth or {}, nil, secrets)
  for _, provider in ipairs(configuration.providers or {}) do collect(provider, nil, secrets) end
  collect(configuration.admin or {}, nil, secrets)
  collect_words(configuration.traces and configuration.traces.headers or {}, secrets)
  table.sort(secrets, by_size)
  return memoize.results(function(text)
    for index = 1, #secrets do text = cut(text, secrets[index]) end
    return M.looks(text)
  end, is_clean)
end

return M
