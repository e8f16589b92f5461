-- SPDX-License-Identifier: Apache-2.0
-- The clients that ccrelay client adds, in clients.json in server.state_dir. They are checked by the same schema as
-- server.auth.clients and join that list. Their keys are stored as SHA-256 digests only. Expired and revoked clients
-- stay in the file: a relay whose last client is revoked does not become open to everybody.
local C = require 'ccrelay.c'
local check = require 'ccrelay.config.check'
local date = require 'ccrelay.util.date'
local document = require 'ccrelay.config.document'
local fault = require 'ccrelay.util.fault'
local ffi = require 'ffi'
local file = require 'ccrelay.config.file'
local json = require 'ccrelay.util.json'
local schema = require 'ccrelay.config.schema'

local M = {}

M.MOST = 4096
local NAME = 'clients.json'
local MODE = 384 -- 0600
local PATIENCE_MS = 10000 -- for another process that changes the file

---@class ccrelay.StoredClients the file
---@field path string
---@field text string? nil: there is no file
---@field reason string? why it cannot be used

local function fields()
  local auth = check.find(check.find(schema.fields, 'server').fields, 'auth')
  local rows = { { 'added', type = 'time' }, { 'revoked', type = 'time' } }
  for _, row in ipairs(check.find(auth.fields, 'clients').item.fields) do
    if row[1] ~= 'key' then rows[#rows + 1] = row end
  end
  return rows
end

--- Reads the file of a folder.
---@param folder string? server.state_dir
---@param insecure boolean? whether a file that others may have written is accepted
---@return ccrelay.StoredClients? stored nil without a folder
function M.read(folder, insecure)
  if not folder or folder == 'off' then return nil end
  local path = folder .. '/' .. NAME
  if not file.exists(path) then return { path = path } end
  local text, reason = file.read(path, { insecure = insecure })
  return { path = path, text = text, reason = reason }
end

-- The file that M.write writes for an empty list.
local EMPTY = '{"clients": [\n\n]}\n'

--- Compares two files byte for byte. A file that is missing is the same as an empty list.
---@param a ccrelay.StoredClients?
---@param b ccrelay.StoredClients?
---@return boolean
function M.same(a, b)
  a, b = a or {}, b or {}
  return a.path == b.path and a.reason == b.reason and (a.text or EMPTY) == (b.text or EMPTY)
end

--- Decodes the file.
---@param stored ccrelay.StoredClients
---@return table[]? list nil if it cannot be used
---@return string? message
function M.decode(stored)
  if stored.reason then return nil, stored.reason end
  if not stored.text then return {} end
  local found = json.decode(stored.text)
  local list = type(found) == 'table' and found.clients
  if type(list) ~= 'table' then return nil, 'it is damaged: expected {"clients": [...]}' end
  return list
end

local function system_fault(code)
  return code == C.CC_ESYSTEM and ffi.string(C.cc_system_error()) or ffi.string(C.cc_error_text(code))
end

--- Writes the list to the file, in one step. A new file has mode 0600; one that is there keeps its owner and mode.
--- Whoever has read the file before calls this within M.exclusively.
---@param path string
---@param list table[]
---@return boolean? ok
---@return string? message
function M.write(path, list)
  local lines = {}
  for index, client in ipairs(list) do lines[index] = '  ' .. json.encode(client) end
  local text = '{"clients": [\n' .. table.concat(lines, ',\n') .. '\n]}\n'
  local code = C.cc_file_write(path, text, #text, MODE)
  if code == C.CC_OK then return true end
  return nil, system_fault(code)
end

--- Calls change while no other process is within this function for the same folder, so what it reads is still there
--- when it writes.
---@generic T
---@param folder string server.state_dir
---@param make boolean whether to make the folder if it is missing
---@param change fun(): T
---@return T? result of change; nil if the folder cannot be locked
---@return string? message
function M.exclusively(folder, make, change)
  local lock = C.cc_folder_lock(folder, make, PATIENCE_MS)
  if lock < 0 then return nil, system_fault(lock) end
  local ok, result = pcall(change)
  C.cc_folder_unlock(lock)
  if not ok then error(result, 0) end
  return result
end

--- Makes an empty file if there is none. So it belongs to the user of the relay, even if root adds the first client.
---@param folder string? server.state_dir
function M.make(folder)
  local stored = M.read(folder)
  if not stored or stored.text or stored.reason then return end
  M.exclusively(folder, true, function()
    if not file.exists(stored.path) then M.write(stored.path, {}) end
  end)
end

--- Checks the clients of the file and adds them to server.auth.clients.
---@param self ccrelay.Check
---@param configuration table
---@param stored ccrelay.StoredClients?
function M.join(self, configuration, stored)
  if not stored then return end
  local list, message = M.decode(stored)
  if not list then return self:fault { path = '', message = stored.path .. ': ' .. message } end
  local auth, rows, faulty = configuration.server.auth or {}, fields(), #self.faults
  for index, client in ipairs(list) do
    local node = type(client) == 'table' and document.from(client)
    local path = ('%s[%d]'):format(fault.printable(stored.path), index - 1)
    if not node then return self:fault { path = path, message = 'this is no client' } end
    auth.clients = auth.clients or {}
    table.insert(auth.clients, self:section(node, rows, path))
  end
  if #self.faults == faulty and #(auth.clients or {}) > M.MOST then
    self:fault { path = '', message = ('%s: more than %d clients'):format(stored.path, M.MOST) }
  end
end

--- The key that M.make_up_keys gives to a client.
---@param name string
---@return string
function M.made_up_key(name)
  return 'made-up-key-of-' .. name
end

--- Gives clients whose key is known by its digest alone a made-up key, for a relay that only tries things out.
---@param auth table
function M.make_up_keys(auth)
  for _, client in ipairs(auth.clients or {}) do
    if client.key_sha256 then
      client.key, client.key_sha256, client.expires, client.revoked = M.made_up_key(client.name), nil, nil, nil
    end
  end
end

--- Returns whether a client may use the relay.
---@param client table
---@param now number ms since 1970
---@return 'active'|'expired'|'revoked'
function M.state(client, now)
  if client.revoked then return 'revoked' end
  local ends = client.expires and date.end_of(client.expires)
  return ends and now >= ends and 'expired' or 'active'
end

return M
