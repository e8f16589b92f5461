-- SPDX-License-Identifier: Apache-2.0
local metrics = require 'ccrelay.log.metrics'

describe('metrics', function()
  local text = metrics.text({
    exchanges = 7, status_2xx = 5, status_5xx = 2, ['attempts:zai'] = 3, ['tokens_input:zai'] = 1200,
    ['attempts:a"b\\c'] = 1,
  }, { { name = 'generation', help = 'number', value = 4 } })

  it('have one TYPE line for each family of counters', function()
    assert.truthy(text:find('# TYPE ccrelay_exchanges_total counter\nccrelay_exchanges_total 7\n', 1, true))
    assert.truthy(text:find('ccrelay_status_total{class="2xx"} 5\nccrelay_status_total{class="5xx"} 2\n', 1, true))
    local _, count = text:gsub('# TYPE ccrelay_status_total', '')
    assert.equal(1, count)
  end)

  it('name the provider and the kind of tokens', function()
    assert.truthy(text:find('ccrelay_provider_attempts_total{provider="zai"} 3\n', 1, true))
    assert.truthy(text:find('ccrelay_provider_tokens_total{provider="zai",kind="input"} 1200\n', 1, true))
  end)

  it('escape labels', function()
    assert.truthy(text:find('{provider="a\\"b\\\\c"} 1', 1, true))
  end)

  it('include gauges with a label', function()
    local values = { { label = 'a', value = 0 }, { label = 'b"', value = 0.25 } }
    local shown = metrics.text({}, { { name = 'circuit', help = 'h', by = 'provider', values = values },
      { name = 'none', help = 'h', by = 'key', values = {} } })
    assert.equal('# HELP ccrelay_circuit h\n# TYPE ccrelay_circuit gauge\nccrelay_circuit{provider="a"} 0\n'
      .. 'ccrelay_circuit{provider="b\\""} 0.25\n', shown)
  end)

  it('end with gauges and a newline', function()
    assert.truthy(text:find('# TYPE ccrelay_generation gauge\nccrelay_generation 4\n$'))
  end)
end)
