-- SPDX-License-Identifier: Apache-2.0
local C = require 'ccrelay.c'
local helper = require 'support.config_helper'
local bundle = require 'ccrelay.generation.bundle'
local watch = require 'ccrelay.process.watch'

describe('watched files', function()
  local folder, options, relay, self, tried

  local function path(name) return folder .. '/' .. name end

  local function save(text, name) helper.write(path(name or 'policy.lua'), text) end

  local function shell(command)
    assert(os.execute(('cd %s && %s'):format(folder, command)) == 0)
  end

  before_each(function()
    folder, relay = helper.folder(), C.cc_open()
    save 'return 1'
    options = { data = { providers = {} }, policy = path 'policy.lua', watch = true, insecure = false }
    self, tried = watch.new(relay, options), bundle.saved(options)
    assert.same({}, self:follow(tried))
  end)

  after_each(function()
    C.cc_close(relay)
    helper.remove(folder)
  end)

  -- Looks at these times; whether each found them due.
  local function look(...)
    local answers = {}
    for index, now in ipairs { ... } do answers[index] = self:due(tried, now) end
    return answers
  end

  it('are due when they have not changed for 100 ms', function()
    assert.same({ false, false }, look(0, 500))
    save 'return 2'
    assert.same({ false, false, true }, look(1000, 1050, 1100))
    assert.same({ false }, look(1150))
  end)

  it('are not due while they change, up to a limit', function()
    save 'return 2'
    assert.same({ false, false }, look(0, 50))
    save 'return 3'
    assert.same({ false, false, true }, look(90, 150, 190))
    for number = 0, 5 do
      save('return ' .. 4 + number)
      assert.same({ false }, look(1000 + number * 50))
    end
    save 'return 20'
    assert.same({ true }, look(1300))
  end)

  it('are not delayed by other files in the folder', function()
    save 'return 2'
    for now = 0, 50, 10 do
      save(tostring(now), 'relay.log')
      assert.same({ false }, look(now))
    end
    save('more', 'relay.log')
    assert.same({ true }, look(100))
  end)

  it('are not due when a change was undone', function()
    save 'return 2'
    assert.same({ false }, look(0))
    save 'return 1'
    assert.same({ false, false }, look(50, 400))
  end)

  it('are due once when they can no longer be read', function()
    shell 'chmod 666 policy.lua'
    assert.same({ false, true }, look(0, 100))
    tried = bundle.saved(options)
    assert.is_truthy(bundle.text(tried.faults):find('--insecure-permissions', 1, true))
    assert.same({ false, false }, look(200, 300))
    shell 'rm policy.lua'
    assert.same({ false, true }, look(400, 500))
  end)

  it('are still watched while they cannot be read', function()
    shell 'mkdir etc'
    save('providers: []', 'etc/config.yaml')
    options.data, options.config = nil, path 'etc/config.yaml'
    tried = bundle.saved(options)
    assert.same({}, self:follow(tried))
    shell 'chmod 666 etc/config.yaml'
    assert.same({ false, true }, look(0, 100))
    tried = bundle.saved(options)
    assert.same({ false }, look(200))
    assert.is_number(self.numbers[path 'etc'])
  end)

  it('are watched through symbolic links, also after those change', function()
    shell 'mkdir ..1 ..2 && rm policy.lua && ln -s ..1 ..data && ln -s ..data/policy.lua policy.lua'
    save('return 1', '..1/policy.lua')
    save('return 2', '..2/policy.lua')
    tried = bundle.saved(options)
    assert.same({}, self:follow(tried))
    assert.is_number(self.numbers[path '..1'])
    assert.is_number(self.numbers[folder])
    assert.is_nil(self.numbers[path '..2'])
    shell 'ln -s ..2 next && mv -T next ..data'
    assert.same({ false, true }, look(0, 100))
    assert.is_nil(self.numbers[path '..1'])
    assert.is_number(self.numbers[path '..2'])
  end)

  it('are still watched after their folder was removed and made again', function()
    shell 'mkdir sub && mv policy.lua sub'
    options.policy = path 'sub/policy.lua'
    tried = bundle.saved(options)
    assert.same({}, self:follow(tried))
    local number = self.numbers[path 'sub']
    shell 'rm -r sub'
    assert.same({ path 'sub' }, self:follow(tried))
    assert.same({}, self:follow(tried))
    assert.equal(number, self.numbers[path 'sub'])
  end)

  it('include those of server.tls', function()
    save('a', 'cert.pem')
    save('b', 'key.pem')
    options.tls = { cert = path 'cert.pem', key = path 'key.pem' }
    tried = bundle.saved(options)
    assert.equal(32, #tried.tls)
    save('c', 'key.pem')
    assert.same({ false, true }, look(0, 100))
    shell 'rm cert.pem'
    assert.is_truthy(bundle.text(bundle.saved(options).faults):find('server.tls: .*cert.pem'))
  end)

  it('are not watched with --watch no', function()
    options.watch = false
    local other = watch.new(relay, options)
    assert.same({}, other:follow(tried))
    assert.same({}, other.numbers)
  end)
end)
