-- SPDX-License-Identifier: Apache-2.0
-- The part of the scripted C side that serves clients: requests, their headers and bodies, timers of exchanges.
local bit = require 'bit'
local json = require 'ccrelay.util.json'
local world = require 'ccrelay.testing.world'

local state, real = world.state, world.real
local starts, put, bytes, post, drop, find, header_of, sorted =
  world.starts, world.put, world.bytes, world.post_event, world.drop, world.find, world.header_of, world.sorted

local fake = {}

function fake.cc_request(_, id, out)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  put(out.method, exchange.method)
  put(out.path, exchange.path)
  put(out.query, exchange.query)
  put(out.peer, exchange.peer)
  out.error, out.body_bytes, out.started = exchange.refusal or 0, exchange.complete and #exchange.body or 0, exchange.at
  return 0
end

function fake.cc_request_name(_, id, name, size, out)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  exchange.name = exchange.name or bytes(name, size)
  put(out, exchange.name)
  return 0
end

function fake.cc_request_header(_, id, name, size, value)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  if exchange.over then return real.CC_ESTATE end
  local found = header_of(exchange.headers, bytes(name, size))
  if not found then return real.CC_ENOTFOUND end
  put(value, found)
  return 0
end

-- The scripted relay's own name in CDN-Loop is ccrelay-scripted.
function fake.cc_request_loops(_, id)
  local exchange = find(id)
  local names = exchange and header_of(exchange.headers, 'cdn-loop') or ''
  return names:find('ccrelay-scripted', 1, true) ~= nil
end

-- Bodies of scripted requests are not encoded, whatever their header says; decoding is tested in C. If the test sets
-- decode_error, cc_request_scan returns it.
function fake.cc_request_decode(_, id)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  local name = (header_of(exchange.headers, 'content-encoding') or 'identity'):lower()
  local known = { gzip = true, deflate = true, br = true, zstd = true, identity = true }
  return known[name] and real.CC_OK or real.CC_EENCODING
end

function fake.cc_request_header_at(_, id, index, name, value)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  local line = sorted(exchange.headers)[index + 1]
  if not line then return real.CC_ENOTFOUND end
  put(name, line[1])
  put(value, line[2])
  return 0
end

function fake.cc_request_accept(_, id)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  exchange.accepted = true
  if exchange.complete then return 0 end
  post(exchange.body_after, real.CC_EVENT_BODY, id)
  return real.CC_ESTATE
end

starts[real.CC_EVENT_BODY] = function(found) state.exchanges[found.id].complete = true end

function fake.cc_request_body(_, id, out)
  put(out, find(id).body)
  return 0
end

local features = {
  pdf = real.CC_HAS_PDF, image_url = real.CC_HAS_IMAGE_URL, tool_forced = real.CC_HAS_TOOL_FORCED,
  signatures = real.CC_HAS_SIGNATURES, cache = real.CC_HAS_CACHE_CONTROL, safeguards = real.CC_HAS_SAFEGUARDS,
}

function fake.cc_request_scan(_, id, out)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  if not exchange.complete then return real.CC_ESTATE end
  if exchange.decode_error then return exchange.decode_error end
  local code = real.cc_scan(exchange.body, #exchange.body, out)
  for _, name in ipairs(exchange.features or {}) do out.features = bit.bor(out.features, features[name]) end
  return code
end

function fake.cc_request_field(_, id, path, size, out)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  local value = json.decode(exchange.body)
  for name in bytes(path, size):gmatch '[^.]+' do
    if type(value) ~= 'table' then return real.CC_ENOTFOUND end
    value = value[name]
  end
  if value == nil then return real.CC_ENOTFOUND end
  put(out, json.encode(value))
  return 0
end

function fake.cc_exchange_timer(_, id, delay)
  local exchange = find(id)
  if not exchange or exchange.over then return real.CC_ESTALE end
  if exchange.timer then drop(exchange.timer) end
  exchange.timer = delay >= 0 and post(delay, real.CC_EVENT_TIMER, id) or nil
  return 0
end

return fake
