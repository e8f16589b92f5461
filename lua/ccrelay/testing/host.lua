-- SPDX-License-Identifier: Apache-2.0
-- The part of the scripted C side that is the machine: event loop, clock, randomness, log, origins.
local ffi = require 'ffi'
local world = require 'ccrelay.testing.world'

local state, real = world.state, world.real
local starts, bytes, next_event = world.starts, world.bytes, world.next_event

local fake = {}

function fake.cc_next(_, event)
  assert(not state.inside, 'script code has not been left')
  real.cc_watchdog_restart(nil, 0)
  local found = next_event()
  if not found then return false end
  state.now = math.max(state.now, found.due)
  if starts[found.type] then starts[found.type](found) end
  event.type, event.id, event.detail = found.type, found.id, found.detail
  return true
end

starts[real.CC_EVENT_OUTCOME] = function(found)
  local exchange = state.exchanges[found.id]
  local attempt = exchange and exchange.attempts[found.detail]
  if attempt and attempt.event == found then attempt.settled = true end
end

-- All exchanges of a test together have the bounds of one stay.
function fake.cc_watchdog_restart() real.cc_watchdog_restart(nil, 0) end

function fake.cc_watchdog_enter(place)
  state.inside = place == real.CC_SCRIPT
  real.cc_watchdog_enter(place)
end

function fake.cc_now() return state.now end
function fake.cc_time() return state.time + state.now end
function fake.cc_log(line, size) state.lines[#state.lines + 1] = bytes(line, size) end

function fake.cc_random(out, size)
  for index = 0, size - 1 do
    state.seed = (state.seed * 1103515245 + 12345) % 2147483648
    out[index] = math.floor(state.seed / 65536) % 256
  end
  return 0
end

function fake.cc_origin(_, spec)
  local host = ffi.string(spec.host.data, spec.host.size)
  if host == 'nowhere.test' then return real.CC_EINVAL end
  state.origins[#state.origins + 1] = {
    host = host, port = spec.port, tls = spec.tls, proxy_port = spec.proxy_port,
    proxy = ffi.string(spec.proxy_host.data, spec.proxy_host.size), allow_public_http = spec.allow_public_http,
  }
  return #state.origins - 1
end

function fake.cc_worker(slot, out)
  if slot > 0 then return real.CC_EINVAL end
  out.exchanges = state.open_elsewhere + state.open
  return 0
end

return fake
