-- SPDX-License-Identifier: Apache-2.0
-- The parts of an exchange and who writes them: the module that makes the part is the only one that changes it and
-- what is in it. Others read it, or ask the owner's functions. A part that is not set reads as false.
local each = require 'ccrelay.util.each'

local OWNERS = {
  ['endpoints/batch_limits'] = { 'batch' },
  ['endpoints/passthrough'] = { 'held_bytes' },
  ['exchange/attempt'] = { 'attempts', 'outcomes' },
  ['exchange/count_coalescing'] = { 'count' },
  ['exchange/init'] = {
    'relay', 'handle', 'generation', 'client', 'endpoint', 'ended', 'cache', 'edits', 'prefix_broken', 'media',
    'file_id',
  },
  ['exchange/race'] = { 'losers' },
  ['exchange/respond'] = { 'answered', 'early' },
  ['exchange/spend_cap'] = { 'capped' },
  ['health/evidence'] = { 'evidence' },
  ['health/learn'] = { 'given_up' },
  ['limits/clients'] = { 'admission' },
  ['limits/reservation'] = { 'estimated' },
  ['log/access'] = { 'log' },
  ['routing/affinity'] = { 'affinity' },
  ['routing/candidates'] = { 'selection' },
  ['routing/key_order'] = { 'turns' },
  ['routing/wait_lines'] = { 'takes' },
  ['routing/wait_queue'] = { 'queue' },
  ['sched/wait'] = { 'wait' },
  ['script/handle'] = { 'face' },
}

local M = {} ---@type table<string, string> owners by part

for owner, names in each(OWNERS) do
  for _, name in ipairs(names) do M[name] = owner end
end

return M
