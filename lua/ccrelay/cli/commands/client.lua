-- SPDX-License-Identifier: Apache-2.0
-- ccrelay client: adds, lists and revokes the clients in clients.json in server.state_dir.
local C = require 'ccrelay.c'
local base64 = require 'ccrelay.util.base64'
local config_loader = require 'ccrelay.cli.config_loader'
local date = require 'ccrelay.util.date'
local fault = require 'ccrelay.util.fault'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local lists = require 'ccrelay.util.lists'
local options = require 'ccrelay.cli.options'
local sha256 = require 'ccrelay.util.sha256'
local stored_clients = require 'ccrelay.config.stored_clients'

local M = {}

local codes = options.codes
local KEY_BYTES = 32
local DIGEST_BYTES = 32

M.summary = 'add, list and revoke clients, without a restart'
M.usage = [[
usage: ccrelay client add NAME [--group GROUP] [--expires DATE] [LIMITS]
       ccrelay client list [--json]
       ccrelay client revoke NAME

Manages the clients in clients.json in server.state_dir, in addition to server.auth.clients. A running relay uses a
change within a second. The key of a new client is printed once; only its SHA-256 digest is stored.

  --group GROUP            one of server.auth.groups
  --expires DATE           last day of the key (UTC), such as 2027-01-31, or a time, such as 2027-01-31T12:00:00Z
  --rpm N                  requests per minute
  --tpm N                  tokens per minute
  --max-concurrent N       concurrent requests
  --budget-per-day N       what the client may spend per day, in whole units of the currency of routing.prices;
                           also --budget-per-week, --budget-per-month
  --json                   print the list as JSON
  --config F               the configuration; else the first file found, see ccrelay help config
  --state-dir DIR          the folder, instead of server.state_dir
  --insecure-permissions   accept files that others can write to

Run it as the user of the relay or as root: sudo -u ccrelay ccrelay client list --state-dir /var/lib/ccrelay
]]

local LIMITS = {
  rpm = 'rpm_limit', tpm = 'tpm_limit', max_concurrent = 'max_concurrent', budget_per_day = 'budget_per_day',
  budget_per_week = 'budget_per_week', budget_per_month = 'budget_per_month',
}

