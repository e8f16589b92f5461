-- SPDX-License-Identifier: Apache-2.0
-- METRICS.md describes every metric as /metrics does, and the examples for Grafana and Prometheus use no others.
local families = require 'ccrelay.log.families'

local function read(path)
  local file = assert(io.open(path, 'r'))
  local text = file:read '*a'
  file:close()
  return text
end

-- The line of a metric in METRICS.md.
local function row(family)
  local labels = #family.labels > 0 and '`' .. table.concat(family.labels, '`, `') .. '`' or ''
  return ('| `ccrelay_%s` | %s | %s | %s |'):format(family.name, family.type, labels, family.help)
end

-- Names of all series by the names of their metrics.
local function names()
  local known = {}
  for _, family in ipairs(families) do
    local ends = family.type == 'histogram' and { '_bucket', '_sum', '_count' } or { '' }
    for _, last in ipairs(ends) do known['ccrelay_' .. family.name .. last] = family end
  end
  return known
end

describe('METRICS.md', function()
  local text = read 'METRICS.md'

  it('has every metric under its heading, and no others', function()
    local expected, group = {}, nil
    for _, family in ipairs(families) do
      if family.group ~= group then expected[#expected + 1] = '## ' .. family.group end
      group = family.group
      expected[#expected + 1] = row(family)
    end
    local found = {}
    for line in text:gmatch '[^\n]+' do
      if line:find '^| `ccrelay_' or line:find '^## ' and not line:find '^## How' then found[#found + 1] = line end
    end
    assert.same(expected, found)
  end)
end)

for _, file in ipairs { 'dashboard.json', 'alerts.yaml', 'alerts_test.yaml' } do
  describe('examples/grafana/' .. file, function()
    local text, known = read('examples/grafana/' .. file), names()

    it('uses metrics that exist', function()
      local count = 0
      for name in text:gmatch 'ccrelay_[%w_]+' do
        count = count + 1
        assert.truthy(known[name], name)
      end
      assert.is_true(count > 10)
    end)

    it('uses labels that its metrics have', function()
      for name, selector in text:gmatch '(ccrelay_[%w_]+){(.-)}' do
        for label in selector:gsub('\\"', '"'):gmatch '([%a_]+)[=!]' do
          local found = label == 'instance' or label == 'le'
          for _, one in ipairs(known[name].labels) do found = found or one == label end
          assert.is_true(found, name .. ' has no label ' .. label)
        end
      end
    end)
  end)
end
