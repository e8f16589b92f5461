-- SPDX-License-Identifier: Apache-2.0
-- Parses the files of the AWS tools as botocore does: names in any case, "=" or ":" after them, comments on lines of
-- their own, a value continued on indented lines. A section or name that appears twice is a fault.
local each = require 'ccrelay.util.each'
local texts = require 'ccrelay.util.text'

local M = {}

---@class ccrelay.AwsSection
---@field line integer
---@field values table<string, string>
---@field lines table<string, integer>

local DEFAULTS = 'DEFAULT'

local function wrong(state, what, ...)
  return nil, string.format('%s:%d: ' .. what, state.name, state.line, ...)
end

local function begin(state, header)
  local known = state.sections[header]
  if known and header ~= DEFAULTS then
    return wrong(state, 'the section [%s] appears twice, first in line %d', header, known.line)
  end
  state.section = known or { line = state.line, values = {}, lines = {} }
  state.sections[header], state.header, state.key = state.section, header, nil
  return true
end

local function set(state, body)
  if not state.section then return wrong(state, 'a line before the first section, such as [default]') end
  local name, rest = string.match(body, '^([^=:]*)[=:](.*)$')
  local key, value = texts.trim(name or ''), texts.trim(rest or '')
  if key == '' then return wrong(state, 'neither a [section] nor "name = value"') end
  key = string.lower(key)
  local section = state.section
  if section.lines[key] then
    return wrong(state, '%s is there twice in [%s], first in line %d', key, state.header, section.lines[key])
  end
  section.values[key], section.lines[key], state.key = value, state.line, key
  return true
end

local function take(state, line)
  local blanks, body = string.match(line, '^%s*'), texts.trim(line)
  if body == '' or string.find(body, '^[#;]') then return true end
  if state.key and #blanks > state.indent then
    local values = state.section.values
    values[state.key] = values[state.key] .. '\n' .. body
    return true
  end
  state.indent = #blanks
  local header = string.match(body, '^%[(.+)%]')
  if header then return begin(state, header) end
  return set(state, body)
end

-- Nested settings and blank values count as absent. Values of [DEFAULT] apply to every section.
local function finish(sections)
  local defaults = sections[DEFAULTS]
  sections[DEFAULTS] = nil
  for _, section in each(sections) do
    for key, value in each(defaults and defaults.values or {}) do
      if not section.values[key] then section.values[key], section.lines[key] = value, defaults.lines[key] end
    end
    for key, value in each(section.values) do
      if value == '' or string.find(value, '^\n') then section.values[key] = nil end
    end
  end
  return sections
end

--- Parses a text into its sections by name. No message quotes a value.
---@param text string
---@param name string the name of the file, for messages
---@return table<string, ccrelay.AwsSection>? sections
---@return string? message
function M.parse(text, name)
  local state = { name = name, line = 0, indent = 0, sections = {} }
  text = string.gsub(string.gsub(text, '^\239\187\191', ''), '\r\n?', '\n')
  for line in string.gmatch(text .. '\n', '(.-)\n') do
    state.line = state.line + 1
    local ok, message = take(state, line)
    if not ok then return nil, message end
  end
  return finish(state.sections)
end

return M
