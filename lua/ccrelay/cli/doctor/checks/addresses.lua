-- SPDX-License-Identifier: Apache-2.0
-- Binds each address of the configuration for a moment, unless the running relay has it.
local C = require 'ccrelay.c'
local address = require 'ccrelay.net.address'
local ffi = require 'ffi'
local lists = require 'ccrelay.util.lists'

local IN_USE = 'stop the program that uses it (ss -ltnp shows it), or choose another port'

local function cure_of(words)
  if words:find 'in use' then return IN_USE end
  if words:find 'ermission' then return 'use a port above 1023, or give the relay CAP_NET_BIND_SERVICE' end
  return 'use an address of this machine, or 0.0.0.0'
end

local function slice(text)
  return { data = text, size = #text }
end

-- Returns why an address cannot be bound, or nil. A relay of its own closes the socket again.
local function bind(where)
  local relay = C.cc_open()
  local number = C.cc_listen(relay, ffi.new('struct cc_listen', {
    host = slice(where.host), port = where.port, path = slice '', copies = 1, cert = slice '', key = slice '',
  }))
  local words = number < 0 and ffi.string(C.cc_system_error()) or nil
  C.cc_close(relay)
  return words
end

local function folder_of(path)
  return path:match '^(.+)/[^/]*$' or '/'
end

local function check_path(doctor, key, path)
  local folder = io.open(folder_of(path), 'r')
  if folder then return folder:close() end
  doctor:add(('%s unix:%s'):format(key, path), 'its folder does not exist', 'create ' .. folder_of(path))
end

local function is_own(doctor, key, text)
  if not doctor.running then return false end
  if key == 'admin.listen' or doctor.running.refuses or (doctor.running.sockets_passed or 0) > 0 then return true end
  return lists.contains(doctor.running.listen, text)
end

local function check(doctor, key, text)
  local where = address.listen(text)
  if not where or is_own(doctor, key, text) then return end
  if where.path then return check_path(doctor, key, where.path) end
  if where.port == 0 then return end
  local words = bind(where)
  if words then doctor:add(('%s %s'):format(key, text), 'the relay cannot listen there: ' .. words, cure_of(words)) end
end

return {
  order = 40,
  title = 'addresses',
  generation = true,
  run = function(doctor)
    local configuration = doctor.generation.configuration
    for _, text in ipairs(configuration.server.listen) do check(doctor, 'server.listen', text) end
    if configuration.admin.listen ~= 'off' then check(doctor, 'admin.listen', configuration.admin.listen) end
  end,
}
