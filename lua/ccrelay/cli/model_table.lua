-- SPDX-License-Identifier: Apache-2.0
-- Writes the table of ccrelay check: for each model the upstreams that are asked, in the order of candidates.plan.
local lists = require 'ccrelay.util.lists'
local candidates = require 'ccrelay.routing.candidates'

local M = {}

local USUAL = { 'claude-opus-4-5', 'claude-sonnet-4-5', 'claude-haiku-4-5-20251001' }
local OTHER = 'any other name'
local MOST_ROWS, WIDEST = 100, 40

--- Returns the models that Claude Code asks for, and every model that the configuration names.
---@param generation ccrelay.Generation
---@return string[]
function M.models(generation)
  local list, seen = {}, {}
  local function add(names)
    for _, name in ipairs(names or {}) do
      if not seen[name] then seen[name], list[#list + 1] = true, name end
    end
  end
  add(USUAL)
  for _, provider in ipairs(generation.providers) do
    add(lists.names(provider.settings.model_mapping or {}))
    add(provider.settings.models)
    add(provider.settings.serves)
  end
  return list
end

local function name_of(one, model)
  local key = one.key
  local name = #key.provider.keys > 1 and key.id or key.provider.name
  if not key.secret and key.provider.credentials == 'key' and key.provider.transparent then
    name = name .. ' (client\'s credential)'
  end
  return one.model ~= model and name .. ' as ' .. one.model or name
end

--- Returns one line: the upstreams that are asked for a model, in order, or "nobody".
---@param generation ccrelay.Generation
---@param model string
---@return string
function M.row(generation, model)
  local names = {}
  for index, one in ipairs(candidates.plan(generation, model)) do names[index] = name_of(one, model) end
  return #names > 0 and table.concat(names, ', ') or 'none'
end

local function lines_of(rows)
  local widest, lines = 0, {}
  for _, row in ipairs(rows) do widest = math.max(widest, math.min(#row[1], WIDEST)) end
  for index, row in ipairs(rows) do lines[index] = ('  %-' .. widest .. 's  %s'):format(row[1], row[2]) end
  return lines
end

--- Returns the lines of the whole table.
---@param generation ccrelay.Generation
---@return string[]
function M.lines(generation)
  local rows, models = {}, M.models(generation)
  for index = 1, math.min(#models, MOST_ROWS) do rows[index] = { models[index], M.row(generation, models[index]) } end
  rows[#rows + 1] = { OTHER, M.row(generation, OTHER) }
  local lines = lines_of(rows)
  if #models > MOST_ROWS then
    lines[#lines + 1] = ('  ... and %d more; see --model NAME'):format(#models - MOST_ROWS)
  end
  for _, provider in ipairs(generation.providers) do
    if provider.adapter.list_models then
      lines[#lines + 1] = ('  %s is also tried for the models that it lists (not looked up here)')
        :format(provider.name)
    end
  end
  return lines
end

--- Returns the enabled providers that have a credential but are asked for none of the models of the configuration.
--- Providers that list their models themselves are left out.
---@param generation ccrelay.Generation
---@return ccrelay.Provider[]
function M.never_asked(generation)
  local asked, list, models = {}, {}, M.models(generation)
  models[#models + 1] = OTHER
  for _, model in ipairs(models) do
    for _, one in ipairs(candidates.plan(generation, model)) do asked[one.key.provider] = true end
  end
  for _, provider in ipairs(generation.providers) do
    local may = candidates.is_usable(provider) and not provider.adapter.list_models
    if may and not asked[provider] then list[#list + 1] = provider end
  end
  return list
end

return M
