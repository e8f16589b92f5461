-- SPDX-License-Identifier: Apache-2.0
-- Classes of models. Providers limit each class separately: what a key has left for Opus says nothing about Haiku. So
-- what is learned of a key is kept per class; the configured limits of a key apply to all classes together.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local sha256 = require 'ccrelay.util.sha256'
local memoize = require 'ccrelay.util.memoize'

---@class ccrelay.ModelClass
---@field name string of the key and the class
---@field class string
---@field limit integer? number of its limit, all of whose rates are learned
---@field exhausted integer cell of a breaker, open while the key is at its limit for this class

local M = {}

--- The classes that have a name of their own.
M.LINES = { 'opus', 'sonnet', 'haiku' }

local LINES = M.LINES
local OTHERS = 5 -- classes that all other names share, so that the number of classes is bounded

--- Every class there is.
---@type string[]
M.CLASSES = { unpack(LINES) }
for number = 0, OTHERS - 1 do M.CLASSES[#M.CLASSES + 1] = 'other ' .. number end

-- The name without digits and punctuation, in which versions differ.
local function bare(model)
  return (string.gsub(string.lower(model), '%A+', ' '))
end

--- Returns the class of a model.
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

--- Returns the breakers of a key for every class of models.
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

--- Returns what is kept of a key for the class of a model.
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

--- Returns the smallest free share of a key's limits, 0 to 1. Without a model only configured limits count.
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
