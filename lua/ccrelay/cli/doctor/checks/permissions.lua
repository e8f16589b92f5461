-- SPDX-License-Identifier: Apache-2.0
-- Checks who may write to the files that the relay trusts, and who may read those with secrets.
local bit = require 'bit'
local config = require 'ccrelay.config'
local each = require 'ccrelay.util.each'
local file = require 'ccrelay.config.file'

local OTHERS_READ = 4

-- Another user may write to it, so a start refuses it.
local function check_trust(doctor, path, facts)
  local reason, remedy = file.distrust(facts)
  if reason and not doctor.options.insecure then
    doctor:add(path, reason .. ', so the relay refuses it', ('run %s %s'):format(
      remedy == 'chown it' and 'chown' or remedy, path))
  end
end

local function check_secret(doctor, path, facts, what)
  if bit.band(facts.mode, OTHERS_READ) ~= 0 then
    doctor:add(path, ('every user can read %s'):format(what), 'run chmod o-r ' .. path)
  end
end

local function check(doctor, path, secret)
  local facts = path and file.facts(path)
  if not facts then return end
  check_trust(doctor, path, facts)
  if secret then check_secret(doctor, path, facts, secret) end
end

local function exists(path)
  local opened = io.open(path, 'r')
  if opened then opened:close() end
  return opened ~= nil
end

-- A file to append to, which need not exist yet.
local function check_output(doctor, path)
  if path == 'stdout' or path == 'stderr' then return end
  local folder = path:match '^(.+)/[^/]*$' or '.'
  if not exists(folder) then
    return doctor:add('logging.output ' .. path, 'its folder does not exist', 'create ' .. folder)
  end
  local opened, reason = io.open(path, exists(path) and 'a' or 'r')
  if opened then opened:close() elseif exists(path) then
    doctor:add('logging.output ' .. path, reason, 'let the relay write to it')
  end
end

local function check_named(doctor, configuration)
  local tls = configuration.server.tls
  if tls then
    check(doctor, tls.cert)
    check(doctor, tls.key, 'the private key of the relay')
  end
  for _, provider in ipairs(configuration.providers) do check(doctor, provider.ca_file) end
end

return {
  order = 20,
  title = 'permissions',
  run = function(doctor)
    check(doctor, doctor.path)
    check(doctor, doctor.options.policy)
    local bundle = doctor.bundle or { scripts = {} }
    for path in each(bundle.scripts) do check(doctor, config.root() .. '/' .. path) end
    for _, secret in each(bundle.secrets or {}) do check(doctor, secret.path, 'this secret') end
    if not doctor.generation then return end
    local configuration = doctor.generation.configuration
    check_named(doctor, configuration)
    check_output(doctor, configuration.logging.output)
    local state = configuration.server.state_dir
    if state ~= 'off' and not exists(state) then
      doctor:add('server.state_dir ' .. state, 'the folder does not exist, so usage is not kept', 'create ' .. state)
    end
  end,
}
