-- SPDX-License-Identifier: Apache-2.0
-- Harmful YAML files, except those that consist of many of something: each is refused quickly and in little memory.
local hostile = require 'support.config_hostile'

describe('a hostile YAML file is refused in a second and 64 MiB:', function()
  setup(hostile.start)
  teardown(hostile.stop)

  for _, file in ipairs(hostile.files('yaml', false)) do
    it(file.name, function() hostile.check('yaml', file.make()) end)
  end
end)
