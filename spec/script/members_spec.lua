-- SPDX-License-Identifier: Apache-2.0
-- Names that do not exist, in what scripts read and pass: errors that tell the nearest one.
local policy_code = require 'support.policy_code'

local fault_of = policy_code.fault_of

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

  it('is an error in a report, too', function()
    assert.equal('a report has no "totl_ms"; did you mean "total_ms"?', fault_of('', 'local x = report.totl_ms'))
  end)

  it('differs from a name without a value', function()
    assert.equal('none', fault_of([[
      local one, outcome = list[1], exchange:try(list[1])
      local values = { one.org, outcome.error, outcome.detail, outcome.retry_after, outcome.decoded,
        relay.upstreams(exchange, { provider = 'off' }), relay.upstreams(exchange, { wait = false }) }
      return outcome]], 'local x = { report.raced, report.error }'))
  end)
end)
