-- SPDX-License-Identifier: Apache-2.0
-- A simulated world with a credentials file of type external_account, for the specs of its sources of subject tokens.
local world = require 'support.credential_world'
world.reset()
local google = require 'ccrelay.credentials.google'
local json = world.json

local M = {}

local NAMED = 'GOOGLE_APPLICATION_CREDENTIALS'

M.STS = 'POST https://sts.googleapis.com/v1/token'
M.TARGET = 'POST https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/'
  .. 'target@example-project.iam.gserviceaccount.com:generateAccessToken'
M.AUDIENCE = '//iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/pool/providers/provider'

local GOOD = { body = { access_token = 'sts', expires_in = 3599, token_type = 'Bearer',
  issued_token_type = 'urn:ietf:params:oauth:token-type:access_token' } }
local ACTED = { body = { accessToken = 'acted', expireTime = '2026-11-18T11:30:00Z' } }

--- Makes a world in which info (or the file of tests/data/google of that name) is the credentials file.
function M.with(info, setting)
  local text = type(info) == 'string' and world.data(info) or json.encode(info)
  setting = setting or {}
  setting.env, setting.files, setting.answers = setting.env or {}, setting.files or {}, setting.answers or {}
  setting.env[NAMED], setting.files['/key.json'] = '/key.json', text
  setting.answers[M.STS], setting.answers[M.TARGET] = setting.answers[M.STS] or GOOD, setting.answers[M.TARGET] or ACTED
  return world.reset(setting)
end

function M.info_of(name)
  local _, info = world.data(name)
  return info
end

function M.has(text, part)
  assert(text:find(part, 1, true), '"' .. text .. '" does not have "' .. part .. '"')
end

--- Fails unless the file has exactly one fault, which contains this text.
function M.wrong(info, part)
  M.with(info)
  local list = world.examine(google)
  assert(#list == 1, part)
  M.has(list[1], part)
end

--- Fails unless fetching fails with a message that contains this text.
function M.fails(part)
  local value, problem = world.fetch(google)
  assert(value == nil, 'it did not fail: ' .. part)
  M.has(problem.message, part)
  return problem
end

function M.last(state) return state.requests[#state.requests] end

return M
