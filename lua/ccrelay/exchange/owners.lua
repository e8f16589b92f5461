-- SPDX-License-Identifier: Apache-2.0
-- Names the owner of each part of an exchange: the module that makes the part, and the only one that writes it or what
-- is in it. Others read parts, or call the owner's functions. A part that is not set reads as false.
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
  ['exchange/trace'] = { 'trace' },
  ['health/evidence'] = { 'evidence' },
  ['health/learn'] = { 'given_up' },
  ['limits/clients'] = { 'admission' },
  ['limits/reservation'] = { 'estimated' },
  ['log/access'] = { 'log' },
  ['routing/affinity'] = { 'affinity' },
  ['routing/key_order'] = { 'turns' },
  ['routing/selection'] = { 'selection' },
  ['routing/wait_lines'] = { 'demands' },
  ['routing/wait_queue'] = { 'queue' },
  ['sched/wait'] = { 'wait' },
  ['script/handle'] = { 'script_handle' },
}

local M = {} ---@type table<string, string> owners by part

for owner, names in each(OWNERS) do
  for _, name in ipairs(names) do M[name] = owner end
end

return M
