-- SPDX-License-Identifier: Apache-2.0
-- Makes a request for Anthropic's own API fit for a cloud that serves its models behind a schema of
-- its own: a beta and the member of the body that needs it go or stay together.
local json = require 'ccrelay.json'

---@class ccrelay.Fit what adapters of clouds share
local M = {}

-- Betas that have another name there.
local RENAMED = { ['advanced-tool-use-2025-11-20'] = 'tool-search-tool-2025-10-19' }

-- Members that such a schema refuses unless their beta is sent.
local HALVES = {
  context_management = 'context-management-2025-06-27',
  safeguards = 'dangerous-tool-use-2026-09-03',
}

local FIRST_FAMILY_WITH_DISPLAY = 5

--- Which family a model belongs to: 3 of claude-3-5-haiku, 4 of claude-sonnet-4-5; nil when the name
--- does not tell.
---@param model string
---@return integer?
function M.family(model)
  local digits = string.match(model, 'claude%-%l+%-(%d%d?)%f[^%d]') or string.match(model, 'claude%-(%d%d?)%f[^%d]')
  return digits and tonumber(digits) or nil
end

local function as_set(...)
  local set = {}
  for _, list in ipairs { ... } do
    for _, name in ipairs(list) do set[name] = true end
  end
  return set
end

--- The client's betas that may be sent, in their order.
---@param request ccrelay.Request
---@param permitted string[] the adapter's
---@return string[]
function M.betas(request, permitted)
  local allowed, seen, list = as_set(permitted, request.settings.allowed_betas or {}), {}, {}
  for name in string.gmatch(request:client_header 'anthropic-beta' or '', '[^,%s]+') do
    name = not allowed[name] and RENAMED[name] or name
    if allowed[name] and not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  return list
end

local function shows_thinking(request)
  local family = M.family(request.model or '') or M.family(request.original_model or '')
  return family and family >= FIRST_FAMILY_WITH_DISPLAY or false
end

--- Takes out of the body what the schema refuses, and puts in its version unless it has one.
---@param request ccrelay.Request
---@param version string for anthropic_version
---@param betas string[] those that are sent
function M.body(request, version, betas)
  local sent = as_set(betas)
  for name, beta in pairs(HALVES) do
    if not sent[beta] and request:raw(name) then request:remove(name) end
  end
  local thinking = request:raw 'thinking'
  if thinking and request:raw 'thinking.display' and not shows_thinking(request) then
    request:set_json('thinking', request:without(thinking, 'display'))
  end
  if not request:raw 'anthropic_version' then request:set('anthropic_version', version) end
end

--- Puts the betas into the body, unless it has a list of its own.
---@param request ccrelay.Request
---@param betas string[]
function M.put_betas(request, betas)
  local own = json.decode(request:raw 'anthropic_beta' or '')
  if type(own) == 'table' or #betas == 0 then return end
  request:set('anthropic_beta', json.array(betas))
end

--- Says which key of the configuration makes up the host that does not exist.
---@param outcome ccrelay.Outcome
---@param settings table
---@param key string
function M.blame(outcome, settings, key)
  if outcome.error ~= 'CC_EDNS' or settings.base_url then return end
  outcome.reason = string.format('%s; is %s "%s" right?', outcome.reason, key, tostring(settings[key]))
end

--- A model's id as one segment of a path (RFC 3986): ":" and "@" stay, "/" becomes %2F.
---@param text string
---@return string
function M.segment(text)
  local kept = string.find(text, '^%.+$') and '[^%w]' or "[^%w%-%._~:@!$&'()*+,;=]"
  return (string.gsub(text, kept, function(character) return string.format('%%%02X', string.byte(character)) end))
end

return M
