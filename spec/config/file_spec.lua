-- SPDX-License-Identifier: Apache-2.0
local C = require 'ccrelay.c'
local config = require 'ccrelay.config'
local file = require 'ccrelay.config.file'
local helper = require 'support.config_helper'

describe('a file is trusted', function()
  local me, mine = 1000, 1001
  local octal = { [644] = 420, [664] = 436, [646] = 422, [600] = 384 }

  local function distrust(owner, group, mode)
    return file.distrust({ owner = owner, group = group, mode = octal[mode] }, me, mine)
  end

  it('if root or the running user owns it', function()
    assert.is_nil(distrust(me, mine, 644))
    assert.is_nil(distrust(0, 0, 600))
    assert.is_truthy(distrust(me + 1, mine, 600))
    local own = { owner = C.cc_user(), group = C.cc_group(), mode = octal[664] }
    assert.is_nil(file.distrust(own))
  end)

  it('unless others may write to it, or a group that is not the owner\'s own', function()
    assert.is_truthy(distrust(me, mine, 646))
    assert.is_nil(distrust(me, mine, 664))
    assert.is_truthy(distrust(me, mine + 1, 664))
    assert.is_nil(distrust(0, 0, 664))
    assert.is_nil(distrust(me, mine + 1, 644))
  end)
end)

