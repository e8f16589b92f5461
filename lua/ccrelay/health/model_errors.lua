-- SPDX-License-Identifier: Apache-2.0
-- Recognizes errors that say that the provider does not have the requested model. Each provider words them differently;
-- wordings that are not listed here are treated like any other error.
local M = {}

-- Lower-case patterns of the message, by status.
local PATTERNS = {
  [400] = {
    'provided model identifier is invalid',                -- Bedrock
    'invocation of model id .* on%-demand throughput',     -- Bedrock: needs an inference profile
    'unknown model',                                       -- Z.AI (1211), MiniMax
    '^model not exist',                                    -- DeepSeek
    'publisher model .* not ',                             -- Vertex AI
  },
  [404] = {
    '^model:',                                             -- Anthropic
    'model .*not found', 'model .*does not exist', 'model .*not exist', 'no such model',
    'publisher model',                                     -- Vertex AI
    'could not resolve the foundation model',              -- Bedrock
    'deployment .*does not exist', 'deployment .*not found', -- Azure
  },
  [503] = { 'no available channel for model' },            -- new-api and similar relays
}

local LONGEST = 512 -- bytes of a message that are searched

local CODES = { DeploymentNotFound = true, model_not_found = true, ModelNotFound = true }

local function code_of(decoded)
  local inner = type(decoded) == 'table' and decoded.error
  return type(inner) == 'table' and inner.code or nil
end

--- Whether an error says that the provider does not have the model.
---@param status integer?
---@param message string
---@param decoded any the body
---@return boolean
function M.is_unknown_model(status, message, decoded)
  local patterns = PATTERNS[status]
  if not patterns then return false end
  if CODES[code_of(decoded)] then return true end
  local words = string.lower(string.sub(message, 1, LONGEST))
  for _, pattern in ipairs(patterns) do
    if string.find(words, pattern) then return true end
  end
  return false
end

return M
