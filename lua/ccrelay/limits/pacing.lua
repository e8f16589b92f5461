-- SPDX-License-Identifier: Apache-2.0
-- Pacing of the requests of a key with the generic cell rate algorithm (GCRA): a burst may be sent at once, each
-- further request when its share of the minute has passed. The state is one number per key, shared by all processes:
-- the theoretical arrival time of the next request, in microseconds.
local C = require 'ccrelay.c'

local M = {}

local MINUTE_US = 60000000
local TRIES = 64

local function share_of(key) return math.ceil(MINUTE_US / key.rates[1]) end

-- Returns the number, its value after those ahead and one more request, and how long that request has to wait (ms).
local function peek(key, now, ahead)
  local value, now_us = C.cc_cell_get(key.pacing), math.floor(now * 1000)
  local share = share_of(key)
  local from = math.max(value, now_us) + ahead * share
  return value, from + share, math.max(from - (key.burst - 1) * share - now_us, 0) / 1000
end

--- Returns how long a request has to wait; 0: not at all.
---@param key ccrelay.Key
---@param now number
---@param ahead number? requests that go first
---@return number milliseconds
function M.wait(key, now, ahead)
  if not key.burst then return 0 end
  local _, _, wait = peek(key, now, ahead or 0)
  return wait
end

--- Takes a share. Returns 0, or how long to wait if none is free.
---@param key ccrelay.Key
---@param now number
---@return number milliseconds
function M.take(key, now)
  if not key.burst then return 0 end
  for _ = 1, TRIES do
    local value, after, wait = peek(key, now, 0)
    if wait > 0 then return wait end
    if C.cc_cell_swap(key.pacing, value, after) then return 0 end
  end
  return 1
end

--- Gives back a share that was not used.
---@param key ccrelay.Key
function M.give_back(key)
  if key.burst then C.cc_cell_add(key.pacing, -share_of(key)) end
end

return M
