-- SPDX-License-Identifier: Apache-2.0
-- Histograms of times, over all workers: one for each value of a label.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'
local slice = require 'ccrelay.util.slice'

local M = {}

local numbers = {}

--- Returns the number of a histogram, for C; negative if the table of histograms is full.
---@param name string of the metric, without ccrelay_ and _seconds
---@param value string of its label
---@return integer
function M.number(name, value)
  local known = numbers[name]
  if not known then
    known = {}
    numbers[name] = known
  end
  local number = known[value]
  if not number then
    local full = cell.fit(name .. ':' .. value)
    number = C.cc_histogram(full, #full)
    known[value] = number
  end
  return number
end

--- Counts a time.
---@param name string
---@param value string
---@param milliseconds number
function M.add(name, value, milliseconds)
  C.cc_histogram_add(M.number(name, value), milliseconds)
end

---@class ccrelay.Histogram
---@field value string of the label
---@field counts integer[] times in each bucket and those below it; the last one is the number of all
---@field sum_ms number

local function cumulative(facts)
  local counts, sum = {}, 0
  for bucket = 0, C.CC_BUCKETS - 1 do
    sum = sum + facts.counts[bucket]
    counts[bucket + 1] = sum
  end
  return counts
end

--- Returns all histograms by name of the metric.
---@return table<string, ccrelay.Histogram[]>
function M.read()
  local found, name, facts = {}, ffi.new 'struct cc_slice', ffi.new 'struct cc_histogram'
  for number = 0, C.cc_histograms() - 1 do
    C.cc_histogram_name(number, name)
    local metric, value = string.match(slice.text(name), '^([%w_]+):(.*)$')
    if metric and C.cc_histogram_read(number, facts) == C.CC_OK then
      found[metric] = found[metric] or {}
      table.insert(found[metric], { value = value, counts = cumulative(facts), sum_ms = facts.sum_ms })
    end
  end
  return found
end

--- Returns the upper bounds of the buckets in seconds, as texts; the last one is +Inf.
---@return string[]
function M.bounds()
  local texts = {}
  for bucket = 0, C.CC_BUCKETS - 2 do texts[bucket + 1] = ('%.12g'):format(C.cc_histogram_bound(bucket) / 1000) end
  texts[#texts + 1] = '+Inf'
  return texts
end

return M
