-- SPDX-License-Identifier: Apache-2.0
-- Adapts a request for Anthropic's own API to a cloud that serves its models behind a schema of its own (for scripts:
-- ccrelay.fit). It guarantees that a beta and the fields of the body that need it are sent together or not at all.
local json = require 'ccrelay.util.json'

---@class ccrelay.Fit what adapters of clouds share
local M = {}

-- Betas that have another name in clouds.
local RENAMED = { ['advanced-tool-use-2025-11-20'] = 'tool-search-tool-2025-10-19' }

-- Fields that such a schema refuses, with the betas (without their dates) of which one makes the schema accept them. A
-- field without a beta is always removed. safeguards is not in the list: a client would believe that tool calls are
-- checked, so adapters declare that they do not support it.
local PAIRS = {
  { 'cache_control' },
  { 'compaction', 'compact' },
  { 'container', 'code-execution', 'skills' },
  { 'context_management', 'context-management', 'compact' },
  { 'diagnostics', 'cache-diagnosis' },
  { 'fallback_credit_token', 'fallback-credit' },
  { 'fallbacks', 'server-side-fallback' },
  { 'mcp_servers', 'mcp-client' },
  { 'output_config.task_budget', 'task-budgets' },
  { 'speed', 'fast-mode' },
  { 'tags', 'request-tags' },
}

-- All places of the Messages API that may have a cache_control.
local SCOPE_BETA = 'prompt-caching-scope'
local SCOPES = {
  'system[]', 'tools[]', 'messages[]', 'messages[].content[]', 'messages[].content[].content[]',
  'messages[].content[].source.content[]', 'messages[].content[].content[].source.content[]',
}

local FIRST_FAMILY_WITH_DISPLAY = 5

--- Returns the family of a model: 3 for claude-3-5-haiku, 4 for claude-sonnet-4-5; nil if unknown.
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

local function asked(request)
  local list = {}
  for name in string.gmatch(request:client_header 'anthropic-beta' or '', '[^,%s]+') do list[#list + 1] = name end
  return list
end

--- Returns the client's betas that may be sent, in their order.
---@param request ccrelay.Request
---@param permitted string[] the betas that the adapter permits
---@return string[]
function M.betas(request, permitted)
  local allowed, seen, list = as_set(permitted, request.settings.allowed_betas or {}), {}, {}
  for _, name in ipairs(asked(request)) do
    name = not allowed[name] and RENAMED[name] or name
    if allowed[name] and not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  return list
end

local function undated(beta)
  return string.match(beta, '^(.+)%-%d%d%d%d%-%d%d%-%d%d$') or beta
end

--- Returns the betas without some families: "web-search" is any "web-search-DATE".
---@param betas string[]
---@param without string[]
---@return string[]
function M.except(betas, without)
  local out, list = as_set(without), {}
  for _, name in ipairs(betas) do
    if not out[undated(name)] then list[#list + 1] = name end
  end
  return list
end

-- Tells whether a pair has a beta of some families.
local function is_among(pair, set)
  for index = 2, #pair do
    if set[pair[index]] then return true end
  end
  return false
end

--- Removes members whose beta is not sent from the body.
---@param request ccrelay.Request
---@param betas string[] those that are sent
function M.pairs(request, betas)
  local sent = {}
  for _, name in ipairs(betas) do sent[undated(name)] = true end
  for _, pair in ipairs(PAIRS) do
    if not is_among(pair, sent) then request:remove(pair[1]) end
  end
  if sent[SCOPE_BETA] or not request:has 'cache_scope' then return end
  for _, place in ipairs(SCOPES) do request:remove(place .. '.cache_control.scope') end
end

--- Removes some families of betas from the header, and their members from the body; for clouds that accept
--- everything else.
---@param request ccrelay.Request
---@param without string[]
function M.leave_out(request, without)
  local betas, out = asked(request), as_set(without)
  local kept = M.except(betas, without)
  if #kept < #betas then request:header('anthropic-beta', table.concat(kept, ',')) end
  for _, pair in ipairs(PAIRS) do
    if is_among(pair, out) then request:remove(pair[1]) end
  end
end

local function shows_thinking(request)
  local family = M.family(request.model or '') or M.family(request.original_model or '')
  return family and family >= FIRST_FAMILY_WITH_DISPLAY or false
end

--- Removes what the schema rejects from the body, and adds the version if absent.
---@param request ccrelay.Request
---@param version string for anthropic_version
---@param betas string[] those that are sent
function M.body(request, version, betas)
  M.pairs(request, betas)
  if not shows_thinking(request) then request:remove 'thinking.display' end
  if not request:raw 'anthropic_version' then request:set('anthropic_version', version) end
end

--- Puts the betas into the body, unless it has its own list.
---@param request ccrelay.Request
---@param betas string[]
function M.put_betas(request, betas)
  local own = json.decode(request:raw 'anthropic_beta' or '')
  if type(own) == 'table' or #betas == 0 then return end
  request:set('anthropic_beta', json.array(betas))
end

--- Reads an answer to count_tokens of a cloud that rejects some counts: these are estimated, because the client
--- cannot correct anything and sends the same request as a message.
---@param outcome ccrelay.Outcome
---@return false? estimated nil if the client gets the answer unchanged
function M.uncounted(outcome)
  if outcome.status == 400 or outcome.status == 403 then return false end
end

--- Adds to the message which configuration key the nonexistent host is made of.
---@param outcome ccrelay.Outcome
---@param settings table
---@param key string
function M.blame(outcome, settings, key)
  if outcome.error ~= 'CC_EDNS' or settings.base_url then return end
  outcome.reason = string.format('%s; is %s "%s" right?', outcome.reason, key, tostring(settings[key]))
end

--- Returns a model id as one path segment (RFC 3986): ":" and "@" stay, "/" becomes %2F.
---@param text string
---@return string
function M.segment(text)
  local kept = string.find(text, '^%.+$') and '[^%w]' or "[^%w%-%._~:@!$&'()*+,;=]"
  return (string.gsub(text, kept, function(character) return string.format('%%%02X', string.byte(character)) end))
end

return M