describe('reading a configuration', function()
  local folder

  before_each(function() folder = helper.folder() end)
  after_each(function() helper.remove(folder) end)

  local function load(name, more)
    local options = { path = folder .. '/' .. name, dir = helper.tree(), env = function() end }
    for key, value in pairs(more or {}) do options[key] = value end
    local got, list = config.load(options)
    return got, got and '' or config.text(list[1])
  end

  it('refuses a file that everybody may write to, unless that is allowed', function()
    helper.write(folder .. '/c.yaml', 'routing: {}')
    assert.equal(folder .. '/c.yaml', load('c.yaml').source)
    assert(os.execute('chmod 666 ' .. folder .. '/c.yaml') == 0)
    local got, fault = load 'c.yaml'
    assert.is_nil(got)
    assert.is_truthy(fault:find('refused: everybody may write to it', 1, true))
    assert.is_truthy(load('c.yaml', { check_permissions = false }))
  end)

  it('refuses certificate files that everybody may write to, unless that is allowed', function()
    for path, words in pairs {
      ['server.tls.key'] = 'server: {tls: {cert: FOLDER/cert.pem, key: FOLDER/f.pem}}',
      ['providers[0].ca_file'] = 'providers: [{name: a, type: anthropic, ca_file: FOLDER/f.pem, '
        .. 'keys: [{key: "${K}"}]}]',
    } do
      helper.write(folder .. '/c.yaml', (words:gsub('FOLDER', folder)))
      helper.write(folder .. '/f.pem', '')
      local env = { env = function() return 'a-key-of-a-provider' end }
      assert.is_truthy(load('c.yaml', env))
      assert(os.execute('chmod 646 ' .. folder .. '/f.pem') == 0)
      local got, fault = load('c.yaml', env)
      assert.is_nil(got)
      assert.is_truthy(fault:find(path .. ': "' .. folder .. '/f.pem" is refused: everybody may write to it', 1, true),
        fault)
      assert.is_truthy(load('c.yaml', { env = env.env, check_permissions = false }))
      os.remove(folder .. '/f.pem')
    end
  end)

  it('warns about a secret that everybody may read', function()
    local function warning(words, mode, adapters)
      helper.write(folder .. '/c.yaml', words)
      assert(os.execute('chmod ' .. mode .. ' ' .. folder .. '/c.yaml') == 0)
      local got, notes = config.load { path = folder .. '/c.yaml', dir = helper.tree(), adapters = adapters,
        env = function() return 'of-a-variable' end }
      assert.is_truthy(got)
      return notes[1] and config.text(notes[1]) or ''
    end
    local literal = 'providers: [{name: a, type: anthropic, keys: [{key: "written-out-key"}]}]'
    local others = { 'server: {auth: {api_key: written-out-key}}', 'admin: {token: written-out-key}' }
    for _, words in ipairs { literal, unpack(others) } do
      local told = warning(words, 644)
      assert.is_truthy(told:find('is a secret in a file that everybody can read', 1, true), told)
      assert.is_nil(told:find('written-out-key', 1, true))
      assert.equal('', warning(words, 640))
    end
    assert.is_truthy(warning(literal, 644):find('providers[0].keys[0].key', 1, true))
    assert.equal('', warning('providers: [{name: a, type: anthropic, keys: [{key: "${K}"}]}]', 644))
    assert.equal('', warning('routing: {}', 644))
    assert.equal('', warning('providers: [{name: a, type: ollama, keys: [{key: ollama}]}]', 644))
    local cloud = 'providers: [{name: a, type: bedrock, aws_region: r, keys: [{key: name-of-a-slot}]}]'
    assert.equal('', warning(cloud, 644, { bedrock = { credentials = 'aws' } }))
    local azure = 'providers: [{name: a, type: azure, azure_resource_name: r, azure_auth: %s, keys: [{key: of-azure}]}]'
    local adapters = { azure = { credentials = function() end } }
    assert.equal('', warning(azure:format 'entra_id', 644, adapters))
    assert.is_truthy(warning(azure:format 'api_key', 644, adapters):find('is a secret', 1, true))
  end)

  it('judges a symbolic link by the file it leads to', function()
    helper.write(folder .. '/c.yaml', 'routing: {}')
    assert(os.execute(('ln -s c.yaml %s/l.yaml'):format(folder)) == 0)
    assert.equal(folder .. '/l.yaml', load('l.yaml').source)
    assert(os.execute('chmod 666 ' .. folder .. '/c.yaml') == 0)
    local got, fault = load 'l.yaml'
    assert.is_nil(got)
    assert.is_truthy(fault:find('l.yaml: refused: everybody may write to it', 1, true), fault)
    assert.is_truthy(fault:find('--insecure-permissions', 1, true), fault)
    assert.is_truthy(fault:find('a link to ' .. folder .. '/c.yaml', 1, true), fault)
    assert.is_truthy(load('l.yaml', { check_permissions = false }))
  end)

  it('accepts a mounted ConfigMap, which its group may read', function()
    assert(os.execute(('mkdir %s/..1 && ln -s ..1 %s/..data && ln -s ..data/c.yaml %s/c.yaml')
      :format(folder, folder, folder)) == 0)
    helper.write(folder .. '/..1/c.yaml', 'routing: {debug: true}')
    assert(os.execute(('chmod 1777 %s; chmod 640 %s/..1/c.yaml'):format(folder, folder)) == 0)
    assert.is_true(load('c.yaml').routing.debug)
  end)

  it('names the target of a link that cannot be read', function()
    assert(os.execute(('ln -s gone.yaml %s/l.yaml; ln -s /dev/null %s/n.yaml; ln -s r.yaml %s/r.yaml')
      :format(folder, folder, folder)) == 0)
    for name, words in pairs {
      ['l.yaml'] = 'there is no such file; this is a link to ' .. folder .. '/gone.yaml',
      ['n.yaml'] = 'it is not a regular file; this is a link to /dev/null',
      ['r.yaml'] = 'Too many levels of symbolic links',
    } do
      local got, fault = load(name)
      assert.is_nil(got)
      assert.is_truthy(fault:find(words, 1, true), fault)
    end
  end)

  it('reports what is wrong with the file itself', function()
    helper.write(folder .. '/c.json', '{}')
    assert(os.execute(('mkfifo %s/p.yaml; mkdir %s/d.yaml'):format(folder, folder)) == 0)
    for name, what in pairs { ['none.yaml'] = 'there is no such file', ['c.json'] = 'must end in .yaml, .yml or .toml',
      ['p.yaml'] = 'not a regular file', ['d.yaml'] = 'not a regular file' } do
      local got, fault = load(name)
      assert.is_nil(got)
      assert.is_truthy(fault:find(what, 1, true), fault)
      assert.is_truthy(fault:find(folder .. '/' .. name, 1, true), fault)
    end
  end)

  it('tells the format by the extension', function()
    helper.write(folder .. '/c.yml', 'routing: {debug: true}')
    helper.write(folder .. '/c.toml', 'routing.debug = true')
    assert.is_true(load('c.yml').routing.debug)
    assert.is_true(load('c.toml').routing.debug)
  end)
end)

