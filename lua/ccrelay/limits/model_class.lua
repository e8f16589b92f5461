-- SPDX-License-Identifier: Apache-2.0
-- Providers limit each class of models apart: what one key has left of Opus says nothing of Haiku. So what
-- is learned of a key is kept for each class; what the configuration says of a key is for all together.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local sha256 = require 'ccrelay.util.sha256'
local memoize = require 'ccrelay.util.memoize'

---@class ccrelay.ModelClass
---@field name string of the key and the class
---@field class string
---@field limit integer? number of its limit, which has no rates but learned ones
---@field exhausted integer cell of a breaker: the key is at its limit of this class

local M = {}

local LINES = { 'opus', 'sonnet', 'haiku' }
local OTHERS = 5 -- that all other names share, so that a key has no more classes than these

--- Every class there is.
---@type string[]
M.CLASSES = { unpack(LINES) }
for number = 0, OTHERS - 1 do M.CLASSES[#M.CLASSES + 1] = 'other ' .. number end

-- The name without numbers and marks, which versions differ in.
local function bare(model)
  return (string.gsub(string.lower(model), '%A+', ' '))
end

--- The line a model is of.
---@param model string
---@return string
M.class_of = memoize.results(function(model)
  local name = bare(model)
  for _, line in ipairs(LINES) do
    if string.find(name, line, 1, true) then return line end
  end
  return 'other ' .. sha256.number(name, 2) % OTHERS
end)

local function name_of(key, class) return cell.fit(key.name .. ' ' .. class) end

local BREAKER = 'exhausted:'

--- The breakers of a key for every class of models.
---@param key ccrelay.Key
---@return integer[] cells
function M.breakers(key)
  local list = {}
  for index, class in ipairs(M.CLASSES) do list[index] = cell.number(BREAKER .. name_of(key, class)) end
  return list
end

local function new(key, class)
  local name = name_of(key, class)
  local limit = key.rates and C.cc_limit(name, #name) or -1
  return { name = name, class = class, limit = limit >= 0 and limit or nil, exhausted = cell.number(BREAKER .. name) }
end

--- What is kept of a key for a model.
---@param key ccrelay.Key
---@param model string?
---@return ccrelay.ModelClass
function M.of(key, model)
  local class = M.class_of(model or '')
  local found = key.classes[class]
  if not found then
    found = new(key, class)
    key.classes[class] = found
  end
  return found
end

--- The least free share of a key's limits, 0 to 1: for a model, or as far as the configuration goes.
---@param key ccrelay.Key
---@param model string?
---@param now number
---@return number
function M.headroom(key, model, now)
  local least = key.limit and C.cc_limit_headroom(key.limit, now) or 1
  local learned = model and M.of(key, model).limit
  return learned and math.min(least, C.cc_limit_headroom(learned, now)) or least
end

return M
