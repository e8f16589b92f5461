-- SPDX-License-Identifier: Apache-2.0
-- The scripted C side: replaces ccrelay.c for tests. Its clock moves only with events; clients and upstreams do what
-- the test says. Functions that only compute (cells, limits, digests, JSON) are the real library's. It must be required
-- before any other module of the library.
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local world = require 'ccrelay.testing.world'

local real = world.real
local fake = {}

-- The number of parameters that runtime/api declares for a function; a call with another number fails.
local function arity_of(name)
  local header = ffi.string(real.cc_relay_header()):gsub('//[^\n]*', '')
  local list = assert(header:match('[%s%*]' .. name .. '%(([^)]*)%);'), name .. ' is not in runtime/api')
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
