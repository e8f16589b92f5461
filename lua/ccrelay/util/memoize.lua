-- SPDX-License-Identifier: Apache-2.0
-- Memoizes functions of short texts that recur: models, paths, host names. The memory of each is bounded.
local M = {}

local MOST = 256
local LONGEST = 128

--- Memoizes a function. Results for texts over 128 bytes are not kept; after 256 results it starts anew.
---@param compute fun(text: string): any its result must not be nil
---@param keeps (fun(text: string, result: any): boolean)? which results to keep; all unless given
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
