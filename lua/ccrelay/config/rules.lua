-- SPDX-License-Identifier: Apache-2.0
-- Checks rules between keys: names that refer to each other, addresses that need authentication, sums over all
-- providers.
local address = require 'ccrelay.net.address'
local each = require 'ccrelay.util.each'
local fault = require 'ccrelay.util.fault'
local lists = require 'ccrelay.util.lists'
local transparent = require 'ccrelay.config.transparent'

local M = {}

local MOST_KEYS = 4096
local MOST_MODELS = 10000

local function quoted(name)
  return '"' .. fault.printable(name) .. '"'
end

local function provider_names(self, configuration)
  local seen, names = {}, {}
  for i, provider in ipairs(configuration.providers or {}) do
    local name = provider.name
    if name and seen[name] then
      self:fault { path = ('providers[%d].name'):format(i - 1), found = quoted(name) .. ' again',
        expected = ('a unique name; providers[%d] has this one'):format(seen[name]) }
    elseif name then
      seen[name], names[#names + 1] = i - 1, name
    end
  end
  return seen, names
end

local function routing(self, configuration)
  local route = configuration.routing
  local seen, names = provider_names(self, configuration)
  local function refers(path, name)
    if not name or seen[name] then return end
    self:fault { path = path, found = quoted(name), expected = 'the name of a provider',
      hint = fault.nearest(name, names) }
  end
  refers('routing.default_provider', route.default_provider)
  local prefixes = {}
  for prefix in each(route.model_mapping or {}) do prefixes[#prefixes + 1] = prefix end
  table.sort(prefixes)
  for _, prefix in ipairs(prefixes) do
    refers(self.join('routing.model_mapping', prefix), route.model_mapping[prefix])
  end
  for _, name in ipairs(self.policies) do
    if name == route.strategy then return end
  end
  if route.strategy then
    self:fault { path = 'routing.strategy', found = quoted(route.strategy),
      expected = 'a file in policies/: ' .. table.concat(self.policies, ', '),
      hint = fault.nearest(route.strategy, self.policies) }
  end
end

local function totals(self, configuration)
  local keys, models = 0, 0
  for _, provider in ipairs(configuration.providers or {}) do
    keys, models = keys + #provider.keys, models + #(provider.models or {})
  end
  if keys > MOST_KEYS then
    self:fault { path = 'providers', found = keys .. ' keys in total', expected = ('at most %d'):format(MOST_KEYS) }
  end
  if models > MOST_MODELS then
    self:fault { path = 'providers', found = models .. ' models in total',
      expected = ('at most %d'):format(MOST_MODELS) }
  end
end

-- Tells whether a value has a fault already.
local function is_faulty(self, path)
  for _, one in ipairs(self.faults) do
    if one.path == path then return true end
  end
  return false
end

local function client_key(self, client, path, seen)
  local key = client.key or client.key_sha256
  local name = client.key and '.key' or '.key_sha256'
  if client.key and client.key_sha256 then
    self:fault { path = path, message = 'only one of key and key_sha256 may be given' }
  elseif not key and not is_faulty(self, path .. '.key') and not is_faulty(self, path .. '.key_sha256') then
    self:fault { path = path, message = 'either key or key_sha256 is required' }
  elseif key and seen[key] then
    self:fault { path = path .. name, message = 'this key is also used by ' .. seen[key] }
  elseif key then
    seen[key] = path
  end
end

local function clients(self, auth)
  local names, keys = {}, {}
  for i, key in ipairs(auth.api_key or {}) do keys[key] = ('server.auth.api_key[%d]'):format(i - 1) end
  for i, client in ipairs(auth.clients or {}) do
    local path = ('server.auth.clients[%d]'):format(i - 1)
    if client.name and names[client.name] then
      self:fault { path = path .. '.name', found = quoted(client.name) .. ' again', expected = 'a unique name' }
    end
    client_key(self, client, path, keys)
    if client.name then names[client.name] = true end
  end
end

local function groups(self, auth)
  local names, list = {}, {}
  for i, group in ipairs(auth.groups or {}) do
    if group.name and names[group.name] then
      self:fault { path = ('server.auth.groups[%d].name'):format(i - 1), found = quoted(group.name) .. ' again',
        expected = 'a unique name' }
    elseif group.name then
      names[group.name], list[#list + 1] = true, group.name
    end
  end
  for i, client in ipairs(auth.clients or {}) do
    if client.group and not names[client.group] then
      self:fault { path = ('server.auth.clients[%d].group'):format(i - 1), found = quoted(client.group),
        expected = 'the name of one of server.auth.groups', hint = fault.nearest(client.group, list) }
    end
  end
end

local BUDGETS = { 'budget_per_day', 'budget_per_week', 'budget_per_month' }

local function add_budgets(paths, path, section)
  for _, name in ipairs(BUDGETS) do
    if (section[name] or 0) > 0 then paths[#paths + 1] = path .. name end
  end
end

-- The paths of budgets in the configuration.
local function budgets(self, configuration)
  local paths, auth, routed = {}, configuration.server.auth or {}, configuration.routing
  for _, list in ipairs { 'clients', 'groups' } do
    for i, section in ipairs(auth[list] or {}) do
      add_budgets(paths, ('server.auth.%s[%d].'):format(list, i - 1), section)
    end
  end
  add_budgets(paths, 'routing.', routed)
  for _, model in ipairs(lists.names(routed.model_budgets or {})) do
    add_budgets(paths, self.join('routing.model_budgets', model) .. '.', routed.model_budgets[model])
  end
  return paths
end

local function spending(self, configuration)
  local priced = next(configuration.routing.prices or {}) ~= nil
  for _, path in ipairs(budgets(self, configuration)) do
    if not priced then
      self:fault { path = path, message = 'a budget needs routing.prices' }
    elseif configuration.routing.strategy ~= 'budget' then
      self:warn(path, 'has no effect without routing.strategy: budget or a policy that calls relay.over_budget')
    end
  end
end

local function traces(self, configuration)
  local endpoint = (configuration.traces or {}).endpoint
  if endpoint and configuration.server.recent_exchanges == 0 then
    self:fault { path = 'traces.endpoint', message = 'spans are made from server.recent_exchanges, which is 0' }
  end
end

local function proxied_listeners(self, server)
  if #(server.trusted_proxies or {}) > 0 then return end
  for _, text in ipairs(server.listen or {}) do
    local listen = address.listen(text)
    if listen and listen.proxied then
      self:fault { path = 'server.listen', message = 'proxy_protocol needs server.trusted_proxies' }
    end
  end
end

local function entrances(self, configuration)
  local auth, admin = configuration.server.auth or {}, configuration.admin or {}
  local guarded = auth.api_key or auth.clients or (auth.bearer_secret or '') ~= ''
  for _, text in ipairs(configuration.server.listen or {}) do
    local listen = address.listen(text)
    if listen and not listen.loopback and not guarded then
      self:fault { path = 'server.listen', found = text .. ', which other machines can reach',
        expected = 'server.auth with api_key, clients or bearer_secret, or a loopback address' }
    end
  end
  local listen = admin.listen and address.listen(admin.listen)
  if listen and not listen.loopback and admin.token == '' then
    self:fault { path = 'admin.listen', found = admin.listen .. ', which other machines can reach',
      expected = 'admin.token, or a loopback address' }
  end
end

-- Refuses providers whose address is the relay's own.
local function loops(self, configuration)
  for i, provider in ipairs(configuration.providers or {}) do
    local url = provider.enabled and provider.base_url and address.url(provider.base_url)
    for _, text in ipairs(url and configuration.server.listen or {}) do
      local listen = address.listen(text)
      if listen and address.leads_to(url, listen) then
        self:fault { path = ('providers[%d].base_url'):format(i - 1), found = provider.base_url
          .. ', the address of this relay itself', expected = 'the address of the provider' }
      end
    end
  end
end

-- The providers that serve clients with a subscription by the relay's own credentials.
local function paid_by_relay(self, configuration)
  local names = {}
  for _, provider in ipairs(configuration.providers or {}) do
    local adapter = self.adapters[provider.type] or {}
    local own = #provider.keys > 0 or adapter.credentials ~= nil and adapter.credentials ~= 'key'
    if provider.enabled and own and not transparent.of(provider, adapter) then
      names[#names + 1] = provider.name
    end
  end
  return names
end

local function subscriptions(self, configuration)
  if not (configuration.server.auth or {}).allow_subscription then return end
  local names, where = paid_by_relay(self, configuration), nil
  for _, text in ipairs(configuration.server.listen or {}) do
    local listen = address.listen(text)
    if listen and not listen.loopback then where = where or text end
  end
  if not where or #names == 0 then return end
  self:warn('server.auth.allow_subscription', ('subscription tokens are not verified, so anyone who can reach %s '
    .. 'can use %s with the relay\'s own credentials; false admits only clients with a key'):format(where,
    table.concat(names, ', ')))
end

-- Whether a client's own credential is ever passed on.
local function takes_foreign_credentials(auth)
  local guarded = auth.api_key or auth.clients or (auth.bearer_secret or '') ~= ''
  return not guarded or auth.allow_subscription
end

-- Warns of providers to which earlier versions passed clients' credentials without a setting.
local function passing_on(self, configuration)
  if not takes_foreign_credentials(configuration.server.auth or {}) then return end
  for i, provider in ipairs(configuration.providers or {}) do
    if provider.enabled and transparent.is_unsaid(provider, self.adapters[provider.type] or {}) then
      self:warn(('providers[%d].transparent'):format(i - 1), ('clients\' own credentials are not passed to %s ("%s"); '
        .. 'set transparent: true to pass them, or false to confirm'):format(provider.base_url or 'it',
        fault.printable(provider.name or '?')))
    end
  end
end

local function compatibility(self, configuration)
  if configuration.cache.mode == 'ha' then
    self:fault { path = 'cache.mode', found = 'ha, which is not implemented yet', expected = 'single or disabled' }
  end
  if configuration.server.enable_http2 then
    self:warn('server.enable_http2', 'HTTP/2 is not implemented yet; HTTP/1.1 is served')
  end
  local enabled = false
  for _, provider in ipairs(configuration.providers or {}) do enabled = enabled or provider.enabled end
  if configuration.providers and not enabled then self:warn('providers', 'no provider is enabled') end
end

--- Adds the faults of the configuration as a whole.
---@param self ccrelay.Check with policies, the known strategy names
---@param configuration table
function M.apply(self, configuration)
  routing(self, configuration)
  totals(self, configuration)
  clients(self, configuration.server.auth or {})
  groups(self, configuration.server.auth or {})
  spending(self, configuration)
  traces(self, configuration)
  entrances(self, configuration)
  proxied_listeners(self, configuration.server)
  subscriptions(self, configuration)
  passing_on(self, configuration)
  loops(self, configuration)
  compatibility(self, configuration)
end

return M
