-- SPDX-License-Identifier: Apache-2.0
-- A simulated world with one credentials file of Google and a token endpoint, for the specs of the types of files.
local world = require 'support.credential_world'
world.reset()
local google = require 'ccrelay.credentials.google'
local json = world.json

local M = {}

local NAMED = 'GOOGLE_APPLICATION_CREDENTIALS'

M.google = google
M.TOKEN = 'POST https://oauth2.googleapis.com/token'
M.TARGET = 'https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/'
  .. 'target@example-project.iam.gserviceaccount.com:generateAccessToken'
M.SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
M.GOOD = { body = { access_token = 'ya29', expires_in = 3599, token_type = 'Bearer' } }

--- Makes a world in which info (or the file of tests/data/google of that name) is the credentials file.
function M.with(info, answers)
  local text = type(info) == 'string' and world.data(info) or json.encode(info)
  return world.reset { env = { [NAMED] = '/key.json' }, files = { ['/key.json'] = text },
    answers = answers or { [M.TOKEN] = M.GOOD } }
end

--- Returns the file of tests/data/google of that name, as a table.
function M.info_of(name)
  local _, info = world.data(name)
  return info
end

--- Returns the one fault of a file. Fails if there are more.
function M.wrong(info)
  M.with(info)
  local list = world.examine(google)
  assert(#list == 1, 'one fault is expected')
  return list[1]
end

--- Returns an error of the token endpoint.
function M.refusal(status, code, description)
  return { status = status, body = { error = code, error_description = description } }
end

function M.has(text, part)
  assert(text:find(part, 1, true), '"' .. text .. '" does not have "' .. part .. '"')
end

return M
