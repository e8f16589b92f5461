-- SPDX-License-Identifier: Apache-2.0
-- Extracts the visible text of an HTML page, such as a gateway or firewall sends in place of an API's error. Its time
-- is linear in the size of the page, however the page is made.
local texts = require 'ccrelay.util.text'

local M = {}

local HEAD = 1024 -- bytes; a page has <html or <!doctype html within them
local HIDDEN = { 'head', 'script', 'style' }
local ENTITIES = { amp = '&', lt = '<', gt = '>', quot = '"', apos = "'", nbsp = ' ', ['#39'] = "'", ['#160'] = ' ' }

local function is_page(text)
  local head = string.lower(string.sub(text, 1, HEAD))
  return string.find(head, '^%s*<') ~= nil and (string.find(head, '<html', 1, true) ~= nil
    or string.find(head, '<!doctype html', 1, true) ~= nil)
end

-- Plain searches, each from where the last one ended, so that a hostile page costs no more.
local function without(page, name)
  local lower, open, close = string.lower(page), '<' .. name .. '>', '</' .. name .. '>'
  local parts, from = {}, 1
  while true do
    local first = string.find(lower, open, from, true)
    if not first then break end
    parts[#parts + 1] = string.sub(page, from, first - 1)
    local _, last = string.find(lower, close, first, true)
    from = (last or #page) + 1
  end
  parts[#parts + 1] = string.sub(page, from)
  return table.concat(parts, ' ')
end

local function visible(page)
  page = string.gsub(page, '<[^<>]*>', ' ') -- no "<" inside, so that each byte is read once
  page = string.gsub(page, '&(#?%w+);', ENTITIES)
  return texts.trim((string.gsub(page, '%s+', ' ')))
end

local function title_of(page)
  local lower = string.lower(page)
  local first = string.find(lower, '<title', 1, true)
  local last = first and string.find(lower, '</title', first, true)
  return last and visible(string.sub(page, first, last - 1)) or ''
end

--- Returns the text that a reader sees of an HTML page, or its title if it has no text. Other text is returned
--- unchanged.
---@param text string
---@return string
function M.words(text)
  if not is_page(text) then return text end
  local shown = string.gsub(text, '<(%a+)%s[^<>]*>', '<%1>') -- removes attributes
  for _, name in ipairs(HIDDEN) do shown = without(shown, name) end
  shown = visible(shown)
  return shown ~= '' and shown or title_of(text)
end

return M
