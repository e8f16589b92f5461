-- SPDX-License-Identifier: Apache-2.0
-- Learns the time to first content of streams: the 95th percentile for each model at each provider, over all workers.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local sha256 = require 'ccrelay.util.sha256'
local memoize = require 'ccrelay.util.memoize'

local M = {}

local SHARE = 0.95   -- share of the streams that are faster
local ENOUGH = 20    -- streams; until then the figure is the slowest of them
local STEP = 0.2     -- how far one stream moves the figure
local UP, DOWN = math.exp(STEP * SHARE), math.exp(-STEP * (1 - SHARE))
local LEAST, MOST = 1, 600000
local SCALE = 1000   -- cells hold integers: microseconds * COUNTS + number of streams
local COUNTS = 32
local PLACES = 1024  -- the models share this many cells

local place_of = memoize.results(function(name)
  return cell.number('latency ' .. sha256.number(name, 3) % PLACES)
end)

local function place(upstream)
  return (place_of(upstream.provider .. ' ' .. (upstream.model or '')))
end

local function read(number)
  local value = C.cc_cell_get(number)
  local count = value % COUNTS
  return (value - count) / COUNTS / SCALE, count
end

-- Moves the figure up after a slower stream, down after a faster one. It is in balance when one in twenty is slower.
local function move(number, milliseconds, slower)
  local figure, count = read(number)
  if count < ENOUGH then
    figure, count = math.max(figure, milliseconds), count + 1
  else
    figure = figure * (slower and UP or DOWN)
  end
  figure = math.min(math.max(figure, LEAST), MOST)
  C.cc_cell_set(number, math.floor(figure * SCALE) * COUNTS + count)
end

--- Records the time to first content of a stream.
---@param upstream ccrelay.Upstream
---@param milliseconds number from sending
function M.learn(upstream, milliseconds)
  local number = place(upstream)
  move(number, milliseconds, milliseconds > read(number))
end

--- Records a stream that was given up before its first content. It counts only if it took longer than the figure. If
--- such streams did not count, the figure would sink further and further.
---@param upstream ccrelay.Upstream
---@param milliseconds number from sending
function M.exceeded(upstream, milliseconds)
  local number = place(upstream)
  if milliseconds >= read(number) then move(number, milliseconds, true) end
end

--- Returns the milliseconds within which 95 of 100 streams of this model at this provider bring their first content;
--- nil until enough streams were seen.
---@param upstream ccrelay.Upstream
---@return number?
function M.of(upstream)
  local figure, count = read(place(upstream))
  return count >= ENOUGH and figure or nil
end

return M
