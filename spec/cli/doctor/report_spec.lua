-- SPDX-License-Identifier: Apache-2.0
local json = require 'ccrelay.util.json'
local report = require 'ccrelay.cli.doctor.report'

describe('the report of ccrelay doctor', function()
  local finding = { check = 'clock', what = 'it is late', where = 'this machine', cure = 'set it' }
  local results = {
    { name = 'configuration', title = 'configuration', findings = {} },
    { name = 'clock', title = 'clock', findings = { finding } },
    { name = 'keys', title = 'keys', findings = {}, skipped = '--offline' },
  }

  it('has a line for each check, and the findings with their cures', function()
    assert.equal([[
configuration      ok
clock              1 finding
  this machine: it is late
    cure: set it
keys               not checked: --offline
1 finding
]], report.text(results))
  end)

  it('is healthy without findings', function()
    local healthy = { results[1] }
    assert.equal(0, report.count(healthy))
    assert.is_truthy(report.text(healthy):find '\nno findings\n$')
    assert.same({ healthy = true, findings = {}, checks = { { name = 'configuration', findings = 0 } } },
      json.decode(report.json(healthy)))
  end)

  it('tells programs the same', function()
    local told = json.decode(report.json(results))
    assert.is_false(told.healthy)
    assert.same({ finding }, told.findings)
    assert.equal('--offline', told.checks[3].skipped)
  end)
end)
