-- SPDX-License-Identifier: Apache-2.0
-- Fetches the credentials of each provider that has a source of them, as the first request would. With --offline it
-- checks only what needs no request, and reports no finding for the rest. Keys are checked in keys.lua.
local cures = require 'ccrelay.cli.doctor.cures'
local host = require 'ccrelay.credentials.host'

local function where_of(doctor, provider)
  return doctor:source() .. ': providers.' .. provider.name
end

local function fetch(doctor, provider)
  local ok, value, problem = pcall(provider.source.fetch)
  if ok and value ~= nil then
    doctor.fetched[provider] = value
    return
  end
  local message = not ok and value or type(problem) == 'table' and problem.message or problem
  local what, cure = cures.of_message(tostring(message))
  doctor:add(where_of(doctor, provider), what, cure)
end

local function examine(doctor, provider)
  for _, note in ipairs(provider.scheme.examine and provider.scheme.examine(provider, host.new(os.getenv)) or {}) do
    local what, cure = cures.of_message(note.message)
    if not note.message:find 'at the first request' then doctor:add(where_of(doctor, provider), what, cure) end
  end
end

return {
  order = 50,
  title = 'credentials',
  generation = true,
  run = function(doctor)
    doctor.fetched = {}
    for _, provider in ipairs(doctor.generation.providers) do
      if provider.source then (doctor.options.offline and examine or fetch)(doctor, provider) end
    end
  end,
}
