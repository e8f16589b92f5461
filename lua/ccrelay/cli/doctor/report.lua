-- SPDX-License-Identifier: Apache-2.0
-- Formats the results of ccrelay doctor, for people and for programs.
local json = require 'ccrelay.util.json'
local texts = require 'ccrelay.util.text'

local M = {}

--- Counts the findings of all checks.
---@param results ccrelay.CheckResult[]
---@return integer
function M.count(results)
  local count = 0
  for _, result in ipairs(results) do count = count + #result.findings end
  return count
end

local function state_of(result)
  if result.skipped then return 'not checked: ' .. result.skipped end
  if #result.findings == 0 then return 'ok' end
  return texts.count(#result.findings, 'finding')
end

--- Returns a line for each check, with its findings and their cures below it.
---@param results ccrelay.CheckResult[]
---@return string
function M.text(results)
  local lines = {}
  for _, result in ipairs(results) do
    lines[#lines + 1] = ('%-18s %s'):format(result.title, state_of(result))
    for _, finding in ipairs(result.findings) do
      lines[#lines + 1] = ('  %s: %s'):format(finding.where, json.plain(finding.what))
      lines[#lines + 1] = '    cure: ' .. finding.cure
    end
  end
  local count = M.count(results)
  lines[#lines + 1] = count == 0 and 'no findings' or texts.count(count, 'finding')
  return table.concat(lines, '\n') .. '\n'
end

--- Returns { healthy =, findings =, checks = } as JSON.
---@param results ccrelay.CheckResult[]
---@return string
function M.json(results)
  local findings, checks = json.array {}, json.array {}
  for index, result in ipairs(results) do
    checks[index] = { name = result.name, skipped = result.skipped, findings = #result.findings }
    for _, finding in ipairs(result.findings) do findings[#findings + 1] = finding end
  end
  return json.encode { healthy = #findings == 0, findings = findings, checks = checks } .. '\n'
end

return M
