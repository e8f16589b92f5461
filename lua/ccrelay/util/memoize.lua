-- SPDX-License-Identifier: Apache-2.0
-- Results of functions for the texts that come again and again: models, paths, host names.
local M = {}

local MOST = 256
local LONGEST = 128

--- The function, with a bounded memory for its results of short texts.
---@param compute fun(text: string): any never nil
---@param keeps (fun(text: string, result: any): boolean)? else every result is kept
---@return fun(text: string): any
function M.results(compute, keeps)
  local known, count = {}, 0
  return function(text)
    local result = known[text]
    if result ~= nil then return result end
    result = compute(text)
    if #text > LONGEST or keeps and not keeps(text, result) then return result end
    if count >= MOST then known, count = {}, 0 end
    known[text], count = result, count + 1
    return result
  end
end

return M
