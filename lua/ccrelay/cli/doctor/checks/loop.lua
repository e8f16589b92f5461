-- SPDX-License-Identifier: Apache-2.0
-- Finds providers whose address leads back to the running relay, also through another proxy.
local relay_at = require 'ccrelay.cli.doctor.relay_at'

return {
  order = 80,
  title = 'loop',
  network = true,
  generation = true,
  run = function(doctor)
    if not (doctor.running and doctor.running.loop_name) then return end
    for _, provider in ipairs(doctor.generation.providers) do
      if relay_at.answers(doctor, provider.base, provider.settings.ca_file) then
        doctor:add(('providers.%s (%s)'):format(provider.name, provider:base_url()),
          'it leads back to this relay', 'write the address of the provider itself as base_url')
      end
    end
  end,
}
