-- SPDX-License-Identifier: Apache-2.0
-- Takes the listening sockets that a service manager passes to the relay (sd_listen_fds(3), systemd.socket(5)). A
-- socket named "admin" is the admin listener's; all others serve clients, one named "proxy_protocol" with the PROXY
-- protocol.
local ffi = require 'ffi'
local C = require 'ccrelay.c'

local M = {}

local ADMIN, PROXIED = 'admin', 'proxy_protocol'

---@class ccrelay.PassedSocket
---@field fd integer
---@field address string as in server.listen

---@class ccrelay.PassedSockets
---@field clients ccrelay.PassedSocket[] instead of server.listen, unless empty
---@field admin ccrelay.PassedSocket? instead of admin.listen

local function wrong()
  return nil, 'socket activation: ' .. ffi.string(C.cc_system_error())
end

local function address_of(fd)
  local out = ffi.new('char[?]', C.CC_PASSED_ADDRESS)
  if C.cc_passed_address(fd, out, C.CC_PASSED_ADDRESS) ~= C.CC_OK then return nil end
  return ffi.string(out)
end

-- The names in the order of the sockets. An empty one has its place too.
local function names_in(text)
  local names = {}
  if text == '' then return names end
  for name in (text .. ':'):gmatch '([^:]*):' do names[#names + 1] = name end
  return names
end

--- Takes the sockets, once in a process.
---@param env (fun(name: string): string?)? os.getenv by default
---@return ccrelay.PassedSockets? sockets nil if one of them cannot be used
---@return string? message
function M.take(env)
  local names = names_in((env or os.getenv) 'LISTEN_FDNAMES' or '')
  local count = C.cc_passed_sockets()
  if count < 0 then return wrong() end
  if count > 0 and #names > 0 and #names ~= count then
    return nil, ('socket activation: LISTEN_FDNAMES has %d names, LISTEN_FDS is %d'):format(#names, count)
  end
  local sockets = { clients = {} }
  for index = 1, count do
    local fd = C.CC_FIRST_PASSED + index - 1
    local address = address_of(fd)
    if not address then return wrong() end
    if names[index] == PROXIED then address = address .. ' proxy_protocol' end
    local socket = { fd = fd, address = address }
    if names[index] ~= ADMIN then
      table.insert(sockets.clients, socket)
    elseif sockets.admin then
      return nil, 'socket activation: two sockets are named "admin"'
    else
      sockets.admin = socket
    end
  end
  return sockets
end

--- The values of the configuration that the sockets replace.
---@param sockets ccrelay.PassedSockets
---@param changes table sections by name, to add them to
function M.override(sockets, changes)
  local listen = {}
  for index, socket in ipairs(sockets.clients) do listen[index] = socket.address end
  if #listen > 0 then changes.server = { listen = listen } end
  if sockets.admin then changes.admin = { listen = sockets.admin.address } end
end

return M
