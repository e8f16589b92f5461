-- SPDX-License-Identifier: Apache-2.0
-- Accounts of other identity providers whose tokens a program hands out.
local external = require 'support.external_world'
local world = require 'support.credential_world'
local google = require 'ccrelay.credentials.google'
local json = world.json

local AUDIENCE = external.AUDIENCE
local with, info_of, has, wrong, fails = external.with, external.info_of, external.has, external.wrong, external.fails

describe('external_account with a program', function()
  local ALLOWED = 'GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES'
  local TYPE = 'urn:ietf:params:oauth:token-type:id_token'
  local LATER = world.NOW / 1000 + 60

  local function answer(more)
    local reply = { version = 1, success = true, token_type = TYPE, id_token = 'subject', expiration_time = LATER }
    for name, value in pairs(more or {}) do reply[name] = value end
    return reply
  end

  local function run_with(programs, files, info)
    return with(info or 'external_executable', { env = { [ALLOWED] = '1' }, programs = programs, files = files })
  end

  it('runs no program unless the environment allows it', function()
    for _, value in ipairs { '', '0', 'true' } do
      local state = with('external_executable', { env = { [ALLOWED] = value } })
      local problem = fails 'is allowed only with GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 in the environment'
      assert.is_true(problem.final)
      assert.equal(0, #state.runs)
    end
    wrong(info_of 'external_executable', 'GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1')
  end)

  it('runs the program without a shell and sets the variables that Google documents', function()
    local state = run_with { body = answer() }
    assert.equal('acted', world.fetch(google).token)
    assert.same({
      arguments = {
        '/usr/bin/env', 'GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=' .. AUDIENCE, 'GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=' .. TYPE,
        'GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0', 'GOOGLE_EXTERNAL_ACCOUNT_REVOKE=0',
        'GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL=target@example-project.iam.gserviceaccount.com',
        'GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=/var/cache/token.json', '/opt/tokens', '--for', 'the relay',
      },
      timeout_ms = 5000, answer_bytes = 65536,
    }, state.runs[1])
    assert.equal('subject', world.form(state.requests[1].body).subject_token)
  end)

  it('splits the command as a shell does, but expands nothing', function()
    local info = info_of 'external_executable'
    info.credential_source.executable = { command = [[ a 'b "c\' "d \"e" f\ g "" $HOME;x ]] }
    info.service_account_impersonation_url = nil
    local state = run_with({ body = answer { expiration_time = json.null } }, nil, info)
    assert.equal('sts', world.fetch(google).token)
    local list = state.runs[1].arguments
    assert.same({ 'a', 'b "c\\', 'd "e', 'f g', '', '$HOME;x' }, { unpack(list, 6) })
    assert.equal(30000, state.runs[1].timeout_ms)
  end)

  it('knows the types of tokens', function()
    for kind, member in pairs {
      ['urn:ietf:params:oauth:token-type:jwt'] = 'id_token',
        ['urn:ietf:params:oauth:token-type:saml2'] = 'saml_response',
    } do
      local state = run_with { body = answer { token_type = kind, id_token = json.null, [member] = 'other' } }
      world.fetch(google)
      assert.equal('other', world.form(state.requests[1].body).subject_token)
    end
  end)

  it('uses the output file while its token is valid, else runs the program', function()
    local path = '/var/cache/token.json'
    local state = run_with({ body = answer { id_token = 'fresh' } },
      { [path] = json.encode(answer { id_token = 'kept' }) })
    world.fetch(google)
    assert.equal(0, #state.runs)
    assert.equal('kept', world.form(state.requests[1].body).subject_token)
    for _, text in ipairs {
      json.encode(answer { expiration_time = world.NOW / 1000 }), json.encode(answer { expiration_time = json.null }),
      json.encode(answer { success = false }), json.encode(answer { version = 2 }), '{', '',
    } do
      state = run_with({ body = answer { id_token = 'fresh' } }, { [path] = text })
      world.fetch(google)
      assert.equal(1, #state.runs)
      assert.equal('fresh', world.form(state.requests[1].body).subject_token)
    end
  end)

  it('reads the output file if the program wrote only there', function()
    local state = run_with { body = '\n' }
    local inner, reads = state.context.read, 0
    state.context.read = function(path)
      if path ~= '/var/cache/token.json' then return inner(path) end
      reads = reads + 1
      if reads == 1 then return nil, 'there is no such file' end
      return json.encode(answer { id_token = 'written' })
    end
    world.fetch(google)
    assert.equal('written', world.form(state.requests[1].body).subject_token)
  end)

  it('says what is wrong with the answer', function()
    for words, reply in pairs {
      ['is not a JSON object'] = { body = 'x' },
      ['has a version other than 1'] = { body = answer { version = 2 } },
      ['has no member success'] = { body = answer { success = json.null } },
      ['reports a failure: 401: not yours'] = { body = { version = 1, success = false, code = '401',
        message = 'not yours' } },
      ['has no expiration_time'] = { body = answer { expiration_time = json.null } },
      ['has an expiration_time that is not a number'] = { body = answer { expiration_time = 'x' } },
      ['contains a token that has expired'] = { body = answer { expiration_time = world.NOW / 1000 - 1 } },
      ['has a token_type that is not jwt, id_token or saml2'] = { body = answer { token_type = 'x' } },
      ['has no id_token'] = { body = answer { id_token = '' } },
      ['contains a token with control bytes'] = { body = answer { id_token = 'a\nb' } },
      ['(/opt/tokens) ended with status 3: no bearer [redacted] found'] = { status = 3,
        complaint = 'no bearer CANARY7f3a9d found' },
      ['(/opt/tokens) could not be run: the whole exchange took too long'] = {
        error = 'the whole exchange took too long' },
    } do
      run_with(reply)
      has(fails(words).message, 'the program of credential_source (/opt/tokens)')
    end
  end)

  it('finds faults of the file', function()
    local function program(executable, part)
      local info = info_of 'external_executable'
      info.credential_source.executable = executable
      wrong(info, part)
    end
    program('x', 'credential_source.executable is not an object')
    program({}, 'credential_source.executable.command is missing')
    program({ command = '  ' }, 'command is not a program with arguments')
    program({ command = "a 'b" }, 'is a quote not closed?')
    for _, limit in ipairs { 4999, 120001, '5000' } do
      program({ command = 'a', timeout_millis = limit }, 'timeout_millis must be from 5000 to 120000')
    end
    program({ command = 'a', output_file = 5 }, 'output_file is not a path')
  end)
end)
