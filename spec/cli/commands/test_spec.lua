-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test, as the program does it.
local helper = require 'support.config_helper'

local POLICY = "local relay = require 'ccrelay'\n"
  .. 'return function(exchange) return exchange:first(relay.upstreams(exchange)) end\n'
local HEAD = "local testing = require 'ccrelay.testing'\n"

local function program()
  return os.getenv 'CCRELAY_BIN' or (os.getenv 'CCRELAY_LIB':gsub('libccrelay%.so$', 'ccrelay'))
end

describe('ccrelay test', function()
  local folder, root

  setup(function()
    folder = helper.folder()
    local pipe = io.popen 'pwd'
    root = pipe:read '*l'
    pipe:close()
    helper.write(folder .. '/mine.lua', POLICY)
  end)
  teardown(function() helper.remove(folder) end)

  local function run(arguments, variables)
    local command = 'cd %s && CCRELAY_ROOT=%s %s timeout 60 %s test %s >out 2>err; echo $?'
    local pipe = assert(io.popen(command:format(folder, root, variables or '', program(), arguments)))
    local code = tonumber(pipe:read '*a')
    pipe:close()
    return code, helper.read(folder .. '/out'), helper.read(folder .. '/err')
  end

  local function testing(text)
    helper.write(folder .. '/mine_test.lua', HEAD .. text)
    return run 'mine_test.lua'
  end

  it('runs the example of policies/README.md', function()
    local text = helper.read 'policies/testing.md':match "```lua\n(local testing = .-)```"
    helper.write(folder .. '/mine_test.lua', text)
    local code, out = run 'mine_test.lua'
    assert.equal(0, code, out)
    assert.is_truthy(out:find('1 success /', 1, true), out)
  end)

  it('fails when a test fails, and runs the others', function()
    local code, out = testing [[
      it('is wrong', function() assert.equal(200, testing.stage { policy = 'mine.lua' }:request().status + 1) end)
      it('is right', function() assert.equal(200, testing.stage { policy = 'mine.lua' }:request().status) end)
      it('breaks', function() error 'a fault of the test' end)
    ]]
    assert.equal(1, code)
    assert.is_truthy(out:find('1 success / 1 failure / 1 error', 1, true), out)
    assert.is_truthy(out:find('a fault of the test', 1, true), out)
  end)

  it('fails when a test or a file raises an error', function()
    local good = "it('is right', function() end)\n"
    assert.equal(0, (testing(good)))
    assert.equal(1, (testing(good .. "it('is wrong', function() assert.equal(1, 2) end)")))
    assert.equal(1, (testing(good .. "it('breaks', function() error 'a fault' end)")))
    assert.equal(1, (testing(good .. "describe('all', function() error 'a fault' end)")))
  end)

  it('fails for a file that is not Lua, and for one without a test', function()
    local code, out = testing 'it('
    assert.equal(1, code)
    assert.is_truthy(out:find('mine_test.lua', 1, true), out)
    local err
    code, out, err = testing ''
    assert.equal(1, code, out)
    assert.is_truthy(err:find('no tests were found', 1, true), err)
  end)

  it('goes on when a file calls os.exit', function()
    helper.write(folder .. '/other_test.lua', "it('is wrong', function() assert.equal(1, 2) end)\n")
    for _, ending in ipairs { 'os.exit(0)', "it('ends', function() os.exit() end)" } do
      helper.write(folder .. '/mine_test.lua', ending)
      local code, out = run 'mine_test.lua'
      assert.equal(1, code, out)
      assert.is_truthy(out:find('mine_test.lua:1: os.exit', 1, true), out)
      code, out = run 'mine_test.lua other_test.lua'
      assert.equal(1, code)
      assert.is_truthy(out:find('1 failure / 1 error', 1, true), out)
    end
  end)

  it('tells pending tests from no tests', function()
    local code, out, err = testing "pending 'later'\nit 'some day'"
    assert.equal(1, code, out)
    assert.is_truthy(err:find('all tests are pending, none was run', 1, true), err)
    assert.equal(0, (testing "pending 'later'\nit('is right', function() end)"))
  end)

  it('forgets what was learned in one file before the next', function()
    helper.write(folder .. '/mine_test.lua', HEAD .. [[
      it('learns', function()
        local first = { name = 'a', keys = { { key = 'k', priority = 2 } } }
        local stage = testing.stage { providers = { first, { name = 'b' } } }
        stage:reply('a', { headers = { ['anthropic-ratelimit-requests-limit'] = '1' } })
        assert.same({ 'a', 'b' }, { stage:request().provider, stage:request().provider })
      end)
    ]])
    helper.write(folder .. '/other_test.lua', HEAD .. [[
      it('knows nothing', function()
        local first = { name = 'a', keys = { { key = 'k', priority = 2 } } }
        local stage = testing.stage { providers = { first, { name = 'b' } } }
        for _ = 1, 3 do assert.equal('a', stage:request().provider) end
      end)
    ]])
    local code, out = run 'mine_test.lua other_test.lua'
    assert.equal(0, code, out)
  end)

  it('shares no state between the files of a run', function()
    helper.write(folder .. '/other_test.lua', HEAD .. [[
      it('begins anew', function()
        assert.is_nil(rawget(_G, 'left'))
        assert.equal(0, testing.stage { policy = 'mine.lua' }:cell('kept'):get())
      end)
    ]])
    local code, out = testing [[
      left = true
      it('leaves something', function() testing.stage { policy = 'mine.lua' }:cell('kept'):set(7) end)
    ]]
    assert.equal(0, code, out)
    code, out = run 'mine_test.lua other_test.lua mine_test.lua'
    assert.equal(0, code, out)
    assert.is_truthy(out:find('3 successes', 1, true), out)
  end)

  it('ends a policy that runs for ever, and goes on with the tests', function()
    helper.write(folder .. '/endless.lua', 'return function() while true do end end\n')
    local code, out = testing [[
      it('is stopped', function()
        local stage = testing.stage { policy = 'endless.lua' }
        for _ = 1, 2 do assert.equal(500, stage:request().status) end
        assert.is_truthy(stage:faults()[1]:find 'ran for more than')
      end)
      it('does not count what the test itself takes', function()
        local stage, till = testing.stage { policy = 'mine.lua' }, os.clock() + 0.2
        repeat until os.clock() > till
        assert.equal(200, stage:request().status)
      end)
    ]]
    assert.equal(0, code, out)
  end)

  it('finds a policy relative to the folder of its test, wherever it is run', function()
    os.execute('mkdir -p ' .. folder .. '/ccrelay/testing')
    helper.write(folder .. '/ccrelay/mine.lua', POLICY)
    helper.write(folder .. '/ccrelay/testing/mine_test.lua', HEAD
      .. "it('works', function() assert.equal(200, testing.stage { policy = '../mine.lua' }:request().status) end)")
    local code, out = run 'ccrelay/testing/mine_test.lua'
    assert.equal(0, code, out)
    code, out = run(folder .. '/ccrelay/testing/mine_test.lua')
    assert.equal(0, code, out)
  end)

  it('says what is missing', function()
    local code, _, err = run ''
    assert.equal(64, code)
    assert.is_truthy(err:find('FILE is missing', 1, true), err)
    code, _, err = run 'none_test.lua mine.lua'
    assert.equal(1, code)
    assert.is_truthy(err:find('none_test.lua: there is no such file', 1, true), err)
    code, _, err = run('mine.lua', "LUA_PATH='/nowhere/?.lua'")
    assert.equal(69, code)
    assert.is_truthy(err:find('busted is missing; install the package lua-busted', 1, true), err)
  end)
end)
