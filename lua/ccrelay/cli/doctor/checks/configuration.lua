-- SPDX-License-Identifier: Apache-2.0
-- Loads what a start would load, in a child process first: configuration, adapters, policy. Permissions are checked in
-- permissions.lua, so they do not stop this check.
local cures = require 'ccrelay.cli.doctor.cures'
local fault = require 'ccrelay.util.fault'
local model_table = require 'ccrelay.cli.model_table'
local preflight = require 'ccrelay.process.preflight'
local rehearsal = require 'ccrelay.testing.rehearsal'
local source = require 'ccrelay.generation.bundle'

local function where_of(place, one)
  place = one.file or place
  if one.line then place = place .. ':' .. one.line end
  return (one.path or '') ~= '' and place .. ': ' .. one.path or place
end

-- Tells whether the check of credentials reports a fault: it fetches them.
local function is_of_credentials(doctor, one)
  for _, provider in ipairs(doctor.generation and doctor.generation.providers or {}) do
    if provider.source and one.path == 'providers.' .. provider.name then return true end
  end
  return false
end

local function add_all(doctor, faults, place)
  for _, one in ipairs(faults) do
    if not is_of_credentials(doctor, one) then
      local what, cure = cures.of_fault(one)
      doctor:add(where_of(place or doctor:source(), one), what, cure)
    end
  end
end

local function rehearse(doctor, wanted)
  local policy = source.policy(doctor.bundle, doctor.generation.configuration).path
  add_all(doctor, preflight.rehearse(function() return rehearsal.run(doctor.bundle, wanted) end), policy)
  for _, provider in ipairs(model_table.never_asked(doctor.generation)) do
    doctor:add(doctor:source() .. ': providers.' .. fault.printable(provider.name),
      'it is never tried, as its serves excludes every model that it has', 'add one of its models to serves')
  end
end

return {
  order = 10,
  title = 'configuration',
  run = function(doctor)
    local given = doctor.options
    local wanted = { config = given.config, policy = given.policy, insecure = true, watch = false }
    local bundle, faults = source.read(wanted)
    if not bundle then return add_all(doctor, faults) end
    doctor.bundle = bundle
    doctor.generation, faults = preflight.build(function() return source.build(bundle, wanted) end)
    add_all(doctor, faults)
    if doctor.generation then rehearse(doctor, wanted) end
  end,
}
