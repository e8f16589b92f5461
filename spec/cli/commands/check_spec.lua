-- SPDX-License-Identifier: Apache-2.0
-- ccrelay check, as the program does it. Warnings: spec/product/check_warnings_spec.lua and check_policy_spec.lua.
local check_program = require 'support.check_program'

local has, run, PAGE = check_program.has, check_program.run, check_program.PAGE

describe('ccrelay check', function()
  setup(check_program.start)
  teardown(check_program.stop)

  it('prints which upstreams are tried for which model, in order', function()
    local code, out, err = run(PAGE)
    assert.same({ 0, '' }, { code, (err:gsub('[^\n]*everybody can read[^\n]*\n', '')) })
    has(out, 'c.yaml: valid\n')
    local rows = {}
    for model, row in out:gmatch '\n  (%S+)%s%s+([^\n]*)' do rows[model] = row end
    local haiku = 'anthropic, zai/1 as GLM-4.5-Air, zai/2 as GLM-4.5-Air, ollama as qwen3:8b'
    for model, row in pairs {
      ['claude-haiku-3-5'] = haiku, ['claude-haiku-3-5-20241022'] = haiku, ['claude-sonnet-4-5'] = 'anthropic',
      ['claude-opus-4-5-20250514'] = 'anthropic', ['GLM-4.7'] = 'zai/1, zai/2', ['qwen3:8b'] = 'ollama',
    } do assert.equal(row, rows[model], model) end
    has(out, '\n  any other name')
    has(out, 'ollama is also tried for the models that it lists')
  end)

  for model, row in pairs {
    ['claude-haiku-3-5'] = 'anthropic, zai/1 as GLM-4.5-Air, zai/2 as GLM-4.5-Air, ollama as qwen3:8b',
    ['GLM-4.7'] = 'zai/1, zai/2', ['unheard-of'] = 'anthropic, zai/1, zai/2, ollama',
  } do
    it('prints one row for --model ' .. model, function()
      local code, out = run(PAGE, '--model ' .. model)
      assert.same({ 0, row .. '\n' }, { code, out })
    end)
  end

  it('says that none is tried where serves excludes a model everywhere', function()
    local _, out = run('providers: [{name: a, type: anthropic, serves: ["claude-haiku-*"]}]', '--model claude-opus-5')
    assert.equal('none\n', out)
  end)

  it('marks providers that are used with the client\'s own credential', function()
    local _, out = run('providers: [{name: a, type: anthropic}]', '--model claude-opus-5')
    assert.equal('a (client\'s credential)\n', out)
  end)

  it('takes --model only once and with a name', function()
    local code, _, err = run(PAGE, '--model')
    assert.equal(64, code)
    has(err, '--model needs a value')
  end)
end)
