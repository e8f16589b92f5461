-- SPDX-License-Identifier: Apache-2.0
-- Claude Platform on AWS: Anthropic's own API for a workspace on AWS. Requests are signed.
local fit = require 'ccrelay.fit'

return {
  name = 'claude_aws',
  models = { 'claude-*' },
  schema = {
    { 'workspace_id', 'string', required = true, filled = true, doc = 'workspace of the requests' },
  },
  credentials = 'aws',
  service = 'aws-external-anthropic',
  base_url = function(settings)
    return settings.base_url or 'https://aws-external-anthropic.' .. settings.aws_region .. '.api.aws'
  end,
  prepare = function(request)
    request:header('anthropic-workspace-id', request.settings.workspace_id)
    request:pass()
  end,
  check = function(settings)
    return { path = '/v1/models?limit=1', headers = { ['anthropic-workspace-id'] = settings.workspace_id } }
  end,
  classify = function(outcome, settings) fit.blame(outcome, settings, 'aws_region') end,
}
