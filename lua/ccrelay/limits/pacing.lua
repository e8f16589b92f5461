-- SPDX-License-Identifier: Apache-2.0
-- Smoothing: so many requests of a key may go at once, each further one when its share of the minute
-- has passed. One number a key, shared by all processes: the moment up to which shares are given away.
local C = require 'ccrelay.c'

local M = {}

local MINUTE_US = 60000000
local TRIES = 64

local function share_of(slot) return math.ceil(MINUTE_US / slot.rates[1]) end

-- The number as it is, what it would be with one request more than those ahead, and the wait before that
-- in ms.
local function look(slot, now, ahead)
  local value, now_us = C.cc_cell_get(slot.pace), math.floor(now * 1000)
  local share = share_of(slot)
  local from = math.max(value, now_us) + ahead * share
  return value, from + share, math.max(from - (slot.burst - 1) * share - now_us, 0) / 1000
end

--- How long a request would have to wait: 0 when it may go.
---@param slot ccrelay.Slot
---@param now number
---@param ahead number? of requests that go first
---@return number milliseconds
function M.wait(slot, now, ahead)
  if not slot.burst then return 0 end
  local _, _, wait = look(slot, now, ahead or 0)
  return wait
end

--- Takes a share: 0, or how long to wait when there is none.
---@param slot ccrelay.Slot
---@param now number
---@return number milliseconds
function M.take(slot, now)
  if not slot.burst then return 0 end
  for _ = 1, TRIES do
    local value, after, wait = look(slot, now, 0)
    if wait > 0 then return wait end
    if C.cc_cell_swap(slot.pace, value, after) then return 0 end
  end
  return 1
end

--- What was taken was not used.
---@param slot ccrelay.Slot
function M.give_back(slot)
  if slot.burst then C.cc_cell_add(slot.pace, -share_of(slot)) end
end

return M
