-- SPDX-License-Identifier: Apache-2.0
-- ccrelay client: what it prints and writes, and what it refuses. tests/e2e/client_command.test.mjs has the rest.
local client = require 'ccrelay.cli.commands.client'
local json = require 'ccrelay.util.json'
local sha256 = require 'ccrelay.util.sha256'

describe('ccrelay client', function()
  local folder, config, out, err

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    config = folder .. '.yaml'
    local file = assert(io.open(config, 'w'))
    file:write('server: {state_dir: "', folder, '", auth: {groups: [{name: lab}], clients: [{name: carol, key: k}]}}\n')
    file:close()
  end)

  after_each(function()
    os.remove(folder .. '/clients.json')
    os.remove(folder)
    os.remove(config)
  end)

  local function run(...)
    local real_out, real_err = io.stdout, io.stderr
    local function catcher(parts)
      return { write = function(_, ...)
        for _, part in ipairs { ... } do parts[#parts + 1] = part end
      end }
    end
    local first, second = {}, {}
    io.stdout, io.stderr = catcher(first), catcher(second) -- luacheck: ignore
    local ok, code = pcall(client.run, { ... })
    io.stdout, io.stderr = real_out, real_err -- luacheck: ignore
    out, err = table.concat(first), table.concat(second)
    assert(ok, code)
    return code
  end

  local function stored()
    local file = assert(io.open(folder .. '/clients.json'))
    local text = file:read '*a'
    file:close()
    return json.decode(text).clients, text
  end

  it('add prints the key alone on stdout and stores its digest', function()
    assert.equal(0, run('add', 'alice', '--group', 'lab', '--rpm', '5', '--expires', '2999-01-31', '--config', config))
    local key = out:match '^(sk%-ccrelay%-[%w_-]+)\n$'
    assert.equal(54, #key)
    local list, text = stored()
    assert.is_nil(text:find(key, 1, true))
    list[1].added = nil
    assert.same({ { name = 'alice', group = 'lab', rpm_limit = 5, expires = '2999-01-31',
      key_sha256 = sha256.hex(key, 32) } }, list)
    assert.equal(0, run('add', 'bob', '--config', config))
    assert.not_equal(key, out:sub(1, -2))
    assert.equal(2, #stored())
  end)

  it('revoke makes no folder', function()
    assert.not_equal(0, run('revoke', 'alice', '--config', config))
    assert.match(folder:gsub('%p', '%%%0') .. ': ', err)
    assert.is_nil(io.open(folder))
  end)

  it('add refuses what the relay would refuse, and changes nothing', function()
    assert.equal(0, run('add', 'alice', '--config', config))
    local _, before = stored()
    local function refused(pattern, ...)
      assert.not_equal(0, run('add', ...))
      assert.match(pattern, err)
      assert.equal('', out)
      assert.equal(before, select(2, stored()))
    end
    refused('there is a client "alice"', 'alice', '--config', config)
    refused('found "carol" again', 'carol', '--config', config)
    refused('a name: up to', 'a b', '--config', config)
    refused('server.auth.groups', 'dan', '--group', 'none', '--config', config)
    refused('is over', 'dan', '--expires', '2020-01-01', '--config', config)
    refused('expires: found', 'dan', '--expires', 'soon', '--config', config)
    refused('a budget needs routing.prices', 'dan', '--budget-per-day', '3', '--config', config)
    refused('whole number', 'dan', '--rpm', 'x', '--config', config)
    refused('a name is missing', '--config', config)
    refused('server.state_dir is off', 'dan', '--config', config, '--state-dir', 'off')
  end)

  it('revoke marks a client; its name can be given again', function()
    assert.equal(0, run('add', 'alice', '--config', config))
    assert.equal(0, run('revoke', 'alice', '--config', config))
    assert.match('^%d+%-%d+%-%d+T', stored()[1].revoked)
    assert.equal(1, run('revoke', 'alice', '--config', config))
    assert.match('revoked already', err)
    assert.equal(1, run('revoke', 'nobody', '--config', config))
    assert.match('there is no client "nobody"', err)
    assert.equal(1, run('revoke', 'carol', '--config', config))
    assert.match('is a client of the configuration', err)
    assert.equal(0, run('add', 'alice', '--config', config))
    assert.equal(1, #stored())
    assert.is_nil(stored()[1].revoked)
  end)

  it('list shows clients without keys', function()
    assert.equal(0, run('add', 'alice', '--tpm', '9', '--config', config))
    assert.equal(0, run('list', '--json', '--config', config))
    local rows = json.decode(out)
    assert.is_string(rows[2].added)
    rows[2].added = nil
    assert.same({ { name = 'carol', source = 'configuration', state = 'active' },
      { name = 'alice', source = 'state_dir', state = 'active', tpm_limit = 9 } }, rows)
    assert.equal(0, run('list', '--config', config))
    assert.match('\nalice +active +%- +%- +state_dir +tpm_limit=9\n$', out)
    assert.equal(64, run())
    assert.match('add, list or revoke', err)
  end)
end)
