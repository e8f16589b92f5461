-- SPDX-License-Identifier: Apache-2.0
-- Makes the environment in which a policy or adapter runs. It guarantees that a script reaches nothing outside of it,
-- changes nothing for other scripts, and cannot run a string function for minutes where no deadline stops it.
local C = require 'ccrelay.c'
local bit = require 'bit'
local pattern_cost = require 'ccrelay.script.pattern_cost'
local each = require 'ccrelay.util.each'
local lists = require 'ccrelay.util.lists'
local ffi = require 'ffi'
local members = require 'ccrelay.script.members'
local os_date = require 'ccrelay.script.os_date'

local M = {}

local LONGEST_SUBJECT = 4096
local LONGEST_RESULT = 1024 * 1024
local MOST_STEPS = 5e6
local MOST_MOVED = 1e6
local DEEPEST = 16

local depth = 0

--- Whether the script code that ran last is an adapter's.
M.wide = false

local function check(subject, pattern)
  subject, pattern = tostring(subject), tostring(pattern)
  if #subject > LONGEST_SUBJECT or #pattern > LONGEST_SUBJECT then
    error('a text of ' .. #subject .. ' bytes is too long for a pattern; the limit is ' .. LONGEST_SUBJECT, 3)
  end
  if pattern_cost.of(pattern, #subject) > MOST_STEPS then
    error('the pattern "' .. pattern .. '" is too costly for a text this long', 3)
  end
end

local bounded = {}
for name, value in each(string) do bounded[name] = value end
bounded.dump = nil

ffi.cdef 'void *memmem(const void *text, size_t text_size, const void *wanted, size_t wanted_size);'

-- string.find compares the whole needle at every position; memmem of the C library takes linear time.
local function find_plain(text, wanted, init)
  local first = init < 0 and math.max(#text + init, 0) or math.max(init - 1, 0)
  if first > #text then return nil end
  local start = ffi.cast('const char *', text)
  local found = ffi.C.memmem(start + first, #text - first, wanted, #wanted)
  if found == nil then return nil end
  local place = tonumber(ffi.cast('const char *', found) - start)
  return place + 1, place + #wanted
end

function bounded.find(subject, pattern, init, plain)
  if not plain then
    check(subject, pattern)
  elseif type(subject) == 'string' and type(pattern) == 'string' and #pattern > 1 and #subject > LONGEST_SUBJECT then
    return find_plain(subject, pattern, math.floor(tonumber(init) or 1))
  end
  return string.find(subject, pattern, init, plain)
end

function bounded.match(subject, pattern, init)
  check(subject, pattern)
  return string.match(subject, pattern, init)
end

function bounded.gmatch(subject, pattern)
  check(subject, pattern)
  return string.gmatch(subject, pattern)
end
bounded.gfind = nil

-- C functions that call a script which calls them again use the C stack, which Lua does not bound.
local function nested(name, inner, ...)
  if depth >= DEEPEST then error(name .. ' within ' .. name .. ', too deep', 3) end
  depth = depth + 1
  local ok, first, second = pcall(inner, ...)
  depth = depth - 1
  if not ok then error(first, 0) end
  return first, second
end

function bounded.gsub(subject, pattern, replacement, most)
  check(subject, pattern)
  if type(replacement) == 'string' then
    if #replacement > LONGEST_SUBJECT then error('the replacement is too long', 2) end
    return string.gsub(subject, pattern, replacement, most)
  end
  local text, count = nested('gsub', string.gsub, subject, pattern, replacement, most)
  return text, count
end

function bounded.format(...)
  return (nested('format', string.format, ...))
end

function bounded.rep(text, count, separator)
  local size = #tostring(text) + #(separator or '')
  if (tonumber(count) or 0) * size > LONGEST_RESULT then
    error('the result of rep would be over ' .. LONGEST_RESULT .. ' bytes', 2)
  end
  return string.rep(text, count, separator)
end

local tables = {}
for name, value in each(table) do tables[name] = value end

-- Written in Lua and not compiled, so that a deadline can stop a sort between two comparisons.
local function is_less(a, b) return a < b end
jit.off(is_less)

function tables.sort(list, is_before)
  nested('sort', table.sort, list, is_before or is_less)
end

function tables.insert(list, ...)
  local position = ...
  local place = select('#', ...) == 2 and tonumber(position) or 1
  if place ~= place or place < 1 or place >= 2 ^ 31 then error('the position for table.insert is 1 or more', 2) end
  return table.insert(list, ...)
end

if table.move then
  function tables.move(from, first, last, ...)
    if (tonumber(last) or 0) - (tonumber(first) or 0) > MOST_MOVED then
      error('table.move moves up to ' .. MOST_MOVED .. ' entries', 2)
    end
    return table.move(from, first, last, ...)
  end
end

local methods = debug.getmetatable('')
local unbounded = methods.__index

--- Enters the script again after a call into the library.
---@param wide boolean?
function M.resume(wide)
  M.wide = wide or false
  if not wide then methods.__index = bounded end
  C.cc_watchdog_enter(C.CC_SCRIPT)
end

--- Enters script code: string methods are the bounded ones until M.leave.
---@param wide boolean? whether the code is an adapter's, which has the unbounded methods
function M.enter(wide)
  depth = 0
  M.resume(wide)
end

--- Leaves script code: the library goes on.
function M.leave()
  C.cc_watchdog_enter(C.CC_LIBRARY)
  methods.__index = unbounded
end

--- Leaves script code that calls the library.
function M.call()
  C.cc_watchdog_enter(C.CC_CALLED)
  methods.__index = unbounded
end

-- After an error in the library its state is still in force; a script that catches the error has to get its own back.
-- The handler of xpcall runs after the stack is unwound, because no deadline applies inside an error.
local function catching(wide)
  local function go_on(...)
    M.resume(wide)
    return ...
  end
  local function protected(script, ...)
    return go_on(pcall(script, ...))
  end
  local function handle(handler, ok, ...)
    if ok then return true, ... end
    local _, message = protected(handler, ...)
    return false, message
  end
  local function handled(script, handler, ...)
    return handle(handler, protected(script, ...))
  end
  return protected, handled
end

local function refuse_write(_, name)
  error('globals are read-only; write "local ' .. tostring(name) .. '"', 2)
end

--- Returns a read-only view of a table.
---@param source table
---@param complain (fun(self: table, name: any))?
---@return table
function M.frozen(source, complain)
  return setmetatable({}, {
    __index = source,
    __newindex = complain or function(_, name) error('"' .. tostring(name) .. '" is read-only', 2) end,
    __metatable = false,
  })
end

local function copy(source, without)
  local result = {}
  for name, value in each(source) do result[name] = value end
  for _, name in ipairs(without or {}) do result[name] = nil end
  return result
end

local function visible_metatable(value)
  if type(value) == 'table' or type(value) == 'userdata' then return getmetatable(value) end
  return nil
end

local function requirer(modules)
  return function(name)
    local module = modules[name]
    if module == nil then
      error('a script can require only ' .. M.names(modules) .. ', not "' .. tostring(name) .. '"', 2)
    end
    return module
  end
end

--- Returns the keys of a table as text, sorted.
---@param set table
---@return string
function M.names(set)
  return table.concat(lists.names(set), ', ')
end

local function clock()
  return C.cc_now() / 1000
end

local function time(date)
  return date and os.time(date) or math.floor(C.cc_time() / 1000)
end

--- Makes the environment of one script.
---@param modules table<string, any> what require finds
---@param wide boolean? for adapters: unbounded string functions, and environment variables
---@return table
function M.environment(modules, wide)
  local protected, handled = catching(wide)
  local globals = {
    assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = protected, xpcall = handled,
    rawequal = rawequal, rawget = rawget, select = select, setmetatable = setmetatable, tonumber = tonumber,
    tostring = tostring, type = type, unpack = unpack, getmetatable = visible_metatable, _VERSION = _VERSION,
    string = M.frozen(wide and copy(string, { 'dump' }) or copy(bounded)),
    table = M.frozen(copy(wide and table or tables)),
    math = M.frozen(copy(math, { 'random', 'randomseed' })),
    bit = M.frozen(copy(bit)),
    os = M.frozen { clock = clock, time = time, date = os_date.date, getenv = wide and os.getenv or nil },
    require = requirer(modules),
  }
  local environment = M.frozen(globals, refuse_write)
  globals._G = environment
  setmetatable(globals, { __index = function(_, name)
    error('there is no global "' .. tostring(name) .. '"' .. members.suggestion(name, globals), 2)
  end })
  return environment
end

--- Compiles text (never bytecode) and turns the JIT off for it, so that a deadline can stop it.
---@param text string
---@param name string the file
---@param environment table
---@return function? chunk
---@return string? message
function M.compile(text, name, environment)
  if string.byte(text) == 27 then return nil, name .. ':1: this is bytecode, expected Lua text' end
  local chunk, message = load(text, '@' .. name, 't', environment)
  if not chunk then return nil, message end
  jit.off(chunk, true)
  return chunk
end

return M
