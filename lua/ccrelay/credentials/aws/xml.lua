-- SPDX-License-Identifier: Apache-2.0
-- Parses a small XML document, such as STS answers with. It refuses document types and CDATA sections, and knows no
-- entities but the five of XML and character references.
local M = {}

local DEEPEST = 16
local ENTITIES = { lt = '<', gt = '>', amp = '&', quot = '"', apos = "'" }

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  local lead, size = 0xC0, 1
  if code >= 0x10000 then lead, size = 0xF0, 3 elseif code >= 0x800 then lead, size = 0xE0, 2 end
  local out = {}
  for place = size, 1, -1 do
    out[place + 1], code = string.char(0x80 + code % 64), math.floor(code / 64)
  end
  out[1] = string.char(lead + code)
  return table.concat(out)
end

local function character(digits, base)
  local code = #digits < 8 and tonumber(digits, base)
  local is_one = code and code > 0 and code < 0x110000 and (code < 0xD800 or code > 0xDFFF)
  return is_one and utf8(code) or nil
end

local function entity(name, ending)
  if ending == '' then return nil end
  local hex, decimal = string.match(name, '^#x(%x+)$'), string.match(name, '^#(%d+)$')
  if hex then return character(hex, 16) end
  if decimal then return character(decimal, 10) end
  return ENTITIES[name]
end

-- Returns nil for an unknown entity.
local function plain(text)
  local bad = false
  local out = string.gsub(text, '&([^;&]*)(;?)', function(name, ending)
    local value = entity(name, ending)
    bad = bad or not value
    return value
  end)
  return not bad and out or nil
end

local function close(state, name)
  local depth = #state.path
  if state.path[depth] ~= name then return false end
  if state.leaf then
    local text = plain(table.concat(state.text))
    if not text then return false end
    local path = table.concat(state.path, '/')
    state.fields[path] = state.fields[path] or text
  end
  state.path[depth], state.leaf, state.text = nil, false, {}
  state.ended = depth == 1
  return true
end

local function open(state, name)
  if state.ended or #state.path == DEEPEST then return false end
  state.path[#state.path + 1], state.leaf, state.text = name, true, {}
  return true
end

local function tag(state, inside)
  local closing = string.match(inside, '^/([%a_][%w._:-]*)%s*$')
  if closing then return close(state, closing) end
  local name, rest = string.match(inside, '^([%a_][%w._:-]*)(.*)$')
  if not name or rest ~= '' and not string.find(rest, '^[%s/]') or not open(state, name) then return false end
  return not string.find(rest, '/$') or close(state, name)
end

local function characters(state, text)
  if #state.path == 0 then return not string.find(text, '%S') end
  state.text[#state.text + 1] = text
  return true
end

-- Returns where the markup at index ends, or nil. Attributes may contain ">".
local function markup_end(text, index)
  local quote
  for place = index + 1, #text do
    local sign = string.sub(text, place, place)
    if quote then
      if sign == quote then quote = nil end
    elseif sign == '"' or sign == "'" then
      quote = sign
    elseif sign == '>' then
      return place
    elseif sign == '<' then
      return nil
    end
  end
end

local function step(state, text, index)
  local first = string.find(text, '<', index, true)
  if not characters(state, string.sub(text, index, (first or 0) - 1)) then return nil end
  if not first then return #text + 1 end
  if string.sub(text, first, first + 3) == '<!--' then
    local _, last = string.find(text, '-->', first + 4, true)
    return last and last + 1
  end
  local last = markup_end(text, first)
  if not last then return nil end
  local inside = string.sub(text, first + 1, last - 1)
  if string.find(inside, '^%?xml%s.*%?$') and #state.path == 0 then return last + 1 end
  return tag(state, inside) and last + 1 or nil
end

--- Returns the texts of elements without children by their paths, such as "ErrorResponse/Error/Code"; nil if the text
--- is not such a document.
---@param text string
---@return table<string, string>?
function M.fields(text)
  local state = { path = {}, fields = {}, text = {}, leaf = false, ended = false }
  local index = 1
  while index and index <= #text do index = step(state, text, index) end
  return index and state.ended and #state.path == 0 and state.fields or nil
end

return M
