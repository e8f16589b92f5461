-- SPDX-License-Identifier: Apache-2.0
-- What a Messages body may ask for that not every provider can do: names (members of an adapter's
-- supports), the bit that the scan of the body sets, and the words for clients.
local C = require 'ccrelay.c'
local bit = require 'bit'

local M = {}

---@class ccrelay.Feature
---@field [1] string name
---@field [2] integer enum cc_feature
---@field [3] string as it reads after "cannot take"
---@field [4] string? beta that goes with it, without its date: in allowed_betas it says that the provider can

---@type ccrelay.Feature[]
local FEATURES = {
  { 'pdf', C.CC_HAS_PDF, 'PDF documents' },
  { 'image_url', C.CC_HAS_IMAGE_URL, 'images by URL' },
  { 'tool_forced', C.CC_HAS_TOOL_FORCED, 'a tool_choice that forces a tool' },
  -- Claude Code looks for this word in a 400, and then checks tool calls by itself.
  { 'safeguards', C.CC_HAS_SAFEGUARDS, 'safeguards, the server-side check of auto mode', 'dangerous-tool-use' },
}

local function is_allowed(provider, beta)
  for _, name in ipairs(beta and provider.settings.allowed_betas or {}) do
    if string.sub(name, 1, #beta) == beta then return true end
  end
  return false
end

local function can(provider, feature)
  return provider:supports(feature[1]) or is_allowed(provider, feature[4])
end

local BITS = { cache_scope = C.CC_HAS_CACHE_SCOPE }
for _, feature in ipairs(FEATURES) do BITS[feature[1]] = feature[2] end

--- Whether a body has a feature: one of supports, or cache_scope.
---@param bits integer of the scan
---@param name string
---@return boolean
function M.has(bits, name)
  return bit.band(bits, BITS[name] or error('there is no feature "' .. tostring(name) .. '"', 0)) ~= 0
end

--- What a body asks for that a provider cannot do.
---@param provider ccrelay.Provider
---@param bits integer of the scan
---@return string? words nil when it can do all of it
function M.missing(provider, bits)
  if bits == 0 or not provider.adapter.supports then return nil end
  for _, feature in ipairs(FEATURES) do
    if bit.band(bits, feature[2]) ~= 0 and not can(provider, feature) then return feature[3] end
  end
  return nil
end

return M
