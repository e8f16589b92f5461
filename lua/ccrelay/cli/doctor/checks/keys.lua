-- SPDX-License-Identifier: Apache-2.0
-- Reports credentials that a provider does not accept, from the answers to requests that cost nothing.
local clock = require 'ccrelay.cli.doctor.checks.clock'
local probe = require 'ccrelay.cli.doctor.probe'

local NEW_KEY = 'replace the key, or the variable that holds it, and reload'

-- AWS: the identity is known, but may not count tokens. That says nothing about the models.
local function is_known(answer)
  return (answer.error_type or ''):find '^AccessDenied' ~= nil and not (answer.body or ''):find 'Authentication failed'
end

local function cure_of(provider, answer)
  local body = answer.body or ''
  if body:find 'scoped to a valid region' then return 'correct aws_region: these credentials are for another region' end
  if not provider.source then return NEW_KEY end
  if answer.status == 403 and provider.credentials == 'google' then
    return 'grant roles/aiplatform.user in this project, or correct gcp_project_id'
  end
  return 'renew the credentials that the finding names'
end

local function words_of(provider, answer)
  local body = answer.body or ''
  if body:find 'scoped to a valid region' then return 'the provider is in another region than aws_region' end
  return ('the provider does not accept %s (%d%s)'):format(provider.source and provider.source.label or 'the key',
    answer.status, answer.error_type and ' ' .. answer.error_type:match '^[%w_]+' or '')
end

-- A signature of a wrong clock is refused whatever the key; clock.lua reports the clock.
local function is_late(answer)
  return answer.status == 403 and math.abs(answer.skew_ms or 0) > clock.MOST_MS
end

local function check(doctor, provider, answer)
  if not answer.authenticated or not answer.status or is_late(answer) then return end
  local where = 'providers.' .. (answer.key and answer.key.id or provider.name)
  if answer.status == 402 then
    doctor:add(where, 'the account has no credit (402)', 'settle the bill of the account')
  elseif (answer.status == 401 or answer.status == 403) and not is_known(answer) then
    doctor:add(where, words_of(provider, answer), cure_of(provider, answer))
  end
end

return {
  order = 65,
  title = 'keys',
  network = true,
  generation = true,
  run = function(doctor)
    local asked = false
    for _, provider in ipairs(doctor.generation.providers) do
      for _, answer in ipairs(probe.of(doctor, provider).answers) do
        check(doctor, provider, answer)
        asked = asked or answer.authenticated and answer.status ~= nil
      end
    end
    if not asked then doctor:skip 'no provider could be asked with a key' end
  end,
}
