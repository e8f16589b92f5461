-- SPDX-License-Identifier: Apache-2.0
-- Parses the arguments of a command: --name value, --name=value, flags, and plain arguments.
local fault = require 'ccrelay.util.fault'

local M = {}

---@enum ccrelay.ExitCode
M.codes = { ok = 0, failure = 1, usage = 64, unavailable = 69, configuration = 78 }

---@class ccrelay.Option
---@field name string without dashes
---@field type 'text'|'flag'|'choice'|'integer'
---@field of string[]? the values of a choice
---@field many boolean? may be given more than once; the value is then a list

local function find(specs, name)
  for _, spec in ipairs(specs) do
    if spec.name == name then return spec end
  end
end

local function unknown(specs, name)
  local known = { 'help' }
  for _, spec in ipairs(specs) do known[#known + 1] = spec.name end
  local near = fault.nearest(name, known)
  return ('unknown option --%s%s'):format(name, near and '; did you mean --' .. near .. '?' or '')
end

local function convert(spec, text)
  if spec.type == 'text' then
    if text == '' then return nil, ('--%s needs a value'):format(spec.name) end
    return text
  end
  if spec.type == 'integer' then
    if #text < 10 and text:find '^%d+$' then return tonumber(text) end
    return nil, ('--%s: found "%s", expected a whole number'):format(spec.name, text)
  end
  for _, word in ipairs(spec.of) do
    if word == text then return text end
  end
  return nil, ('--%s: found "%s", expected %s'):format(spec.name, text, fault.either(spec.of))
end

local function store(values, spec, value)
  local field = spec.name:gsub('-', '_')
  if spec.many then
    values[field] = values[field] or {}
    table.insert(values[field], value)
  elseif values[field] ~= nil then
    return nil, ('--%s is given twice'):format(spec.name)
  else
    values[field] = value
  end
  return true
end

-- Parses the option at arguments[i] and returns the index of the next argument.
local function take(arguments, i, specs, values)
  local name, text = arguments[i]:match '^%-%-([^=]+)=?(.*)$'
  local joined = arguments[i]:find('=', 1, true)
  local spec = name and find(specs, name)
  if not spec then
    return nil, name and unknown(specs, name) or ('unknown option %s'):format(arguments[i])
  end
  local value, message
  if spec.type ~= 'flag' then
    if not joined then
      i = i + 1
      text = arguments[i]
    end
    if not text or not joined and text:find '^%-%-' then return nil, ('--%s needs a value'):format(name) end
    value, message = convert(spec, text)
    if value == nil then return nil, message end
  elseif joined then
    return nil, ('--%s takes no value'):format(name)
  end
  local ok, twice = store(values, spec, spec.type == 'flag' or value)
  if not ok then return nil, twice end
  return i + 1
end

--- Parses arguments into the values of options and the plain arguments. "--" ends the options.
---@param arguments string[]
---@param specs ccrelay.Option[]
---@param most integer how many plain arguments there may be
---@return table<string, any>? values by the name of the option, with _ for -; nil if the arguments are wrong
---@return string[]|string rest_or_message the plain arguments, or what is wrong
function M.parse(arguments, specs, most)
  local values, rest, i = {}, {}, 1
  while i <= #arguments do
    local argument = arguments[i]
    if argument == '--' then
      for j = i + 1, #arguments do rest[#rest + 1] = arguments[j] end
      break
    elseif argument:find '^%-.' then
      local next_index, message = take(arguments, i, specs, values)
      if not next_index then return nil, message end
      i = next_index
    else
      rest[#rest + 1] = argument
      i = i + 1
    end
  end
  if #rest > most then return nil, ('unexpected argument "%s"'):format(fault.printable(rest[most + 1])) end
  return values, rest
end

--- Tells whether -h or --help is among the arguments before any "--".
---@param arguments string[]
---@return boolean
function M.wants_help(arguments)
  for _, argument in ipairs(arguments) do
    if argument == '--' then return false end
    if argument == '-h' or argument == '--help' then return true end
  end
  return false
end

--- Prints that a command was used wrongly.
---@param verb string the command
---@param message string what is wrong
---@return integer exit_code
function M.misuse(verb, message)
  io.stderr:write(('ccrelay %s: %s\nccrelay help %s shows how to use it\n'):format(verb, message, verb))
  return M.codes.usage
end

return M
