-- SPDX-License-Identifier: Apache-2.0
-- Features of a Messages body that not every provider supports: their names (in an adapter's supports), the bits that
-- the scan of the body sets, and their names in messages.
local C = require 'ccrelay.c'
local bit = require 'bit'

local M = {}

---@class ccrelay.Feature
---@field [1] string name
---@field [2] integer enum cc_feature
---@field [3] string its name after "cannot take" in messages
---@field [4] string? its beta without the date; in allowed_betas it declares that the provider supports the feature

---@type ccrelay.Feature[]
local FEATURES = {
  { 'pdf', C.CC_HAS_PDF, 'PDF documents' },
  { 'image_url', C.CC_HAS_IMAGE_URL, 'images by URL' },
  { 'tool_forced', C.CC_HAS_TOOL_FORCED, 'a tool_choice that forces a tool' },
  -- Claude Code looks for the word safeguards in a 400, and then checks tool calls by itself.
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

--- Tells whether a body has a feature. Raises an error for an unknown name.
---@param bits integer from the scan of the body
---@param name string a name in supports, or cache_scope
---@return boolean
function M.has(bits, name)
  return bit.band(bits, BITS[name] or error('there is no feature "' .. tostring(name) .. '"', 0)) ~= 0
end

--- Names a feature of a body that a provider does not support.
---@param provider ccrelay.Provider
---@param bits integer from the scan of the body
---@return string? words for messages; nil if it supports all
function M.missing(provider, bits)
  if bits == 0 or not provider.adapter.supports then return nil end
  for _, feature in ipairs(FEATURES) do
    if bit.band(bits, feature[2]) ~= 0 and not can(provider, feature) then return feature[3] end
  end
  return nil
end

return M
