-- SPDX-License-Identifier: Apache-2.0
-- Warns of values that are valid but most likely a mistake, such as notations of other tools.
local lists = require 'ccrelay.util.lists'

local M = {}

local KEY_FORMS = {
  { '^%$[%a_][%w_]*$', 'write variables as ${NAME}; now this text itself is the key' },
  { '^os%.environ/', 'write variables as ${NAME}; now this text itself is the key' },
  { '^".*"$', 'the quotes are part of the key; remove them here or in the variable' },
  { "^'.*'$", 'the quotes are part of the key; remove them here or in the variable' },
}

local function check_key(self, value, path)
  for _, form in ipairs(type(value) == 'string' and KEY_FORMS or {}) do
    if value:find(form[1]) then return self:warn(path, form[2]) end
  end
end

local function check_clients(self, configuration)
  local auth, admin = configuration.server.auth or {}, configuration.admin or {}
  for i, key in ipairs(auth.api_key or {}) do check_key(self, key, ('server.auth.api_key[%d]'):format(i - 1)) end
  for i, client in ipairs(auth.clients or {}) do
    check_key(self, client.key, ('server.auth.clients[%d].key'):format(i - 1))
  end
  check_key(self, auth.bearer_secret, 'server.auth.bearer_secret')
  check_key(self, admin.token, 'admin.token')
end

-- If a provider does not authenticate with keys, a key only carries limits and a priority.
local function is_sent(self, configuration, path)
  local number = path:match '^providers%[(%d+)%]%.keys%['
  local provider = number and configuration.providers[tonumber(number) + 1]
  if not provider then return true end
  local scheme = (self.adapters[provider.type] or {}).credentials
  return (type(scheme) ~= 'string' or scheme == 'key') and provider.azure_auth ~= 'entra_id'
end

--- Warns of the first secret that is written out, in a file that everybody can read.
---@param self ccrelay.Check
---@param configuration table
function M.check_literals(self, configuration)
  for _, path in ipairs(self.literals) do
    if is_sent(self, configuration, path) then
      return self:warn(path,
        'is a secret in a file that everybody can read; run chmod o-r, or write ${NAME} and set that variable')
    end
  end
end

-- An adapter that derives its base address from base_url may accept any path.
local function check_url(self, provider, path)
  local base = (provider.base_url or ''):gsub('/+$', '')
  local ending = base:match '/v1/messages$' or base:match '/v1$'
  local adapter = self.adapters[provider.type] or {}
  if not ending or ending == '/v1' and adapter.base_url then return end
  self:warn(path .. '.base_url', ('requests go to %s/v1/messages; remove "%s" here'):format(base, ending))
end

local function check_name(self, name, path)
  if name:find '%*.' then
    self:warn(path, ('"*" is a wildcard only at the end of a name, so "%s" is taken literally'):format(name))
  end
end

local function check_names(self, provider, path)
  for _, list in ipairs { 'models', 'serves' } do
    for i, name in ipairs(provider[list] or {}) do check_name(self, name, ('%s.%s[%d]'):format(path, list, i - 1)) end
  end
  for _, name in ipairs(lists.names(provider.model_mapping or {})) do
    check_name(self, name, path .. '.model_mapping')
  end
end

--- Adds warnings of likely mistakes.
---@param self ccrelay.Check
---@param configuration table
function M.apply(self, configuration)
  check_clients(self, configuration)
  for i, provider in ipairs(configuration.providers or {}) do
    local path = ('providers[%d]'):format(i - 1)
    for j, key in ipairs(provider.keys) do check_key(self, key.key, ('%s.keys[%d].key'):format(path, j - 1)) end
    check_url(self, provider, path)
    check_names(self, provider, path)
  end
end

return M
