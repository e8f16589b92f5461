-- SPDX-License-Identifier: Apache-2.0
local task = require 'ccrelay.sched.task'

describe('a task that runs alone', function()
  it('returns what its work returns, also after it has slept', function()
    assert.same({ 1, 2 }, { task.run_alone(function()
      task.sleep(1)
      return 1, 2
    end) })
  end)

  it('runs others beside it', function()
    local order = {}
    task.run_alone(function()
      task.start(function()
        task.sleep(1)
        order[1] = 'other'
      end)
      while #order == 0 do task.sleep(1) end
      order[2] = 'first'
    end)
    assert.same({ 'other', 'first' }, order)
  end)
end)
