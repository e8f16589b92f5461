-- SPDX-License-Identifier: Apache-2.0
-- Runs the checks of ccrelay doctor: each file in checks/ is one. It guarantees that no request is sent that a provider
-- charges for: a provider gets only what its adapter declares as free of charge.
local config = require 'ccrelay.config'
local file = require 'ccrelay.config.file'
local second_relay = require 'ccrelay.cli.doctor.second_relay'
local task = require 'ccrelay.sched.task'

local M = {}

---@class ccrelay.Finding
---@field check string name of the check
---@field what string what is wrong
---@field where string file, key, provider or address
---@field cure string what to do, one sentence

---@class ccrelay.DoctorCheck what a file in checks/ returns
---@field order integer checks run in this order
---@field title string
---@field network boolean? asks other machines, so it is left out with --offline
---@field generation boolean? needs a configuration that can be loaded
---@field run fun(doctor: ccrelay.Doctor) adds findings; runs within a task

---@class ccrelay.CheckResult
---@field name string
---@field title string
---@field findings ccrelay.Finding[]
---@field skipped string? why it did not run

---@class ccrelay.DoctorOptions
---@field config string? path
---@field policy string? path
---@field insecure boolean accept files that others may write to
---@field offline boolean ask no other machine

---@class ccrelay.Doctor what checks work with
---@field options ccrelay.DoctorOptions
---@field path string? of the configuration; nil: the embedded default
---@field bundle ccrelay.Bundle? set by the check of the configuration
---@field generation ccrelay.Generation? set by it too, if there are no faults
---@field running table? /status of the running relay, set by the check of it
---@field second ccrelay.SecondRelay?
---@field fetched table<ccrelay.Provider, table>? credentials, set by the check of them
---@field probes table<ccrelay.Provider, ccrelay.Probe>? see probe.lua
---@field results ccrelay.CheckResult[]
---@field current ccrelay.CheckResult the check that runs
local Doctor = {}
Doctor.__index = Doctor

--- Adds a finding of the check that runs.
---@param where string
---@param what string
---@param cure string
function Doctor:add(where, what, cure)
  table.insert(self.current.findings, { check = self.current.name, what = what, where = where, cure = cure })
end

--- Adds a finding from a message that may end in "; what to do".
---@param where string
---@param message string
---@param cure string if the message does not say it
function Doctor:add_message(where, message, cure)
  local what, todo = message:match '^(.*); (.-)$'
  self:add(where, what or message, todo or cure)
end

--- Says why the check that runs could not check anything.
---@param reason string
function Doctor:skip(reason)
  self.current.skipped = reason
end

--- The name of the configuration in findings.
---@return string
function Doctor:source()
  return self.path or 'built-in configuration'
end

local function load_checks()
  local checks = {}
  for _, name in ipairs(file.scripts(config.root() .. '/lua/ccrelay/cli/doctor/checks')) do
    checks[#checks + 1] = { name = name, check = require('ccrelay.cli.doctor.checks.' .. name) }
  end
  table.sort(checks, function(a, b) return a.check.order < b.check.order end)
  return checks
end

local function reason_to_skip(self, check)
  if check.network and self.options.offline then return '--offline' end
  if check.generation and not self.generation then return 'the configuration cannot be loaded' end
end

local function run_check(self, name, check)
  local result = { name = name, title = check.title, findings = {}, skipped = reason_to_skip(self, check) }
  self.results[#self.results + 1], self.current = result, result
  if not result.skipped then check.run(self) end
end

--- Runs all checks.
---@param options ccrelay.DoctorOptions
---@return ccrelay.CheckResult[]
function M.run(options)
  local second = second_relay.start(options)
  local self = setmetatable({ options = options, path = config.find(options.config), second = second, results = {} },
    Doctor)
  return (task.run_alone(function()
    for _, one in ipairs(load_checks()) do run_check(self, one.name, one.check) end
    if second then second_relay.stop(second) end
    return self.results
  end))
end

return M
