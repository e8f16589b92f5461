-- SPDX-License-Identifier: Apache-2.0
-- Every spec lies where its module lies, or spec/README.md tells why not.

local function exists(path)
  local file = io.open(path, 'r')
  if file then file:close() end
  return file ~= nil
end

local function specs()
  local list = {}
  local listing = assert(io.popen [[find spec -name '*_spec.lua' -not -path 'spec/product/*']])
  for path in listing:lines() do list[#list + 1] = path:match '^spec/(.*)_spec%.lua$' end
  listing:close()
  return list
end

local TOPICS = {
  ['config/blocks'] = true, ['config/hostile_toml'] = true, ['config/hostile_yaml'] = true,
  ['config/hostile_yaml_many'] = true, ['config/skipped'] = true,
}

it('every spec has the module of its name', function()
  local found = specs()
  assert.is_true(#found > 50)
  for _, name in ipairs(found) do
    local has_module = exists('lua/ccrelay/' .. name .. '.lua')
    assert(has_module or TOPICS[name], 'spec/' .. name .. '_spec.lua has no module lua/ccrelay/' .. name .. '.lua')
  end
end)
