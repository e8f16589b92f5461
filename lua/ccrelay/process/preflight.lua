-- SPDX-License-Identifier: Apache-2.0
-- Loads new files in a child process first. It guarantees that a file that never returns, or that ends its process, is
-- only a fault like any other, and that the caller's loop goes on meanwhile.
local C = require 'ccrelay.c'
local ipc = require 'ccrelay.process.ipc'
local script_file = require 'ccrelay.script.file'
local task = require 'ccrelay.sched.task'

local M = {}

local LOAD_MS = 5000 -- of processor time
local MOST_BYTES = 4 * 1024 * 1024
local END = '\0' -- ends the name of each file that is about to run; the faults follow the last one

local function say(text)
  C.cc_preflight_write(text, #text)
end

-- Runs in the child.
local function load_apart(work)
  C.cc_process 'ccrelay: preflight'
  C.cc_log_open '/dev/null' -- what scripts log while they load is logged by the process that uses them
  script_file.on_load(function(file) say(file .. END) end)
  local ok, built, faults = pcall(work)
  if not ok then faults = { { path = '', message = tostring(built) } } end
  say(ipc.pack { faults = not (ok and built) and faults or {} })
end

local function reason_of(result)
  if result.error == C.CC_ETOTAL_TIMEOUT then
    return ('the file took longer than %d s to load'):format(LOAD_MS / 1000)
  end
  if result.error == C.CC_EBODY_SIZE then return 'loading the file reported too many faults' end
  if result.status < 0 then return ('loading the file ended with signal %d'):format(-result.status) end
  return ('loading the file ended with code %d'):format(result.status)
end

local function faults_of(result)
  local names, rest = result.body:match '^(.*)%z(.*)$'
  local told = result.error == C.CC_OK and result.status == 0 and ipc.unpack(rest or result.body)
  if told then return told.faults end
  local file = names and names:match '([^%z]*)$'
  return { { file = file, path = '', message = reason_of(result) } }
end

--- Runs `work` in a child process and, if that succeeds, in this one. Must be called within a task.
---@param work fun(): any, ccrelay.Fault[] what was built and warnings, or nil and faults
---@return any built
---@return ccrelay.Fault[] warnings_or_faults
function M.build(work)
  local result, message = task.apart(load_apart, LOAD_MS, MOST_BYTES, work)
  if not result then return nil, { { path = '', message = 'no process to load the files in: ' .. message } } end
  local faults = faults_of(result)
  if #faults > 0 then return nil, faults end
  return work()
end

--- Does the same in a process that has no loop, or none yet.
---@param work fun(): any, ccrelay.Fault[]
---@return any built
---@return ccrelay.Fault[] warnings_or_faults
function M.build_first(work)
  return task.run_alone(function() return M.build(work) end)
end

--- Runs a policy against made-up requests in a process of its own, as the scripted C side takes the place of the real
--- one there. Must be called within a task.
---@param rehearse fun(): boolean, ccrelay.Fault[]
---@return ccrelay.Fault[] faults
function M.rehearse(rehearse)
  local result, message = task.apart(load_apart, LOAD_MS, MOST_BYTES, rehearse)
  if not result then return { { path = '', message = 'no process to run the policy in: ' .. message } } end
  local told = result.error == C.CC_OK and result.status == 0 and ipc.unpack(result.body:match '([^%z]*)$')
  if told then return told.faults end
  local over_time = result.error == C.CC_ETOTAL_TIMEOUT
  return { { path = '', message = over_time and ('the made-up requests took longer than %d s'):format(
    LOAD_MS / 1000) or 'the made-up requests ended the process that ran them' } }
end

--- Does the same in a process that has no loop, or none yet.
---@param rehearse fun(): boolean, ccrelay.Fault[]
---@return ccrelay.Fault[] faults
function M.rehearse_first(rehearse)
  return (task.run_alone(function() return M.rehearse(rehearse) end))
end

return M
