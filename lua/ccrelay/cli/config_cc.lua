-- SPDX-License-Identifier: Apache-2.0
-- ccrelay config cc: makes Claude Code use the relay, and undoes that. It guarantees that no secret is written to the
-- settings of Claude Code: they name a command that prints the key.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local address = require 'ccrelay.net.address'
local claude_settings = require 'ccrelay.cli.claude_settings'
local client_key = require 'ccrelay.cli.client_key'
local config = require 'ccrelay.config'
local config_loader = require 'ccrelay.cli.config_loader'
local options = require 'ccrelay.cli.options'

local M = {}

local URL, HELPER = 'env.ANTHROPIC_BASE_URL', 'apiKeyHelper'
local PATH_BYTES = 4096
local codes = options.codes
local client = { name = 'client', type = 'text' }

--- The options of each sub-command.
M.verbs = {
  init = {
    config_loader.options[1], { name = 'url', type = 'text' }, client,
    { name = 'key', type = 'choice', of = { 'yes', 'no' } }, config_loader.options[2],
  },
  remove = {},
  key = { config_loader.options[1], client, config_loader.options[2] },
}

local function fail(verb, message, code)
  io.stderr:write(('ccrelay config cc %s: %s\n'):format(verb, message))
  return code or codes.failure
end

local function url_of(server, given)
  if given then
    local url = given:find '^https?://[^%s/]' and given:gsub('/+$', '')
    return url, '--url must begin with http:// or https://'
  end
  for _, where in ipairs(server.listen) do
    local url = address.client_url(where, server.tls ~= nil)
    if url and not url:find ':0$' then return url end
  end
  return nil, 'server.listen has no address with a port; give one with --url'
end

local function link_at(path)
  local out = ffi.new('char[?]', PATH_BYTES)
  local size = C.cc_file_link(path, out, PATH_BYTES)
  return size >= 0 and ffi.string(out, size) or nil
end

local function quoted(text)
  if text:find '^[%w/._-]+$' then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function absolute(path)
  return path:sub(1, 1) == '/' and path or link_at '/proc/self/cwd' .. '/' .. path
end

-- The command for apiKeyHelper, with the whole paths of this program and of its configuration.
local function helper(source, values)
  local words = { link_at '/proc/self/exe' or 'ccrelay', 'config', 'cc', 'key', '--config', absolute(source) }
  if values.client then words[#words + 1] = '--client=' .. values.client end
  if values.insecure_permissions then words[#words + 1] = '--insecure-permissions' end
  for index, word in ipairs(words) do words[index] = quoted(word) end
  return table.concat(words, ' ')
end

-- Tells whether to write apiKeyHelper; nil and a message when there is no key for it.
local function is_key_due(auth, values)
  local needed = client_key.is_needed(auth) and (values.client or not auth.allow_subscription)
  local due = values.key or (needed and 'yes' or 'no')
  if due == 'no' then return false end
  local key, message = client_key.of(auth, values.client)
  if not key then return nil, message end
  return true
end

local function settings_path()
  local path = claude_settings.path(os.getenv)
  return path, 'neither CLAUDE_CONFIG_DIR nor HOME is set'
end

-- Claude Code prefers these to apiKeyHelper.
local function warn(path)
  for _, name in ipairs { 'ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_API_KEY' } do
    local where = claude_settings.has(path, 'env.' .. name) and path
      or (os.getenv(name) or '') ~= '' and 'this environment'
    if where then
      io.stdout:write(('warning: %s is set in %s; Claude Code uses it instead of apiKeyHelper\n'):format(name, where))
    end
  end
end

local function tell(path, members, replaced, auth)
  io.stdout:write(path, ': set ', URL, members[2] and ' and ' .. HELPER or '', '\n')
  for _, name in ipairs(replaced) do
    io.stdout:write(name, ' had another value; ccrelay config cc remove puts it back\n')
  end
  if members[2] then return warn(path) end
  if client_key.is_needed(auth) then io.stdout:write('no key was set: Claude Code sends its own credential\n') end
end

function M.init(values)
  local configuration = config_loader.load(values, { only = { 'server' } })
  if not configuration then return codes.configuration end
  local server = configuration.server
  local url, no_url = url_of(server, values.url)
  if not url then return fail('init', no_url, codes.usage) end
  local due, no_key = is_key_due(server.auth, values)
  if due == nil then return fail('init', no_key, codes.usage) end
  local path, no_path = settings_path()
  if not path then return fail('init', no_path) end
  local members = { { path = URL, value = url } }
  if due then members[2] = { path = HELPER, value = helper(config.find(values.config), values) } end
  local replaced, message = claude_settings.init(path, members)
  if not replaced then return fail('init', message) end
  tell(path, members, replaced, server.auth)
  return codes.ok
end

function M.remove()
  local path, no_path = settings_path()
  if not path then return fail('remove', no_path) end
  local removed, message = claude_settings.remove(path)
  if removed == nil then return fail('remove', message) end
  io.stdout:write(path, removed and ': restored\n' or ': nothing to remove, config cc init has not written there\n')
  return codes.ok
end

function M.key(values)
  local configuration = config_loader.load(values, { only = { 'server' } })
  if not configuration then return codes.configuration end
  local key, message = client_key.of(configuration.server.auth, values.client)
  if not key then return fail('key', message) end
  io.stdout:write(key, '\n')
  return codes.ok
end

return M
