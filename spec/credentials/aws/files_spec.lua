-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local files = require 'ccrelay.credentials.aws.files'

local CONFIG, CREDENTIALS = '/home/me/.aws/config', '/home/me/.aws/credentials'

local function load(given, env) return files.load(stage.new({ files = given, env = env }).context) end

describe('the AWS files', function()
  it('may both be absent', function()
    local all = load {}
    assert.same({ {}, {}, {} }, { all.profiles, all.sessions, all.complaints })
    assert.same({ CONFIG, CREDENTIALS }, { all.config, all.credentials })
  end)

  it('are one list of profiles', function()
    local all = load {
      [CONFIG] = '[default]\nregion = eu-west-1\n[profile dev]\nregion = us-east-1\n[profile "two words"]\nregion = x\n'
        .. '[sso-session corp]\nsso_region = us-east-1\n[preview]\nk = v\n[sso-session c d]\nk = v\n'
        .. '[profile]\nk = v\n[profile a b]\nk = v\n',
      [CREDENTIALS] = '[dev]\naws_access_key_id = AKIA\n[only]\naws_access_key_id = AKIB\n[profile odd]\nk = v\n',
    }
    assert.equal('default, dev, only, profile odd, two words', files.names(all.profiles))
    assert.same({ region = 'us-east-1', aws_access_key_id = 'AKIA' }, all.profiles.dev.values)
    assert.same({ corp = { sso_region = 'us-east-1' } }, all.sessions)
    assert.same({ 'credentials', CONFIG }, { all.profiles.dev.keys_in, all.profiles.dev.file })
    assert.equal(CREDENTIALS, all.profiles.only.file)
  end)

  it('never mix the key pair of one with the session token of the other', function()
    local all = load {
      [CONFIG] = '[default]\naws_access_key_id = A\naws_secret_access_key = B\naws_session_token = C\n',
      [CREDENTIALS] = '[default]\naws_access_key_id = D\naws_secret_access_key = E\n',
    }
    assert.same({ aws_access_key_id = 'D', aws_secret_access_key = 'E' }, all.profiles.default.values)
  end)

  it('prefer [profile default] to [default]', function()
    for _, text in ipairs { '[default]\nk = 1\n[profile default]\nk = 2',
      '[profile default]\nk = 2\n[default]\nk = 1' } do
      assert.equal('2', load({ [CONFIG] = text }).profiles.default.values.k)
    end
  end)

  it('are at the paths that the environment names', function()
    local all = load({ ['/c'] = '[default]\na = 1', ['/home/me/x'] = '[default]\nb = 2' },
      { AWS_CONFIG_FILE = '/c', AWS_SHARED_CREDENTIALS_FILE = '~/x' })
    assert.same({ a = '1', b = '2' }, all.profiles.default.values)
    assert.same({ '/c', '/home/me/x' }, { all.config, all.credentials })
  end)

  it('are at their default paths if the environment is blank', function()
    local all = load({ [CONFIG] = '[default]\na = 1' }, { AWS_CONFIG_FILE = ' ' })
    assert.equal('1', all.profiles.default.values.a)
  end)

  it('are absent without a home folder', function()
    local all = load({ [CONFIG] = '[default]\na = 1' }, { HOME = '' })
    assert.same({}, all.profiles)
    assert.equal('~/.aws/config (HOME is not set)', all.config)
  end)

  it('are reported with file and line', function()
    assert.equal(CREDENTIALS .. ':2: neither a [section] nor "name = value"',
      stage.message(load { [CREDENTIALS] = '[a]\n' .. stage.SECRET }))
  end)

  it('that cannot be read are a fault if a variable names them, else a complaint', function()
    local all = load { [CONFIG] = { 'permission denied' } }
    assert.same({ CONFIG .. ' cannot be read: permission denied' }, all.complaints)
    assert.truthy(files.missing(all, 'x'):find('permission denied', 1, true))
    local message = stage.message(load({ ['/c'] = { 'permission denied' } }, { AWS_CONFIG_FILE = '/c' }))
    assert.equal('/c cannot be read: permission denied (AWS_CONFIG_FILE names it)', message)
  end)

  it('that a variable names need not exist', function()
    assert.same({}, load({}, { AWS_CONFIG_FILE = '/nowhere' }).profiles)
  end)
end)
