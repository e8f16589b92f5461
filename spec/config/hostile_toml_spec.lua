-- SPDX-License-Identifier: Apache-2.0
-- Harmful TOML files: each is refused quickly and in little memory.
local hostile = require 'support.config_hostile'

describe('a hostile TOML file is refused in a second and 64 MiB:', function()
  setup(hostile.start)
  teardown(hostile.stop)

  for _, file in ipairs(hostile.files 'toml') do
    it(file.name, function() hostile.check('toml', file.make()) end)
  end
end)
