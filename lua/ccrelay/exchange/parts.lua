-- SPDX-License-Identifier: Apache-2.0
-- The parts of an exchange and who writes them: the module that makes the part is the only one that changes it and
-- what is in it. Others read it, or ask the owner's functions. A part that is not set reads as false.
local M = {
  wait = 'sched/wait',
  -- still written by several modules
  refusal = 'several',
  last = 'several',
  failure = 'several',
  refused = 'several',
  malformed = 'several',
  minor = 'several',
  holder_1 = 'several',
  recovered = 'several',
  raced = 'several',
  client_open = 'several',
  client_ticket = 'several',
  full = 'several',
  queued = 'several',
  queue_end = 'several',
  queued_ms = 'several',
  early = 'several',
  home = 'several',
  tally = 'several',
  sent = 'several',
  billed = 'several',
  ticket = 'several',
  filter = 'several',
  turns = 'several',
  estimated = 'several',
  homeless = 'several',
  excess = "several",
  capped = 'several',
  evidence = 'several',
  given_up = 'several',
  spare = 'several',
  last_spare = 'several',
  hurried = 'several',
  held_bytes = 'several',
  batch_tickets = 'several',
}

local OWN = { 'relay', 'handle', 'generation', 'ended', 'cache', 'edits', 'prefix_broken', 'media', 'file_id' }
for _, name in ipairs(OWN) do M[name] = 'exchange/init' end

return M
