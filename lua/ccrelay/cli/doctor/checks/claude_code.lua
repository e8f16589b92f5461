-- SPDX-License-Identifier: Apache-2.0
-- Checks the settings of Claude Code of this user and its variables in this environment. Settings win over the
-- environment, as in Claude Code. There is no finding if Claude Code does not use a relay.
local address = require 'ccrelay.net.address'
local claude_settings = require 'ccrelay.cli.claude_settings'
local each = require 'ccrelay.util.each'
local file = require 'ccrelay.config.file'
local json = require 'ccrelay.util.json'
local relay_at = require 'ccrelay.cli.doctor.relay_at'

local URL, INIT = 'ANTHROPIC_BASE_URL', 'run ccrelay config cc init'
local CLOUDS = { 'CLAUDE_CODE_USE_BEDROCK', 'CLAUDE_CODE_USE_VERTEX', 'CLAUDE_CODE_USE_FOUNDRY' }
local AUTO_MODE = 'CLAUDE_CODE_AUTO_MODE_SERVER'

-- Reads the settings: a table, empty without a file; nil if the file is no JSON object.
local function settings_at(path)
  if not path or not file.exists(path) then return {} end
  local text, reason = file.read(path, { insecure = true })
  if not text then return nil, reason end
  if not text:find '%S' then return {} end
  local ok, settings = pcall(json.decode, text)
  if ok and type(settings) == 'table' then return settings end
  return nil, 'it is not valid JSON, so Claude Code ignores it'
end

-- Returns a function that gives the value of a variable and where it is set.
local function variables(path, settings)
  local env = type(settings.env) == 'table' and settings.env or {}
  return function(name)
    local value, where = env[name], path
    if value == nil then value, where = os.getenv(name), 'environment' end
    if value ~= nil and value ~= '' then return tostring(value), ('%s: %s'):format(where, name) end
  end
end

local function is_listening(doctor, url)
  for _, text in ipairs(doctor.generation.configuration.server.listen) do
    local listen = address.listen(text)
    if listen and listen.host and address.leads_to(url, listen) then return true end
  end
  return false
end

local function check_url(doctor, text, where)
  local url = address.url(text)
  if not url then return doctor:add(where, 'it is no http or https address', INIT) end
  if url.path:find '/v1$' or url.path:find '/v1/messages$' then
    doctor:add(where, 'it ends with ' .. url.path .. ', but Claude Code adds /v1/messages by itself', INIT)
  end
  if is_listening(doctor, url) or doctor.options.offline and url.host ~= 'api.anthropic.com' then return end
  if not relay_at.answers(doctor, url) then
    doctor:add(where, address.text(url) .. ' is not the address of this relay', INIT)
  end
end

local function check_clouds(doctor, get)
  for _, name in ipairs(CLOUDS) do
    local value, where = get(name)
    if value and value ~= '0' and value ~= 'false' then
      doctor:add(where, 'Claude Code asks this cloud directly and not the relay', 'remove ' .. name)
    end
  end
end

local function check_key(doctor, get, settings)
  local auth = doctor.generation.auth
  if auth.open then return end
  local token, token_where = get 'ANTHROPIC_AUTH_TOKEN'
  local key, key_where = get 'ANTHROPIC_API_KEY'
  if token or key then
    if not auth:identify(token and 'Bearer ' .. token, key) then
      doctor:add(token_where or key_where, 'the relay does not accept this key',
        'remove it and run ccrelay config cc init, or add the key to server.auth')
    end
  elseif not settings.apiKeyHelper and not doctor.generation.configuration.server.auth.allow_subscription then
    doctor:add(doctor.settings_path, 'Claude Code has no key for the relay, which asks for one', INIT)
  end
end

local function check_auto_mode(doctor, get, where)
  local providers = doctor.generation.providers
  for _, provider in ipairs(providers) do
    if provider:supports 'safeguards' then return end
  end
  if #providers > 0 and get(AUTO_MODE) ~= '0' then
    doctor:add(where, 'no provider takes safeguards, so auto mode refuses every action',
      ('set %s to 0 where Claude Code runs'):format(AUTO_MODE))
  end
end

local function check_environment(doctor, settings)
  local env = type(settings.env) == 'table' and settings.env or {}
  for name, value in each(env) do
    local other = name:find '^ANTHROPIC_' and os.getenv(name)
    if other and other ~= '' and other ~= value then
      doctor:add('environment: ' .. name, 'it differs from the value in settings.json, which wins', 'unset ' .. name)
    end
  end
end

return {
  order = 45,
  title = 'Claude Code',
  generation = true,
  run = function(doctor)
    local path = claude_settings.path(os.getenv)
    doctor.settings_path = path or 'settings.json'
    local settings, reason = settings_at(path)
    if not settings then return doctor:add(path, reason, 'correct it, or restore a copy from before') end
    local get = variables(path, settings)
    local url, where = get(URL)
    if not url then return end
    check_url(doctor, url, where)
    check_clouds(doctor, get)
    check_key(doctor, get, settings)
    check_auto_mode(doctor, get, where)
    check_environment(doctor, settings)
  end,
}
