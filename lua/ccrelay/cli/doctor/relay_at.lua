-- SPDX-License-Identifier: Apache-2.0
-- Finds out whether an address leads to the running relay, with a request that has its name in CDN-Loop (RFC 8586): a
-- relay answers 508 to its own name. Without a running relay, any ccrelay counts.
local address = require 'ccrelay.net.address'
local fetch = require 'ccrelay.net.fetch'
local json = require 'ccrelay.util.json'

local M = {}

local LOOP_DETECTED = 508
local TIMEOUT_MS = 5000

local function is_ccrelay(answer)
  local ok, body = pcall(json.decode, answer.body)
  return ok and type(body) == 'table' and body.name == 'ccrelay'
end

--- Tells whether an address leads to this relay. Must be called within a task.
---@param doctor ccrelay.Doctor
---@param url ccrelay.Url
---@param ca_file string?
---@return boolean
function M.answers(doctor, url, ca_file)
  local name = doctor.running and doctor.running.loop_name
  local answer = fetch.send { url = address.text(url) .. '/', ca_file = ca_file, timeout_ms = TIMEOUT_MS,
    headers = { ['cdn-loop'] = name } }
  if not answer then return false end
  if name then return answer.status == LOOP_DETECTED end
  return answer.status == 200 and is_ccrelay(answer)
end

return M
