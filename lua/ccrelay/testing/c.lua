-- SPDX-License-Identifier: Apache-2.0
-- The C side as a script of a test: a clock that only events move, clients and upstreams that do as
-- they are told. What computes only (cells, limits, digests, JSON) is the real library's. From here on
-- it is what the library gets as ccrelay.c: this has to be required before any of it.
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local world = require 'ccrelay.testing.world'

local real = world.real
local fake = {}

-- Every function is called with as many arguments as relay.h gives it.
local function arity_of(name)
  local header = ffi.string(real.cc_relay_header()):gsub('//[^\n]*', '')
  local list = assert(header:match('[%s%*]' .. name .. '%(([^)]*)%);'), name .. ' is not in relay.h')
  if list == 'void' then return 0 end
  local _, commas = list:gsub(',', ',')
  return commas + 1
end

local function checked(name, implementation)
  local arity = arity_of(name)
  return function(...)
    assert(select('#', ...) == arity, name .. ' takes ' .. arity .. ' arguments')
    return implementation(...)
  end
end

for _, name in ipairs { 'host', 'request', 'attempt', 'answer', 'job' } do
  for function_name, implementation in each(require('ccrelay.testing.' .. name)) do
    fake[function_name] = checked(function_name, implementation)
  end
end
local C = setmetatable(fake, { __index = real })
package.loaded['ccrelay.c'] = C

return {
  C = C, reset = world.reset, arrive = world.arrive, fresh = world.fresh, post = world.post, advance = world.advance,
}