local function with(list)
  for _, option in ipairs(config_loader.options) do list[#list + 1] = option end
  list[#list + 1] = { name = 'state-dir', type = 'text' }
  return list
end

M.verbs = {
  add = with {
    { name = 'group', type = 'text' }, { name = 'expires', type = 'text' }, { name = 'rpm', type = 'integer' },
    { name = 'tpm', type = 'integer' }, { name = 'max-concurrent', type = 'integer' },
    { name = 'budget-per-day', type = 'integer' }, { name = 'budget-per-week', type = 'integer' },
    { name = 'budget-per-month', type = 'integer' },
  },
  list = with { { name = 'json', type = 'flag' } },
  revoke = with {},
}

local function fail(message)
  io.stderr:write('ccrelay client: ', message, '\n')
  return codes.failure
end

-- Loads the configuration, with another server.state_dir if that is given.
local function load(values, clients)
  return config_loader.load(values, {
    override = values.state_dir and { server = { state_dir = values.state_dir } } or nil, stored_clients = clients,
  })
end

---@class ccrelay.ClientFile
---@field configuration table
---@field path string
---@field list table[] the clients in the file

-- Returns nil and an exit code if the file cannot be used.
local function open(values, configuration)
  local stored = stored_clients.read(configuration.server.state_dir, values.insecure_permissions)
  local list, message = stored_clients.decode(stored)
  if not list then return nil, fail(stored.path .. ': ' .. message) end
  return { configuration = configuration, path = stored.path, list = list }
end

-- Returns the configuration, or nil and an exit code if it has no state_dir.
local function load_with_folder(values)
  local configuration = load(values)
  if not configuration then return nil, codes.configuration end
  if configuration.server.state_dir ~= 'off' then return configuration end
  return nil, fail 'server.state_dir is off; set it, or give --state-dir, such as /var/lib/ccrelay'
end

-- Lets edit change the list of the file, and writes it. No other ccrelay changes the file meanwhile.
---@param values table
---@param make boolean whether to make the folder if it is missing
---@param edit fun(file: ccrelay.ClientFile): integer? returns an exit code if nothing is to be written
---@return integer code
local function change(values, make, edit)
  local configuration, fault_code = load_with_folder(values)
  if not configuration then return fault_code end
  local folder = configuration.server.state_dir
  local code, message = stored_clients.exclusively(folder, make, function()
    local file, unusable = open(values, configuration)
    if not file then return unusable end
    local refused = edit(file)
    if refused then return refused end
    local ok, why = stored_clients.write(file.path, file.list)
    return ok and codes.ok or fail(file.path .. ': ' .. why)
  end)
  return code or fail(folder .. ': ' .. message)
end

local function find(list, name)
  for index, client in ipairs(list) do
    if client.name == name then return client, index end
  end
end

local function today()
  return os.date '!%Y-%m-%dT%H:%M:%SZ'
end

local function new_key()
  local bytes = ffi.new('uint8_t[?]', KEY_BYTES)
  if C.cc_random(bytes, KEY_BYTES) ~= 0 then error('the system gives no random bytes', 0) end
  local text = base64.encode(ffi.string(bytes, KEY_BYTES)):gsub('[+/=]', { ['+'] = '-', ['/'] = '_', ['='] = '' })
  return 'sk-ccrelay-' .. text
end

-- ---- add ---------------------------------------------------------------------------------------

-- Puts the client into the list. Returns a message if its name is taken.
local function put(file, client)
  local other, index = find(file.list, client.name)
  if other and stored_clients.state(other, C.cc_time()) == 'active' then
    return ('there is a client "%s"; revoke it first, or choose another name'):format(client.name)
  end
  file.list[index or #file.list + 1] = client
end

-- Checks the list as the relay will. Prints the faults.
local function is_valid(values, file)
  local text = json.encode { clients = json.array(file.list) }
  return load(values, function() return { path = file.path, text = text } end) ~= nil
end

local function client_of(values, name, key)
  local client = { name = name, group = values.group, expires = values.expires, added = today(),
    key_sha256 = sha256.hex(key, DIGEST_BYTES) }
  for _, option in ipairs(lists.names(LIMITS)) do client[LIMITS[option]] = values[option] end
  return client
end

local verbs = {}

function verbs.add(values, name)
  local ends = values.expires and date.end_of(values.expires)
  if ends and ends <= C.cc_time() then return fail('--expires: ' .. values.expires .. ' is over') end
  local key = new_key()
  local code = change(values, true, function(file)
    local taken = put(file, client_of(values, name, key))
    if taken then return fail(taken) end
    if not is_valid(values, file) then return codes.usage end
  end)
  if code ~= codes.ok then return code end
  io.stderr:write(('client "%s" added; its key is shown only now:\n'):format(name))
  io.stdout:write(key, '\n')
  return codes.ok
end

-- ---- revoke ------------------------------------------------------------------------------------

-- Marks the client of this name as revoked. Returns a message if that cannot be done.
local function revoke(file, name)
  local client = find(file.list, name)
  if not client then
    local configured = find((file.configuration.server.auth or {}).clients or {}, name)
    return configured and ('"%s" is a client of the configuration: remove it there'):format(name)
      or ('there is no client "%s"'):format(fault.printable(name))
  end
  if client.revoked then return ('client "%s" has been revoked already'):format(name) end
  client.revoked = today()
end

function verbs.revoke(values, name)
  local code = change(values, false, function(file)
    local message = revoke(file, name)
    return message and fail(message)
  end)
  if code == codes.ok then io.stderr:write(('client "%s" revoked\n'):format(name)) end
  return code
end

-- ---- list --------------------------------------------------------------------------------------

-- Returns the row of a client in the list, without its key and digest.
local function shown(client, is_stored)
  local row = { name = client.name, group = client.group, expires = client.expires, added = client.added,
    revoked = client.revoked, state = stored_clients.state(client, C.cc_time()),
    source = is_stored and 'state_dir' or 'configuration' }
  for _, option in ipairs(lists.names(LIMITS)) do
    local amount = client[LIMITS[option]]
    row[LIMITS[option]] = (amount or 0) > 0 and amount or nil
  end
  return row
end

local function limits_of(row)
  local parts = {}
  for _, option in ipairs(lists.names(LIMITS)) do
    local amount = row[LIMITS[option]]
    if amount then parts[#parts + 1] = ('%s=%g'):format(LIMITS[option], amount) end
  end
  return table.concat(parts, ' ')
end

local function line(name, state, group, expires, source, limits)
  return (('%-24s %-8s %-16s %-20s %-13s %s'):format(name, state, group, expires, source, limits):gsub(' +$', ''))
end

function verbs.list(values)
  local configuration, code = load_with_folder(values)
  if not configuration then return code end
  local file, unusable = open(values, configuration)
  if not file then return unusable end
  local rows = json.array {}
  for _, client in ipairs((file.configuration.server.auth or {}).clients or {}) do
    rows[#rows + 1] = shown(client, find(file.list, client.name) ~= nil)
  end
  if values.json then
    io.stdout:write(json.encode(rows), '\n')
    return codes.ok
  end
  local lines = { line('NAME', 'STATE', 'GROUP', 'EXPIRES', 'SOURCE', 'LIMITS') }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = line(row.name, row.state, row.group or '-', row.expires or '-', row.source, limits_of(row))
  end
  io.stdout:write(table.concat(lines, '\n'), '\n')
  return codes.ok
end

-- ---- The command -------------------------------------------------------------------------------

function M.run(arguments)
  local name = arguments[1]
  local specs = name and M.verbs[name]
  if not specs then return options.misuse('client', 'the command is missing: add, list or revoke') end
  local values, rest = options.parse({ unpack(arguments, 2) }, specs, name == 'list' and 0 or 1)
  if not values then return options.misuse('client', rest) end
  if name ~= 'list' and not rest[1] then return options.misuse('client', 'a name is missing') end
  return verbs[name](values, rest[1])
end

return M
