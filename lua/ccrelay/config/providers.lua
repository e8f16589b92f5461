-- SPDX-License-Identifier: Apache-2.0
-- Checks one entry of providers: the keys that its type has, keys that TOML's grammar misplaced, and rules between its
-- values.
local lists = require 'ccrelay.util.lists'
local address = require 'ccrelay.net.address'
local check = require 'ccrelay.config.check'
local document = require 'ccrelay.config.document'
local each = require 'ccrelay.util.each'
local fault = require 'ccrelay.util.fault'
local transparent = require 'ccrelay.config.transparent'
local types = require 'ccrelay.config.types'

local Check = check.Check
local M = {}

local function text_of(node)
  return node and node.kind == 'scalar' and node.text or nil
end

-- After [[providers.keys]] or [providers.model_mapping] TOML puts `models` into that table.
local function adopt(self, node, from, at, path)
  local models = from and from.kind == 'map' and from.values.models
  if not models or models.kind ~= 'list' then return end
  local line = from.lines.models
  document.take(from, 'models')
  if document.put(node, 'models', models, line) then
    local message = ('taken as %s.models; write it before the first [table] of this provider'):format(path)
    self:warn(at .. '.models', message, line)
  else
    self:fault { path = at .. '.models', line = line, message = ('%s.models is given twice'):format(path) }
  end
end

local function adopt_models(self, node, path)
  local keys = node.values.keys
  for i, key in ipairs(keys and keys.kind == 'list' and keys.items or {}) do
    adopt(self, node, key, ('%s.keys[%d]'):format(path, i - 1), path)
  end
  adopt(self, node, node.values.model_mapping, path .. '.model_mapping', path)
end

local function without_demand(row)
  local copy = {}
  for k, v in each(row) do copy[k] = v end
  copy.required, copy.default = nil, nil
  return copy
end

-- Copies a row that an adapter declares; nil if it is not a row. Only scalars can be declared.
local function adapter_row(field)
  local row = type(field) == 'table' and check.copy(field) or {}
  row.type = row.type or row[2]
  if type(row[1]) ~= 'string' or not types.readers[row.type] then return nil end
  if row.type == 'choice' and type(row.of) ~= 'table' then return nil end
  return row
end

local function declares(adapter, name)
  for _, field in ipairs(adapter and adapter.schema or {}) do
    if type(field) == 'table' and field[1] == name then return true end
  end
  return false
end

local function rows_of(self, row, kind, node, path)
  local rows, known = {}, lists.contains(self.types, kind)
  local adapter = self.adapters[kind]
  for _, field in ipairs(row.fields) do
    local name = field[1]
    if not field.only or lists.contains(field.only, kind) then
      rows[#rows + 1] = field
    elseif not known then
      rows[#rows + 1] = without_demand(field)
    elseif node.values[name] and not declares(adapter, name) then
      self:fault { path = path .. '.' .. name, line = node.lines[name],
        message = 'this key belongs to type ' .. fault.either(field.only) }
      document.take(node, name)
    end
  end
  for i, field in ipairs(adapter and adapter.schema or {}) do
    local extra = adapter_row(field)
    if not extra then
      self:fault { path = path .. '.type',
        message = ('row %d in the schema of adapter %s is malformed'):format(i, kind) }
    elseif not check.find(rows, extra[1]) then
      rows[#rows + 1] = extra
    end
  end
  return rows, adapter
end

local function check_type(self, type, path)
  if not type or lists.contains(self.types, type) then return end
  self:fault { path = path .. '.type', found = ('the string "%s"'):format(fault.printable(type)),
    expected = 'one of ' .. table.concat(self.types, ', '), hint = fault.nearest(type, self.types) }
end

local function check_url(self, values, path)
  local url = values.base_url and address.url(values.base_url)
  if url and url.scheme == 'http' and not values.allow_http and address.reach(url.host) == 'public' then
    self:fault { path = path .. '.base_url', found = 'http to the public address ' .. url.host,
      expected = 'https (or allow_http: true)' }
  end
end

local function check_aws(self, values, node, path)
  local id, secret = values.aws_access_key_id, values.aws_secret_access_key
  if (id == nil) == (secret == nil) then return end
  local missing = id and 'aws_secret_access_key' or 'aws_access_key_id'
  if node.values[missing] then
    values.aws_access_key_id, values.aws_secret_access_key, values.aws_session_token = nil, nil, nil
    self:warn(path, missing .. ' is not set, so the AWS credential chain is used')
  else
    self:fault { path = path, line = node.line,
      message = 'aws_access_key_id and aws_secret_access_key go together; ' .. missing .. ' is missing' }
  end
end

local function check_azure(self, _, node, path)
  if not node.values.azure_resource_name and not node.values.base_url then
    self:fault { path = path .. '.azure_resource_name', line = node.line,
      message = 'this key is required unless base_url is set' }
  end
end

-- Checks for the keys of one type.
local checks = { aws_access_key_id = check_aws, azure_resource_name = check_azure }

-- The highest priority of the keys that were skipped: clients' credentials have it instead.
local function priority_of(items)
  local most
  for _, item in ipairs(items) do
    local node = item.kind == 'map' and item.values.priority
    local written = node and tonumber(node.text) or 1
    most = math.max(most or written, written)
  end
  return most
end

-- All keys of a provider were skipped: it serves clients with their own credentials, or is disabled.
local function without_keys(self, values, adapter, skipped, node, path)
  if adapter and transparent.of(values, adapter) then
    values.client_priority = priority_of(skipped)
    return self:warn(path, 'serves only clients with their own credential because all of its keys were skipped',
      node.line)
  end
  values.enabled, values.keys_skipped = false, true
  self:warn(path, 'disabled because all of its keys were skipped', node.line)
end

local function finish_keys(self, values, adapter, node, path)
  values.keys = values.keys or {}
  local keys = values.keys
  for _, key in ipairs(keys) do
    if (key.burst or 0) > 0 and key.rpm_limit == 0 then
      self:warn(('%s.keys[%d].burst'):format(path, key.id - 1), 'has no effect without rpm_limit')
    end
  end
  for _, key in ipairs(keys) do key.id = ('%s/%d'):format(values.name or '?', key.id) end
  local skipped = keys.skipped
  keys.skipped = nil
  if skipped and #keys == 0 and values.enabled then without_keys(self, values, adapter, skipped, node, path) end
end

---@param node ccrelay.Node
---@param row table
---@param path string
---@return table values
function Check:provider(node, row, path)
  if self.format == 'toml' then adopt_models(self, node, path) end
  local type = text_of(node.values.type)
  local rows, adapter = rows_of(self, row, type, node, path)
  self.idle = text_of(node.values.enabled) == 'false'
  local values = self:section(node, rows, path)
  self.idle = nil
  check_type(self, values.type, path)
  for name, default in each(adapter and adapter.defaults or {}) do
    if not node.values[name] and check.find(rows, name) then values[name] = check.copy(default) end
  end
  check_url(self, values, path)
  for name, further in each(checks) do
    if lists.contains(self.types, type) and check.find(rows, name) then further(self, values, node, path) end
  end
  finish_keys(self, values, adapter, node, path)
  return values
end

return M
