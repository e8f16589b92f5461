-- SPDX-License-Identifier: Apache-2.0
-- GET /health of the admin listener: the master answers.
local M = {}

---@return string body
function M.answer()
  return '{"status":"ok"}'
end

return M
