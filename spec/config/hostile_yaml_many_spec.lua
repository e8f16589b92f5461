-- SPDX-License-Identifier: Apache-2.0
-- Harmful YAML files that consist of many values, keys and so on: each is refused quickly and in little memory.
local hostile = require 'support.config_hostile'

describe('a hostile YAML file is refused in a second and 64 MiB:', function()
  setup(hostile.start)
  teardown(hostile.stop)

  for _, file in ipairs(hostile.files('yaml', true)) do
    it(file.name, function() hostile.check('yaml', file.make()) end)
  end
end)