describe('the path of a file', function()
  local folder

  before_each(function() folder = helper.folder() end)
  after_each(function() helper.remove(folder) end)

  it('is the file alone if there are no links, even if it does not exist', function()
    assert.same({ '/no/such/file' }, file.way '/no/such/file')
    for path, simple in pairs {
      ['.//no/../file'] = 'file', ['../../a/b/../../../c'] = '../../../c', ['/../a/./b'] = '/a/b', ['/'] = '/',
      ['a/..'] = '',
    } do assert.same({ simple }, file.way(path)) end
  end)

  it('contains every link on the way, in any folder', function()
    assert(os.execute(('cd %s && mkdir -p etc mnt/..1 && ln -s ..1 mnt/..data && ln -s ..data/c mnt/c '
      .. '&& ln -s %s/mnt/c etc/c && ln -s ../etc/c mnt/back && ln -s self mnt/self'):format(folder, folder)) == 0)
    local function at(...)
      local list = {}
      for index, name in ipairs { ... } do list[index] = folder .. '/' .. name end
      return list
    end
    assert.same(at('etc/c', 'mnt/c', 'mnt/..data', 'mnt/..1/c'), file.way(folder .. '/etc/c'))
    assert.same(at('mnt/back', 'etc/c', 'mnt/c', 'mnt/..data', 'mnt/..1/c'), file.way(folder .. '/mnt/back'))
    assert.is_true(#file.way(folder .. '/mnt/self') < 50)
  end)
end)

describe('the search order', function()
  it('is the current folder, the user\'s, the system\'s, each with YAML before TOML', function()
    local function places(variables)
      return file.places(function(name) return variables[name] end)
    end
    assert.same({ './config.yaml', './config.toml', '/x/ccrelay/config.yaml', '/x/ccrelay/config.toml',
      '/etc/ccrelay/config.yaml', '/etc/ccrelay/config.toml' }, places { XDG_CONFIG_HOME = '/x' })
    assert.equal('/h/.config/ccrelay/config.yaml', places({ HOME = '/h', XDG_CONFIG_HOME = '' })[3])
    assert.equal(4, #places { CC_RELAY_CONFIG = '' })
  end)

  it('ends with the places of cc-relay', function()
    local variables = { XDG_CONFIG_HOME = '/x', HOME = '/h', CC_RELAY_CONFIG = '/c/relay.yaml' }
    local places = file.places(function(name) return variables[name] end)
    assert.same({ '/etc/ccrelay/config.toml', '/c/relay.yaml', '/h/.config/cc-relay/config.yaml',
      '/h/.config/cc-relay/config.toml' }, { unpack(places, 6) })
  end)

  it('takes the first file that exists; a given path comes before all', function()
    local folder = helper.folder()
    local function env(name) return name == 'XDG_CONFIG_HOME' and folder or nil end
    local before = config.find(nil, env)
    assert(os.execute('mkdir ' .. folder .. '/ccrelay') == 0)
    helper.write(folder .. '/ccrelay/config.toml', '')
    assert.equal(before or folder .. '/ccrelay/config.toml', config.find(nil, env))
    assert.equal('given.yaml', config.find('given.yaml', env))
    helper.remove(folder)
  end)

  it('includes what CC_RELAY_CONFIG names, even if it does not exist, and the folder of cc-relay', function()
    local folder = helper.folder()
    local before = config.find(nil, function() end)
    local function found(variables)
      return config.find(nil, function(name) return variables[name] end)
    end
    assert(os.execute(('mkdir -p %s/.config/cc-relay'):format(folder)) == 0)
    helper.write(folder .. '/.config/cc-relay/config.yaml', '')
    assert.equal(before or folder .. '/.config/cc-relay/config.yaml', found { HOME = folder })
    assert.equal(before or '/none/relay.yaml', found { HOME = folder, CC_RELAY_CONFIG = '/none/relay.yaml' })
    assert(os.execute(('mkdir -p %s/.config/ccrelay'):format(folder)) == 0)
    helper.write(folder .. '/.config/ccrelay/config.toml', '')
    assert.equal(before or folder .. '/.config/ccrelay/config.toml',
      found { HOME = folder, CC_RELAY_CONFIG = '/none/relay.yaml' })
    helper.remove(folder)
  end)
end)
