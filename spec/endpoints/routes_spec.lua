-- SPDX-License-Identifier: Apache-2.0
local lists = require 'support.lists'

local get = lists.get

describe('the paths that probes ask', function()
  for path, member in pairs { ['/'] = 'name', ['/health'] = 'status', ['/health/ready'] = 'status',
    ['/api/hello'] = 'message' } do
    it(path .. ' answers 200', function()
      for _, method in ipairs { 'GET', 'HEAD' } do
        local answer, exchange = get(path, { method = method, headers = { host = 'any.example' } })
        assert.equal(200, answer.status)
        assert.is_string(answer.json[member])
        assert.equal(0, #exchange.tries)
      end
    end)
  end
end)
