-- SPDX-License-Identifier: Apache-2.0
-- Harmful configuration files, each of which is loaded by a process of its own that reports how much memory it needed.
-- The bound on processor time is three times the promise, for slow machines and sanitizers.
local helper = require 'support.config_helper'

local MOST_MEBIBYTES = 64
local SANITIZED_MEBIBYTES = 40
local MEBIBYTE = 1024 * 1024
local FULL = 4 * MEBIBYTE - 64

local function fill(unit)
  return unit:rep(math.floor(FULL / #unit))
end

local function counted(format, count)
  local lines = {}
  for i = 1, count do lines[i] = format:format(i, i) end
  return table.concat(lines)
end

local function bomb()
  local lines = { 'a0: &a0 {x: y}\n' }
  for i = 1, 30 do
    local alias = ('*a%d, '):format(i - 1)
    lines[#lines + 1] = ('a%d: &a%d [%s]\n'):format(i, i, alias:rep(10))
  end
  return table.concat(lines)
end

local function provider_keys(count)
  return 'providers:\n  - name: a\n    type: zai\n    keys:\n' .. ('      - key: x\n'):rep(count)
end

local CASES = {
  { 'yaml', 'alias bomb', bomb },
  { 'yaml', 'cycle', function() return 'a: &a {b: *a}\n' end },
  { 'yaml', 'merge bomb', function()
    local lines = { 'a0: &a0 {' .. counted('k%d: %d, ', 2000) .. '}\n' }
    for i = 1, 2000 do lines[#lines + 1] = ('b%d: {<<: *a0}\n'):format(i) end
    return table.concat(lines)
  end },
  { 'yaml', 'deep flow lists', function() return fill '[' end },
  { 'yaml', 'deep flow maps', function() return fill '{a: ' end },
  { 'yaml', 'deep block lists', function() return fill '- ' end },
  { 'yaml', 'deep block maps', function()
    local lines = {}
    for i = 1, 2500 do lines[i] = (' '):rep(i) .. 'a:\n' end
    return table.concat(lines)
  end },
  { 'yaml', 'many values', function() return fill '- a\n' end },
  { 'yaml', 'many small maps', function() return 'providers:\n' .. ('- {a: b, c: d}\n'):rep(16000) end },
  { 'yaml', 'many wrong providers', function() return 'providers:\n' .. ('- {a: b, c: d}\n'):rep(1000) end },
  { 'yaml', 'many wrong keys', function()
    return 'providers:\n- name: a\n  keys:\n' .. ('  - {kee: "${A}", rpm: d, c: d, e: f, g: h}\n'):rep(4000)
  end },
  { 'yaml', 'many short flow values', function() return '[' .. fill 'a,' end },
  { 'yaml', 'many keys', function() return counted('k%d: %d\n', 90000) end },
  { 'yaml', 'one key over and over', function() return fill 'a: 1\n' end },
  { 'yaml', 'many anchors', function() return counted('k%d: &a%d x\n', 90000) end },
  { 'yaml', 'many documents', function() return fill '---\n' end },
  { 'yaml', 'many tags', function() return fill '!!str ' end },
  { 'yaml', 'many question marks', function() return fill '? ' end },
  { 'yaml', 'many colons', function() return fill ': ' end },
  { 'yaml', 'one huge text', function() return 'a: "' .. fill 'x' .. '"' end },
  { 'yaml', 'one huge key', function() return fill 'x' .. ': 1' end },
  { 'yaml', 'many variables', function() return 'routing: {strategy: "' .. fill '${A:-b}' .. '"}' end },
  { 'yaml', 'comments only', function() return fill '# x\n' end },
  { 'yaml', 'blanks only', function() return fill ' ' end },
  { 'yaml', 'line breaks only', function() return fill '\n' end },
  { 'yaml', 'NUL', function() return 'a: b\0c' end },
  { 'yaml', 'escaped NUL', function() return 'routing: {strategy: "failover\\0x"}' end },
  { 'yaml', 'not UTF-8', function() return 'a: "\255"' end },
  { 'yaml', 'UTF-16', function() return '\255\254a\0:\0 \0b\0' end },
  { 'yaml', 'control character', function() return 'a: \27[31m' end },
  { 'yaml', 'second document', function() return 'routing: {}\n---\nrouting: {}\n' end },
  { 'yaml', 'too many keys', function() return provider_keys(4097) end },
  { 'yaml', 'larger than 4 MiB', function() return ('# x\n'):rep(5 * MEBIBYTE) end },
  { 'toml', 'deep lists', function() return 'a=' .. fill '[' end },
  { 'toml', 'deep tables', function() return 'a=' .. fill '{a=' end },
  { 'toml', 'deep header', function() return '[' .. fill 'a.' .. 'a]' end },
  { 'toml', 'deep key', function() return fill 'a.' .. 'a=1' end },
  { 'toml', 'deep quoted key', function() return fill '"a". ' .. 'a=1' end },
  { 'toml', 'deep by many headers', function()
    local lines, name = {}, 'a'
    for i = 1, 40 do
      lines[i] = ('[%s]\n'):format(name)
      name = name .. '.a'
    end
    return table.concat(lines)
  end },
  { 'toml', 'many values', function() return 'a=[' .. fill '1,' end },
  { 'toml', 'many keys', function() return counted('k%d=%d\n', 90000) end },
  { 'toml', 'just as many keys as can be read', function() return counted('k%d=%d\n', 60000) end },
  { 'toml', 'many small tables', function() return 'p=[' .. ('{a=1,b=2},'):rep(16000) .. ']' end },
  { 'toml', 'one key over and over', function() return fill 'a=1\n' end },
  { 'toml', 'many headers', function() return counted('[[k%d]]\n', 90000) end },
  { 'toml', 'many dotted keys', function() return counted('k%d.a=%d\n', 90000) end },
  { 'toml', 'one huge text', function() return 'a="' .. fill 'x' .. '"' end },
  { 'toml', 'one unfinished text', function() return 'a="""' .. fill '\n' end },
  { 'toml', 'many backslashes', function() return 'a="' .. fill '\\' end },
  { 'toml', 'comments only', function() return fill '# x\n' end },
  { 'toml', 'NUL', function() return 'a="b\0c"' end },
  { 'toml', 'escaped NUL', function() return 'routing.strategy="fail\\u0000over"' end },
  { 'toml', 'not UTF-8', function() return 'a="\255"' end },
  { 'toml', 'UTF-16', function() return '\254\255\0a' end },
  { 'toml', 'unfinished header', function() return '[\n' end },
  { 'toml', 'NaN', function() return 'server.timeout_ms=nan' end },
}

local M = {}

local script = [[
package.path = './lua/?.lua;./lua/?/init.lua;' .. package.path
local config = require 'ccrelay.config'
local got, faults = config.load { path = arg[1], dir = arg[2], env = function() end }
local peak
for line in io.lines '/proc/self/status' do peak = peak or line:match 'VmHWM:%s*(%d+)' end
print(got and 'accepted' or 'refused', math.ceil(peak / 1024), got and '' or config.text(faults[1]))
]]

local folder, most

local function run(path)
  local command = 'ulimit -t 3; luajit %s/load.lua %s %s 2>&1'
  local pipe = assert(io.popen(command:format(folder, path, helper.tree())))
  local answer = pipe:read '*a'
  pipe:close()
  local verdict, peak = answer:match '^(%a+)\t(%d+)'
  return verdict or answer, tonumber(peak)
end

--- Makes the folder and loads a good file; for setup.
function M.start()
  folder = helper.folder()
  helper.write(folder .. '/load.lua', script)
  helper.write(folder .. '/good.yaml', 'routing: {}')
  local verdict, peak = run(folder .. '/good.yaml')
  assert(verdict == 'accepted', verdict)
  most = peak < SANITIZED_MEBIBYTES and MOST_MEBIBYTES or nil
  if not most then print 'the library is built with sanitizers: memory is not judged' end
end

--- Removes the folder; for teardown.
function M.stop() helper.remove(folder) end

--- Returns the hostile files of a format.
---@param format 'yaml'|'toml'
---@param many boolean? those that consist of many of something, or the others; nil: all
---@return { name: string, make: fun(): string }[]
function M.files(format, many)
  local list = {}
  for _, case in ipairs(CASES) do
    local is_many = case[2]:find '^many ' ~= nil
    if case[1] == format and (many == nil or many == is_many) then
      list[#list + 1] = { name = case[2], make = case[3] }
    end
  end
  return list
end

--- Loads a text and raises an error unless it is refused within the bounds.
---@param format 'yaml'|'toml'
---@param text string
function M.check(format, text)
  local path = ('%s/hostile.%s'):format(folder, format)
  helper.write(path, text)
  local verdict, peak = run(path)
  assert(verdict == 'refused', verdict)
  assert(not most or peak < most, ('%d MiB'):format(peak))
end

return M
