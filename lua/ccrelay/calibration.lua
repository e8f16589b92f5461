-- SPDX-License-Identifier: Apache-2.0
-- How many bytes of a request make a token, learned for each model from what providers count, over all
-- workers.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.cell'
local remember = require 'ccrelay.remember'

local M = {}

local TYPICAL = 4
local LEAST, MOST = 1, 12
local LEAST_TOKENS = 50 -- below that the frame of a request outweighs its text
local PART = 8          -- how much of the figure a new one makes up
local SCALE = 1000000   -- cells hold whole numbers
local PLACES = 256      -- that models share, so that there are no more cells than that

local place_of = remember.results(function(model)
  return cell.number('bytes per token ' .. tonumber(cell.digest(model, 2), 16) % PLACES)
end)

--- Bytes of a request body that make a token of this model.
---@param model string
---@return number
function M.bytes_per_token(model)
  local learned = C.cc_cell_get(place_of(model))
  return learned > 0 and learned / SCALE or TYPICAL
end

--- What a provider has counted of a request: all of its input, cached or not.
---@param model string
---@param bytes number of the body
---@param tokens number
function M.learn(model, bytes, tokens)
  if tokens < LEAST_TOKENS then return end
  local found = math.min(math.max(bytes / tokens, LEAST), MOST)
  local place = place_of(model)
  local before = C.cc_cell_get(place)
  local after = before > 0 and before + (found * SCALE - before) / PART or found * SCALE
  C.cc_cell_set(place, math.floor(after))
end

return M
