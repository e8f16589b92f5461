-- SPDX-License-Identifier: Apache-2.0
-- Publishes the exchanges under way in a worker for readers of other processes, twice a second while there are any. It
-- guarantees that an exchange that ends sooner costs nothing, and that an idle worker does not wake up.
local C = require 'ccrelay.c'
local record_writer = require 'ccrelay.log.record_writer'

local M = { TIMER = 2 }

local INTERVAL_MS = 500

local relay, is_ticking = nil, true

--- Begins to publish, in a worker that starts, and only if records are kept.
---@param of_worker ffi.cdata*
function M.attach(of_worker)
  relay, is_ticking = of_worker, C.cc_records_kept() == 0
  record_writer.publish {} -- instead of the list of a worker that died
end

local function start_timer()
  is_ticking = true
  C.cc_timer(relay, M.TIMER, INTERVAL_MS)
end

--- An exchange has begun.
function M.note_begin()
  if not is_ticking then start_timer() end
end

--- The timer M.TIMER has fired.
---@param exchanges table<number, ccrelay.Exchange>
function M.on_timer(exchanges)
  is_ticking = record_writer.publish(exchanges) > 0
  if is_ticking then start_timer() end
end

return M
