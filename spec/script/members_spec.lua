-- SPDX-License-Identifier: Apache-2.0
-- Names that do not exist, in what scripts read and pass: errors that tell the nearest one. And os.date of scripts.
local stage = require 'support.stage'

local PROVIDERS = {
  { name = 'main', type = 'anthropic', keys = { { key = 'sk-m' } } },
  { name = 'off', type = 'zai', enabled = false, keys = { { key = 'sk-o' } } },
}

local function run(code, on_done)
  local self = stage.new { providers = PROVIDERS, policy = ([[
local relay = require 'ccrelay'
return {
  route = function(exchange)
    local list = relay.upstreams(exchange)
    do %s end
    return exchange:first(list)
  end,
  on_done = function(exchange, report) %s end,
}]]):format(code, on_done or '') }
  local answer = self:request()
  return answer, self
end

local function fault_of(code, on_done)
  local _, self = run(code, on_done)
  for _, line in ipairs(self.lines) do
    local text = line:match 'script error: policy.lua:%d+: (.-) id='
    if text then return text end
  end
  return 'none'
end

describe('a name that does not exist', function()
  for code, message in pairs {
    ['relay.upstreams(exchange, { provder = "main" })'] =
      'the filter of relay.upstreams has no "provder"; did you mean "provider"?',
    ['relay.upstreams(exchange, { provider = "mian" })'] = 'there is no provider "mian"; did you mean "main"?',
    ['relay.upstreams(exchange, { provider = "bedrock" })'] = 'there is no provider "bedrock"; expected main or off',
    ['relay.upstreams(exchange, "main")'] = 'the filter of relay.upstreams: found a string, expected a table',
    ['exchange:race(list, { after = 5 })'] = 'what exchange:race takes has no "after"; expected after_ms',
    ['exchange:respond { stauts = 200 }'] = 'what exchange:respond takes has no "stauts"; did you mean "status"?',
    ['exchange:respond { 200 }'] = 'what exchange:respond takes has no "1"; expected body, headers or status',
    ['exchange:stream(function() end, { header = {} })'] =
      'what exchange:stream takes has no "header"; did you mean "headers"?',
    ['exchange:abort { rset = true }'] = 'what exchange:abort takes has no "rset"; did you mean "reset"?',
    ['exchange:stream(function(w) w:abort { row = "x" } end)'] =
      'what writer:abort takes has no "row"; did you mean "raw"?',
    ['exchange:stream(function(w) w:wirte "x" end)'] = 'a writer has no "wirte"; did you mean "write"?',
    ['exchange:frist(list)'] = 'an exchange has no "frist"; did you mean "first"?',
    ['return exchange:first(tosrting(list))'] = 'there is no global "tosrting"; did you mean "tostring"?',
    ['local x = list[1].proivder'] = 'an upstream has no "proivder"; did you mean "provider"?',
    ['local x = exchange:try(list[1]).staus'] = 'an outcome has no "staus"; did you mean "status"?',
    ['exchange:try(list[1]).retry_afer = 1'] = 'outcome.retry_afer cannot be assigned; did you mean "retry_after"?',
  } do
    it('is an error: ' .. code, function()
      assert.equal(message, fault_of(code))
    end)
  end

  it('is an error of a report', function()
    assert.equal('a report has no "totl_ms"; did you mean "total_ms"?', fault_of('', 'local x = report.totl_ms'))
  end)

  it('is told from names without a value', function()
    assert.equal('none', fault_of([[
      local one, outcome = list[1], exchange:try(list[1])
      local values = { one.org, outcome.error, outcome.detail, outcome.retry_after, outcome.decoded,
        relay.upstreams(exchange, { provider = 'off' }), relay.upstreams(exchange, { wait = false }) }
      return outcome]], 'local x = { report.raced, report.error }'))
  end)
end)

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

  it('gives a table, and is on the clock of the stage', function()
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
