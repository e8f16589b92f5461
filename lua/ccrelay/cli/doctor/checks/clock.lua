-- SPDX-License-Identifier: Apache-2.0
-- Compares the clock of this machine with the Date of the providers' answers. Signatures,
-- tokens and the periods of budgets depend on it.
local probe = require 'ccrelay.cli.doctor.probe'

local MOST_MS = 60000

return {
  MOST_MS = MOST_MS,
  order = 75,
  title = 'clock',
  network = true,
  generation = true,
  run = function(doctor)
    local names, worst, told = {}, 0, false
    for _, provider in ipairs(doctor.generation.providers) do
      local skew = (probe.of(doctor, provider).answers[1] or {}).skew_ms
      told = told or skew ~= nil
      if math.abs(skew or 0) > MOST_MS then
        names[#names + 1] = provider.name
        worst = math.abs(skew) > math.abs(worst) and skew or worst
      end
    end
    if not told then return doctor:skip 'no provider told its time' end
    if #names == 0 then return end
    doctor:add('this machine', ('its clock is %d s %s the clock of %s'):format(math.abs(worst) / 1000,
      worst > 0 and 'behind' or 'ahead of', table.concat(names, ', ')),
      'synchronize it, for example with timedatectl set-ntp true')
  end,
}
