-- SPDX-License-Identifier: Apache-2.0
-- What adapters declare as free of charge: the Models API, or counting tokens; nothing else may be sent by the doctor.
local bundle = require 'ccrelay.generation.bundle'
local config = require 'ccrelay.config'
local each = require 'ccrelay.util.each'
local file = require 'ccrelay.config.file'
local json = require 'ccrelay.util.json'

local adapters = assert(bundle.adapters(true))
local SETTINGS = { gcp_project_id = 'p', gcp_region = 'us-east5', workspace_id = 'w', aws_region = 'us-east-1' }

-- The method, path and members of the body.
local function declared(name, model)
  local request = adapters[name].check and adapters[name].check(SETTINGS, model)
  if not request then return nil end
  local members = {}
  for member in each(request.body and json.decode(request.body) or {}) do members[#members + 1] = member end
  table.sort(members)
  return ('%s %s %s'):format(request.method or 'GET', request.path, table.concat(members, ','))
end

describe('the request that is free of charge', function()
  local VERTEX = 'POST /projects/p/locations/us-east5/publishers/anthropic/models/count-tokens:rawPredict'
  local EXPECTED = {
    anthropic = 'GET /v1/models?limit=1 ', minimax = 'GET /v1/models?limit=1 ', ollama = 'GET /api/tags ',
    claude_aws = 'GET /v1/models?limit=1 ',
    claude_google = 'GET /projects/p/locations/us-east5/workspaces/w/invoke/v1/models?limit=1 ',
    azure = 'POST /v1/messages/count_tokens messages,model',
    bedrock = 'POST /model/anthropic.claude-x-v1:0/count-tokens input', vertex = VERTEX .. ' messages,model',
  }

  for _, name in ipairs(file.scripts(config.root() .. '/providers')) do
    it('of ' .. name, function()
      assert.equal(EXPECTED[name], declared(name, 'us.anthropic.claude-x-v1:0'))
    end)
  end

  it('needs a model at Azure and Vertex', function()
    assert.is_nil(declared 'azure')
    assert.is_nil(declared 'vertex')
    assert.is_truthy(declared 'bedrock')
  end)
end)
