-- SPDX-License-Identifier: Apache-2.0
-- Checks who may require whom in lua/ccrelay. It guarantees that a module requires only modules of its own room and
-- of lower rooms, wherever in the file the require stands, and that no modules require each other in a circle.
--
-- Usage: luajit tests/walls.lua [FOLDER]   FOLDER has lua/ccrelay in it; default: the folder above this file
local root = arg[1] or string.match(arg[0], '^(.*)/tests/[^/]*$') or '.'
local library = root .. '/lua/ccrelay'

-- Lower rooms first. A room is a folder of lua/ccrelay, or c.lua or init.lua.
local ROOMS = {
  'c', 'util', 'shared', 'log', 'script', 'sched', 'net', 'config', 'credentials', 'limits', 'health', 'providers',
  'routing', 'exchange', 'init', 'endpoints', 'generation', 'usage', 'server', 'traces', 'process', 'testing', 'cli',
}

-- Modules that are loaded by a name put together while the relay runs, with the reason. They must not be above the
-- module that loads them, and are not looked at for circles.
local LOADED_BY_NAME = {
  ['cli -> cli.commands.*'] = 'a command is loaded when it is called',
  ['cli.doctor -> cli.doctor.checks.*'] = 'every file there is a check',
  ['cli.commands.help -> cli.commands.*'] = 'help shows the summary of every command',
  ['credentials.google -> credentials.google.*'] = 'the schemes for the types of a credentials file',
  ['endpoints.routes -> endpoints.*'] = 'the endpoints that routes names',
  ['generation -> credentials.*'] = 'the scheme that an adapter names',
  ['testing.c -> testing.*'] = 'the parts of the scripted C side',
}

local height, failed = {}, false
for index, room in ipairs(ROOMS) do height[room] = index end

local function report(ok, what, lines)
  print((ok and 'ok - ' or 'not ok - ') .. what)
  for _, line in ipairs(lines) do print('  ' .. line) end
  failed = failed or not ok
end

local function read(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read '*a'
  file:close()
  return text
end

-- The modules of the library without the leading "ccrelay.": { name =, room =, text = }; and the same by name.
local function modules_of(folder)
  local list, by_name = {}, {}
  local find = io.popen(("find '%s' -name '*.lua' | LC_ALL=C sort"):format(folder))
  for path in find:lines() do
    local name = string.gsub(string.gsub(string.sub(path, #folder + 2, -5), '/', '.'), '(.)%.init$', '%1')
    local module = { name = name, room = string.match(name, '^[^.]+'), text = read(path) }
    list[#list + 1], by_name[name] = module, module
  end
  find:close()
  return list, by_name
end

-- Comments taken out, so that no word in them counts.
local function code_of(text)
  return (string.gsub(string.gsub(text, '%-%-%[%[.-%]%]', ''), '%-%-[^\n]*', ''))
end

-- What a module requires: names, and prefixes of names that are put together ("require('ccrelay.endpoints.' .. name)").
local function required(text)
  local names, prefixes = {}, {}
  for name, joined in string.gmatch(code_of(text), "require[%s(,]+['\"](ccrelay[%w_.]*)['\"]%s*(%.?%.?)") do
    local short = name == 'ccrelay' and 'init' or string.sub(name, #'ccrelay.' + 1)
    if joined == '..' then prefixes[#prefixes + 1] = short else names[#names + 1] = short end
  end
  return names, prefixes
end

-- Adds to each module what it requires and the prefixes of what it loads by name; returns lines on what is not there.
local function link(list, by_name)
  local unknown = {}
  for _, module in ipairs(list) do
    local names, prefixes = required(module.text)
    module.requires = {}
    for _, name in ipairs(names) do
      local other = by_name[name]
      if other then
        table.insert(module.requires, other)
      else
        unknown[#unknown + 1] = module.name .. ' requires ' .. name .. ', which is no module'
      end
    end
    module.loads = prefixes
  end
  return unknown
end

-- Lines on modules that are loaded by name and not listed, or listed and not loaded.
local function unlisted(list)
  local lines, seen = {}, {}
  for _, module in ipairs(list) do
    for _, prefix in ipairs(module.loads) do
      local pair = module.name .. ' -> ' .. prefix .. '*'
      seen[pair] = true
      if not LOADED_BY_NAME[pair] then lines[#lines + 1] = pair .. ' is not in the list' end
    end
  end
  for pair in pairs(LOADED_BY_NAME) do
    if not seen[pair] then lines[#lines + 1] = pair .. ' is in the list, but nothing loads it' end
  end
  return lines
end

local function is_above(name, module)
  return (height[string.match(name, '^[^.]+')] or 0) > (height[module.room] or math.huge)
end

local function upward(list)
  local lines = {}
  for _, module in ipairs(list) do
    for _, other in ipairs(module.requires) do
      if is_above(other.name, module) then lines[#lines + 1] = module.name .. ' requires ' .. other.name end
    end
    for _, prefix in ipairs(module.loads) do
      if is_above(prefix, module) then lines[#lines + 1] = module.name .. ' loads ' .. prefix .. '*' end
    end
  end
  return lines
end

-- A circle is a path of requires that comes back to where it began; each is found once.
local function circles(list)
  local lines, state, path = {}, {}, {}
  local function visit(module)
    state[module], path[#path + 1] = 'open', module.name
    for _, other in ipairs(module.requires) do
      if not state[other] then
        visit(other)
      elseif state[other] == 'open' then
        local first = #path
        while path[first] ~= other.name do first = first - 1 end
        lines[#lines + 1] = table.concat(path, ' -> ', first) .. ' -> ' .. other.name
      end
    end
    state[module], path[#path] = 'done', nil
  end
  for _, module in ipairs(list) do
    if not state[module] then visit(module) end
  end
  return lines
end

local function roomless(list)
  local lines = {}
  for _, module in ipairs(list) do
    if not height[module.room] then lines[#lines + 1] = module.name end
  end
  return lines
end

local list, by_name = modules_of(library)
local unknown = link(list, by_name)
local lost, loaded, up, round = roomless(list), unlisted(list), upward(list), circles(list)
report(#list > 0 and #lost == 0, 'every Lua module is in a room of tests/walls.lua', lost)
report(#unknown == 0, 'every Lua module that is required exists', unknown)
report(#loaded == 0, 'modules that are loaded by name are listed in tests/walls.lua', loaded)
report(#up == 0, 'Lua rooms require lower rooms only', up)
report(#round == 0, 'no Lua modules require each other in a circle', round)
os.exit(failed and 1 or 0)
