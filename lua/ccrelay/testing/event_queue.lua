-- SPDX-License-Identifier: Apache-2.0
-- The pending events of the scripted C side: a binary heap by the time they are due, then by the order they were added.
local M = {}

local function is_before(a, b)
  return a.due < b.due or a.due == b.due and a.order < b.order
end

--- Adds an event.
---@param heap table[]
---@param event { due: number, order: integer, dropped: boolean? } order is of no other event
function M.add(heap, event)
  local at = #heap + 1
  while at > 1 do
    local parent = math.floor(at / 2)
    if not is_before(event, heap[parent]) then break end
    heap[at], at = heap[parent], parent
  end
  heap[at] = event
end

-- Puts an event where the first one was, and restores the order.
local function replace_first(heap, event)
  local at, count = 1, #heap
  while 2 * at <= count do
    local child = 2 * at
    if child < count and is_before(heap[child + 1], heap[child]) then child = child + 1 end
    if not is_before(heap[child], event) then break end
    heap[at], at = heap[child], child
  end
  heap[at] = event
end

--- Removes the event that is due first and returns it. Skips dropped events.
---@param heap table[]
---@return table? event nil when there is none
function M.take(heap)
  local first
  repeat
    first = heap[1]
    local last = table.remove(heap)
    if last ~= first then replace_first(heap, last) end
  until not first or not first.dropped
  return first
end

return M
