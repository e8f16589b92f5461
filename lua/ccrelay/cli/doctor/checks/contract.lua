-- SPDX-License-Identifier: Apache-2.0
-- Checks the contract of Claude Code with a gateway against a second relay, which has the policy and routing of this
-- configuration and a mock provider. Neither the running relay nor a provider is asked anything.
local client = require 'ccrelay.cli.doctor.contract_client'
local contract = require 'ccrelay.cli.doctor.contract'
local source = require 'ccrelay.generation.bundle'

return {
  order = 90,
  title = 'contract',
  generation = true,
  run = function(doctor)
    local policy = source.policy(doctor.bundle, doctor.generation.configuration).path
    local cure = ('correct %s, or the adapter in providers/, so that it leaves this alone'):format(policy)
    if not doctor.second then
      return doctor:add('second relay', 'it cannot be started', 'allow this user more processes or ports')
    end
    local one, message = client.connect(doctor.second, doctor.generation)
    if not one then return doctor:add('second relay', message, cure) end
    for _, row in ipairs(contract) do
      local wrong = row[2](one)
      if wrong then doctor:add('contract: ' .. row[1], wrong, cure) end
    end
  end,
}
