-- SPDX-License-Identifier: Apache-2.0
-- Estimates the tokens of requests, learned per model from the usage that providers state, over all workers: bytes per
-- token, the share of a request that is not in its prompt cache, and the length of answers.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local sha256 = require 'ccrelay.util.sha256'
local memoize = require 'ccrelay.util.memoize'

local M = {}

M.USUAL_OUTPUT = 1024 -- tokens of an answer while nothing is known of the model

local TYPICAL = 4       -- bytes per token
local LEAST, MOST = 0.1, 12
local LEAST_TOKENS = 50 -- in smaller requests the JSON around the text outweighs it
local PART = 8          -- a new value counts as one part in so many
local SCALE = 1000000   -- cells hold integers
local PLACES = 256      -- the models share this many cells

--- Returns the number of a model's cell, below 256.
---@param model string
---@return integer
M.place = memoize.results(function(model) return sha256.number(model, 2) % PLACES end)

local function places(what)
  return memoize.results(function(model) return cell.number(what .. ' ' .. M.place(model)) end)
end

local size_of, share_of, output_of = places 'bytes per token', places 'new share', places 'output'

local function value_of(place, otherwise)
  local learned = C.cc_cell_get(place)
  return learned > 0 and learned / SCALE or otherwise
end

local function learn(place, found, rises)
  local before = C.cc_cell_get(place) / SCALE
  local at_once = before <= 0 or rises and found > before
  C.cc_cell_set(place, math.floor((at_once and found or before + (found - before) / PART) * SCALE))
end

--- Whether anything was learned about this model.
---@param model string
---@return boolean
function M.is_known(model)
  return C.cc_cell_get(output_of(model)) > 0
end

--- Returns the bytes of a request body per token of this model.
---@param model string
---@return number
function M.bytes_per_token(model)
  return value_of(size_of(model), TYPICAL)
end

--- Returns the share of a request with cache_control that is not in the prompt cache yet, 0 to 1.
---@param model string
---@return number
function M.new_share(model)
  return value_of(share_of(model), 1)
end

--- Returns the tokens of output to expect: about the most that recent answers had.
---@param model string
---@return number
function M.output(model)
  return math.ceil(value_of(output_of(model), M.USUAL_OUTPUT))
end

--- Learns the share of a request with cache_control that was not in the prompt cache.
---@param model string
---@param new number tokens that were not in the cache
---@param all number tokens
function M.learn_new(model, new, all)
  if all >= LEAST_TOKENS then learn(share_of(model), math.max(new / all, 1 / SCALE)) end
end

--- Learns the output tokens of a whole answer.
---@param model string
---@param tokens number
function M.learn_output(model, tokens)
  learn(output_of(model), math.max(tokens, 1), true)
end

--- Learns the bytes per token from the input that a provider counted.
---@param model string
---@param bytes number of the body
---@param tokens number all of the input, cached or not
function M.learn(model, bytes, tokens)
  if tokens < LEAST_TOKENS then return end
  learn(size_of(model), math.min(math.max(bytes / tokens, LEAST), MOST))
end

return M
