-- SPDX-License-Identifier: Apache-2.0
-- GET / of the admin listener: the dashboard, and at /dashboard/NAME the files it loads, from the folder dashboard/.
-- They are the same for everybody: what they show comes from /events.
local config = require 'ccrelay.config'

local M = { public = true, below = true, later = true }

-- Nothing may come from another site, and no other site may show the page in a frame.
M.headers = {
  ['content-security-policy'] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    .. "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ['x-frame-options'] = 'DENY', ['referrer-policy'] = 'no-referrer',
}

local TYPES = {
  html = 'text/html; charset=utf-8', css = 'text/css; charset=utf-8', js = 'text/javascript; charset=utf-8',
  svg = 'image/svg+xml',
}

local function content_of(name)
  local file = io.open(config.root() .. '/dashboard/' .. name, 'rb')
  if not file then return nil end
  local text = file:read '*a'
  file:close()
  return text
end

---@param _ ccrelay.Master
---@param request ccrelay.AdminRequest
function M.answer(_, request)
  local name = request.path == '/' and 'index.html' or request.rest
  local kind = TYPES[string.match(name, '^%w[%w_.-]*%.(%a+)$') or '']
  local text = kind and content_of(name)
  if not text then return request.reply(nil, 404, 'there is no such file of the dashboard') end
  request.reply(text, nil, nil, kind)
end

return M
