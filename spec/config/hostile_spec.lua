-- SPDX-License-Identifier: Apache-2.0
-- Each hostile file in a process of its own, which tells how much memory it took at most. The bound on
-- processor time is three times the promise, for slow machines and sanitizers.
local cases = require 'support.config_hostile'
local helper = require 'support.config_helper'

local MOST_MEBIBYTES = 64
local SANITIZED_MEBIBYTES = 40

local script = [[
package.path = './lua/?.lua;./lua/?/init.lua;' .. package.path
local config = require 'ccrelay.config'
local got, faults = config.load { path = arg[1], dir = arg[2], env = function() end }
local peak
for line in io.lines '/proc/self/status' do peak = peak or line:match 'VmHWM:%s*(%d+)' end
print(got and 'accepted' or 'refused', math.ceil(peak / 1024), got and '' or config.text(faults[1]))
]]

describe('a hostile file is refused in a second and 64 MiB:', function()
  local folder, most

  teardown(function() helper.remove(folder) end)

  local function run(path)
    local command = 'ulimit -t 3; luajit %s/load.lua %s %s 2>&1'
    local pipe = assert(io.popen(command:format(folder, path, helper.tree())))
    local answer = pipe:read '*a'
    pipe:close()
    local verdict, peak = answer:match '^(%a+)\t(%d+)'
    return verdict or answer, tonumber(peak)
  end

  setup(function()
    folder = helper.folder()
    helper.write(folder .. '/load.lua', script)
    helper.write(folder .. '/good.yaml', 'routing: {}')
    local verdict, peak = run(folder .. '/good.yaml')
    assert.equal('accepted', verdict)
    most = peak < SANITIZED_MEBIBYTES and MOST_MEBIBYTES or nil
    if not most then print 'the library is built with sanitizers: memory is not judged' end
  end)

  for _, case in ipairs(cases) do
    local format, name, make = case[1], case[2], case[3]
    it(format .. ', ' .. name, function()
      local path = ('%s/hostile.%s'):format(folder, format)
      helper.write(path, make())
      local verdict, peak = run(path)
      assert.equal('refused', verdict)
      if most then assert.is_true(peak < most, ('%d MiB'):format(peak)) end
    end)
  end
end)
