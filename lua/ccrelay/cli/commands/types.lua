-- SPDX-License-Identifier: Apache-2.0
-- ccrelay types: prints what scripts can use, as LuaLS annotations for editors or as a reference in Markdown.
local annotations = require 'ccrelay.cli.annotations'
local config = require 'ccrelay.config'
local fault = require 'ccrelay.util.fault'
local file = require 'ccrelay.config.file'
local options = require 'ccrelay.cli.options'
local reference = require 'ccrelay.cli.reference'

local M = {}

M.summary = 'print the script API: for editors, or as a reference'
M.usage = [[
usage: ccrelay types [MODULE]
       ccrelay types --reference

Prints what policies, adapters and tests can use, as annotations for the Lua language server
(LuaLS). MODULE is what the script requires: ccrelay (the default, has all annotations),
ccrelay.testing in tests, ccrelay.fit or ccrelay.json in adapters. To set up an editor, copy
examples/luarc.json to .luarc.json beside the script and run there:

  mkdir -p types/ccrelay
  ccrelay types > types/ccrelay.lua
  ccrelay types ccrelay.testing > types/ccrelay/testing.lua
  ccrelay types ccrelay.fit > types/ccrelay/fit.lua
  ccrelay types ccrelay.json > types/ccrelay/json.lua

  --reference              print all names with their types in Markdown
]]

M.options = { { name = 'reference', type = 'flag' } }

-- The classes that scripts can use, and the module that each is annotated in.
local PUBLIC = {
  { 'ccrelay.init', 'ccrelay.Relay' },
  { 'ccrelay.init', 'ccrelay.Routing' },
  { 'ccrelay.util.json', 'ccrelay.Json' },
  { 'ccrelay.exchange', 'ccrelay.Exchange' },
  { 'ccrelay.routing.candidates', 'ccrelay.Upstream' },
  { 'ccrelay.health.outcome', 'ccrelay.Outcome' },
  { 'ccrelay.exchange.respond', 'ccrelay.Writer' },
  { 'ccrelay.shared.cell', 'ccrelay.Cell' },
  { 'ccrelay.generation', 'ccrelay.Policy' },
  { 'ccrelay.generation', 'ccrelay.Report' },
  { 'ccrelay.generation', 'ccrelay.Adapter' },
  { 'ccrelay.generation', 'ccrelay.FreeRequest' },
  { 'ccrelay.providers.draft', 'ccrelay.Request' },
  { 'ccrelay.net.signer', 'ccrelay.Signer' },
  { 'ccrelay.providers.cloud', 'ccrelay.Fit' },
  { 'ccrelay.testing', 'ccrelay.Testing' },
  { 'ccrelay.testing', 'ccrelay.Stage' },
  { 'ccrelay.testing', 'ccrelay.StageOptions' },
  { 'ccrelay.testing', 'ccrelay.TestRequest' },
  { 'ccrelay.testing', 'ccrelay.TestReply' },
  { 'ccrelay.testing', 'ccrelay.TestAnswer' },
  { 'ccrelay.testing', 'ccrelay.TestTry' },
}
local ALIASES = { { 'ccrelay.health.circuits', 'ccrelay.UpstreamState' }, { 'ccrelay.exchange', 'ccrelay.Stream' } }
local MODULES = {
  ccrelay = 'ccrelay.Relay', ['ccrelay.fit'] = 'ccrelay.Fit', ['ccrelay.json'] = 'ccrelay.Json',
  ['ccrelay.testing'] = 'ccrelay.Testing',
}
local ORDER = { 'ccrelay', 'ccrelay.fit', 'ccrelay.json', 'ccrelay.testing' }

-- The names of modules.
function M.takes()
  return ORDER
end

local function open(module)
  local folder = config.root() .. '/lua/'
  local path = package.searchpath(module, folder .. '?.lua;' .. folder .. '?/init.lua') or module
  local text, reason = file.read(path, { insecure = true })
  return text or error(path .. ': ' .. reason, 0)
end

--- Returns the classes that scripts can use, as the library's files annotate them.
---@return ccrelay.Annotated[]
function M.classes()
  local reader, list = annotations.reader(open), {}
  for index, entry in ipairs(PUBLIC) do list[index] = reader:class(entry[1], entry[2]) end
  return list
end

local function add(out, lines)
  for _, line in ipairs(lines) do out[#out + 1] = line end
end

--- Returns all that scripts can use as a reference in Markdown.
---@return string
function M.reference()
  local reader, out = annotations.reader(open), {}
  for _, class in ipairs(M.classes()) do out[#out + 1] = reference.class(class) end
  for _, entry in ipairs(ALIASES) do out[#out + 1] = reference.alias(reader:alias(entry[1], entry[2])) end
  return table.concat(out, '\n')
end

local function add_class(out, class)
  local variable = class.name:match '[^.]+$'
  add(out, { '' })
  add(out, class.heads)
  add(out, { ('local %s = {}'):format(variable) })
  for _, entry in ipairs(class.functions) do
    local parameters = table.concat(entry.parameters, ', ')
    add(out, { '' })
    add(out, entry.lines)
    add(out, { ('function %s%s%s(%s) end'):format(variable, entry.separator, entry.name, parameters) })
  end
end

--- Returns the annotations of a module that scripts require.
---@param module string its public name, such as "ccrelay.fit"
---@return string
function M.text(module)
  local name = MODULES[module]
  local out = { '---@meta', ('-- What ccrelay %s prints for: require %q'):format(
    module == 'ccrelay' and 'types' or 'types ' .. module, module) }
  if module == 'ccrelay' then
    local reader = annotations.reader(open)
    for _, entry in ipairs(ALIASES) do add(out, { '', reader:alias(entry[1], entry[2]) }) end
    for _, class in ipairs(M.classes()) do add_class(out, class) end
    add(out, { '', 'return Relay' })
  else
    add(out, { '', '---@type ' .. name, 'local module = {}', '', 'return module' })
  end
  return table.concat(out, '\n') .. '\n'
end

function M.run(arguments)
  local values, rest = options.parse(arguments, M.options, 1)
  if not values then return options.misuse('types', rest) end
  if values.reference and rest[1] then
    return options.misuse('types', '--reference covers all modules and takes no MODULE')
  end
  if values.reference then
    io.stdout:write(M.reference())
    return options.codes.ok
  end
  local module = rest[1] or 'ccrelay'
  if not MODULES[module] then
    return options.misuse('types', ('no script requires "%s"; expected %s'):format(fault.printable(module),
      fault.either(ORDER)))
  end
  io.stdout:write(M.text(module))
  return options.codes.ok
end

return M
