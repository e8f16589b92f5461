-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test: runs tests of policies with busted, each file with a library of its own on the scripted C side.
local C = require 'ccrelay.c'
local file = require 'ccrelay.config.file'
local options = require 'ccrelay.cli.options'

local M = {}

M.summary = 'run unit tests of policies'
M.usage = [[
usage: ccrelay test FILE...

Runs unit tests of policies, written for busted (describe, it, assert; package lua-busted). In a test,
require 'ccrelay.testing' gives a relay with one policy: the test controls the time and the answers of
providers, and random numbers are the same in each run. No socket is opened, no provider contacted.
policies/tests/ has the tests of the included policies; policies/testing.md is the manual. Tests are
plain Lua without the bounds of policies.

Exit codes: 0 all passed, 1 failure, 64 usage, 69 busted is missing.
]]

M.takes_files = true

local function tell(text)
  io.stderr:write('ccrelay test: ', text, '\n')
end

local function all_there(files)
  local there = true
  for _, path in ipairs(files) do
    local text, reason = file.read(path, { insecure = true })
    if not text then
      tell(path .. ': ' .. reason)
      there = false
    end
  end
  return there
end

local function load_busted()
  local ok, found = pcall(require, 'busted.core')
  if ok then return found end
  return nil, found:find("'busted.core' not found", 1, true)
    and 'busted is missing; install the package lua-busted (apt-get install lua-busted)'
    or 'busted cannot be loaded: ' .. found
end

local function counting(busted)
  local counts = { run = 0, wrong = 0, pending = 0 }
  local function wrong()
    counts.wrong = counts.wrong + 1
    return nil, true
  end
  busted.subscribe({ 'failure' }, wrong)
  busted.subscribe({ 'error' }, wrong)
  busted.subscribe({ 'test', 'end' }, function(_, _, status)
    local kind = status == 'pending' and 'pending' or 'run'
    counts[kind] = counts[kind] + 1
    return nil, true
  end)
  return counts
end

-- os.exit in a test would end the whole run with the other files untested, so it raises an error there.
local function without_exit(script, ...)
  local exit = os.exit
  rawset(os, 'exit', function() error('os.exit was called, which would end the run of all tests', 2) end)
  script(...)
  rawset(os, 'exit', exit)
end

-- For each file of tests, busted loads anew what it requires. ccrelay.testing replaces the C side by the scripted one,
-- so each file has a library of its own.
local function run(core, files)
  local busted = core()
  require 'busted'(busted)
  local counts = counting(busted)
  local output = C.cc_terminal(1) and 'utfTerminal' or 'plainTerminal'
  require 'busted.modules.output_handler_loader'()(busted, output,
    { defaultOutput = output, language = 'en', arguments = {}, verbose = false, suppressPending = false })
  require 'busted.modules.test_file_loader'(busted, { 'lua' })(files, {}, { excludes = {} })
  without_exit(require 'busted.execute'(busted), 1, {})
  busted.publish { 'exit' }
  return counts
end

function M.run(arguments)
  local values, files = options.parse(arguments, {}, math.huge)
  if not values then return options.misuse('test', files) end
  if #files == 0 then return options.misuse('test', 'FILE is missing') end
  if not all_there(files) then return options.codes.failure end
  local core, lack = load_busted()
  if not core then
    tell(lack)
    return options.codes.unavailable
  end
  jit.off() -- tests and busted walk tables with pairs: lua/ccrelay/util/each.lua
  local counts = run(core, files)
  if counts.run == 0 and counts.wrong == 0 then
    tell(counts.pending > 0 and 'all tests are pending, none was run' or 'no tests were found')
  end
  return counts.run > 0 and counts.wrong == 0 and options.codes.ok or options.codes.failure
end

return M
