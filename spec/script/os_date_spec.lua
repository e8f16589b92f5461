-- SPDX-License-Identifier: Apache-2.0
local policy_code = require 'support.policy_code'

local run, fault_of = policy_code.run, policy_code.fault_of

describe('os.date of scripts', function()
  local AT = '1775354000' -- 2026-04-05 01:53:20 UTC

  local function date(arguments)
    return (run('return exchange:respond { body = tostring(os.date(' .. arguments .. ')) }').body)
  end

  for arguments, expected in pairs {
    ["'!%Y-%m-%d %H:%M:%S', " .. AT] = '2026-04-05 01:53:20',
    ["'%H:%M %z', " .. AT .. ", 'UTC'"] = '01:53 +0000',
    ["'%H:%M %z %Z', " .. AT .. ", '+05:30'"] = '07:23 +0530 +0530',
    ["'%d %H', " .. AT .. ", '-0300'"] = '04 22',
    ["'!%H %%z', " .. AT .. ", '+01:00'"] = '02 %z',
  } do
    it('takes ' .. arguments, function() assert.equal(expected, date(arguments)) end)
  end

  it('gives a table, by the simulated clock', function()
    local hour = ("return exchange:respond { body = tostring(os.date('*t', %s, '-03:00').hour) }"):format(AT)
    assert.equal('22', run(hour).body)
    assert.equal(true, run([[
      return exchange:respond { body = tostring(os.date '!%c' == os.date('!%c', os.time())) }]]).body == 'true')
  end)

  for arguments, message in pairs {
    ["'%Q'"] = 'os.date has no conversion "%Q"', ["'%'"] = 'os.date has no conversion "%"',
    ["'%9999999d'"] = 'os.date has no conversion "%9"',
    ["('x'):rep(300)"] = 'os.date takes a format, a text of at most 256 bytes',
    ["'%c', -1"] = 'os.date takes seconds since 1970', ["'%c', 0/0"] = 'os.date takes seconds since 1970',
    ["'%c', 1e300"] = 'os.date takes seconds since 1970',
    ["'%c', 1, 'Mars'"] = 'os.date does not know the time zone "Mars"; expected "UTC" or an offset like "+02:00"',
  } do
    it('refuses ' .. arguments, function()
      assert.equal(message, fault_of('local x = os.date(' .. arguments .. ')'))
    end)
  end
end)
